"""A ControlNet's training against PyTorch's, and what it learns from: maps made or given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import jstyle
from jstyle import StableDiffusionPipeline
from jstyle.errors import InputError
from jstyle.events import exhaust
from jstyle.networks import ControlNetModel
from jstyle.networks.initial import set_values
from jstyle.runtime import jt
from jstyle.training.loss import Question, diffusion_loss
from jstyle.training.optimizer import AdamW, clip_scale, gradients_of, norms
from jstyle.training.teaching import tuning
from jstyle.training.teaching.controlnet import train
from jstyle.training.teaching.tuning import Batch, Clock, frozen
from tests.golden import tiny
from tests.parity.networks import GOLDEN, golden
from tests.training.teaching.small import pictures, run, settings

MODEL = str(GOLDEN / "diffusers_folder")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures(tmp_path_factory.mktemp("data"))


def test_losses_are_pytorchs() -> None:
    recorded = golden("controlnet_training")
    pipe = StableDiffusionPipeline.from_pretrained(MODEL)
    net = ControlNetModel.from_unet(pipe.unet, conditioning_embedding_out_channels=recorded["widths"].tolist())
    for name, parameter in net.named_parameters():
        if "cond_embedding" in name and "conv_out" not in name:
            set_values(parameter, tiny.seeded_tensor(name, tuple(parameter.shape)))
    optimizer = AdamW(dict(net.named_parameters()), weight_decay=1e-2)
    answer = train.make_answer(pipe, net)
    losses, whole = [], []
    with frozen(pipe.unet):
        for i, times in enumerate(recorded["times"]):
            x, target, text, shown = (recorded[name][i] for name in ("x", "target", "text", "map"))
            question = Question(jt.array(x), times, jt.array(target), np.ones(2))
            output = answer(question, jt.array(text), Batch(x, ["", ""], np.ones(2), shown))
            loss = diffusion_loss(output, question)
            gradients = gradients_of(loss, list(optimizer.parameters.values()))
            whole.append(float(np.linalg.norm(norms(gradients))))
            losses.append(loss.item())
            optimizer.update(gradients, i + 1, float(recorded["rate"]), clip_scale(whole[-1], 1.0))
    np.testing.assert_allclose(losses, recorded["losses"], rtol=1e-4)
    np.testing.assert_allclose(whole, recorded["gradient_norms"], rtol=1e-3)
    assert np.ptp(recorded["gradient_norms"]) > 0.05  # what is learnt tells in the next


def prepare(data: Path, output: Path, **changes: Any) -> train.SteeredLessons:
    asked = settings("controlnet", data, output, **changes)
    return exhaust(train.prepare_lessons(StableDiffusionPipeline.from_pretrained(MODEL), asked))


def test_maps_are_the_pictures_own_or_those_of_a_folder(data: Path, tmp_path: Path) -> None:
    own = prepare(data, tmp_path)
    assert own.maps.shape == (3, 3, 32, 32) and own.maps.dtype == np.uint8
    inverted = prepare(data, tmp_path, preprocess="invert")
    np.testing.assert_array_equal(inverted.maps, 255 - own.maps)
    maps = tmp_path / "maps"
    maps.mkdir()
    for number, file in enumerate(sorted(data.glob("*.png"))):
        Image.new("L", (32, 32), 80 * number).save(maps / file.name)
    given = prepare(data, tmp_path, maps=str(maps), preprocess=None)
    assert given.maps.shape == (3, 1, 32, 32) and [one.max() for one in given.maps] == [0, 80, 160]
    assert len({str(one.identity()) for one in (own, inverted, given)}) == 3
    (maps / "ice-cream.png").unlink()
    with pytest.raises(InputError, match="has no picture of the name 'ice-cream'"):
        prepare(data, tmp_path, maps=str(maps))


def test_a_map_is_mirrored_with_its_picture(data: Path, tmp_path: Path) -> None:
    lessons = prepare(data, tmp_path, batch=3)
    seen = set()
    for index in range(6):
        batch = lessons.make_batch(index)
        assert batch.maps is not None and batch.maps.dtype == np.float32 and batch.maps.max() <= 1
        for caption_map, latent in zip(batch.maps, batch.latents):
            own = lessons.maps.astype(np.float32) / 255
            matches = [
                (i, flipped)
                for i in range(3)
                for flipped in (False, True)
                if np.array_equal(caption_map, own[i][..., ::-1] if flipped else own[i])
            ]
            ((i, flipped),) = matches
            moments = lessons.taught.moments
            distance = [np.abs(latent - mean).mean() for mean in moments.mean]
            assert int(np.argmin(distance)) == i + 3 * flipped
            seen.add(flipped)
    assert seen == {False, True}


def test_half_of_the_captions_are_left_out(data: Path, tmp_path: Path) -> None:
    lessons = prepare(data, tmp_path, batch=3)
    captions = [caption for index in range(40) for caption in lessons.make_batch(index).captions]
    assert 0.35 < captions.count("") / len(captions) < 0.65
    assert set(captions) == {"", "wheat field", "old house", "a cone of ice cream"}


def test_it_learns(data: Path, tmp_path: Path) -> None:
    """At the very noise of some batches the loss falls, by the net as it is loaded from its folder."""
    loop = {"steps": 60, "rate": 3e-3, "warmup": 2}
    changes: dict[str, Any] = {"loop": loop, "loss": {}, "flip": False, "caption_dropout": 0.0}
    given = settings("controlnet", data, tmp_path, **changes)
    pipe = StableDiffusionPipeline.from_pretrained(MODEL)
    lessons = prepare(data, tmp_path, **changes)
    nets = train.start_net(pipe, given), ControlNetModel.from_pretrained(run("controlnet", data, tmp_path, **changes))
    read = tuning.make_constant_reader(pipe)
    before, after = (
        np.mean([loss(lessons.make_batch(index), index).item() for index in range(8)])
        for loss in (tuning.make_loss(pipe, given, read, Clock(), train.make_answer(pipe, net)) for net in nets)
    )
    assert after < 0.9 * before, (before, after)


def test_the_file_may_be_in_half_precision(data: Path, tmp_path: Path) -> None:
    folder = run("controlnet", data, tmp_path, save_precision="fp16")
    sizes = [file.stat().st_size for file in folder.glob("*.safetensors")]
    assert folder == tmp_path / "controlnet" and len(sizes) == 1
    numbers = sum(p.numel() for p in ControlNetModel.from_pretrained(folder).parameters())
    assert 2 * numbers < sizes[0] < 3 * numbers


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"widths": (4, 8)}, "widths must name 3 layers for this model's latents, not 2"),
        ({"preprocess": None}, "preprocess makes the maps, or maps names the folder of ready ones"),
        ({"caption_dropout": 2.0}, "caption_dropout must be from 0 to 1"),
        ({"preprocess": "cany"}, "canny"),
    ],
)
def test_mistakes(data: Path, tmp_path: Path, changes: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=line):
        jstyle.train(settings("controlnet", data, tmp_path, **changes))
