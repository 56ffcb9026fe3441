"""The commands from end to end, styles that are mixed, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import jstyle
from jstyle.errors import InputError
from jstyle.events import Evaluated, PictureWritten, Planned, exhaust
from jstyle.methods.attention_distillation.method import AttentionDistillationOnLatents, StyleLatents
from jstyle.methods.attention_distillation.settings import AttentionDistillationInputs, AttentionDistillationSettings
from jstyle.methods.attention_distillation.styles import StyleMix
from jstyle.methods.attention_distillation.text.settings import DistilledTextInputs, DistilledTextSettings
from jstyle.methods.recalling import recall_settings
from jstyle.methods.table import METHODS
from jstyle.ops import precision
from jstyle.pictures import images
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.settings.model import ModelSettings
from tests.parity.networks import GOLDEN, relative_error

SMALL: dict[str, Any] = {"steps": 2, "width": 64, "height": 64, "style_size": 64}
MODEL = ModelSettings(model=str(GOLDEN / "diffusers_folder"))


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(MODEL.model)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pictures")
    made = {}
    for seed, name in enumerate(["boat", "hill", "ink", "oil"]):
        pixels = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
        made[name] = folder / f"{name}.png"
        Image.fromarray(pixels).resize((64, 64)).save(made[name])
    return made


def run(name: str, inputs: Any, settings: Any) -> tuple[Planned, list[str]]:
    events = list(METHODS[name].start(inputs, settings, MODEL))
    planned = next(event for event in events if isinstance(event, Planned))
    assert sum(event.count for event in events if isinstance(event, Evaluated)) == planned.evaluations
    return planned, [event.path.name for event in events if isinstance(event, PictureWritten)]


def distil(folder: Path, files: dict[str, Path], **given: Any) -> tuple[Planned, list[str]]:
    settings = AttentionDistillationSettings(**{**SMALL, **given.pop("settings", {})})
    named = {key: tuple(files[name] for name in given.pop(key, ())) for key in ("content", "style")}
    return run("attention_distillation", AttentionDistillationInputs(output=folder, **named, **given), settings)


def test_contents_come_into_styles_and_what_is_finished_is_skipped(tmp_path: Path, files: dict[str, Path]) -> None:
    pairs = {"content": ("boat", "hill"), "style": ("ink", "oil")}
    planned, made = distil(tmp_path, files, **pairs, settings={"batch_size": 2})
    assert sorted(made) == sorted(f"{c}_stylized_{s}.png" for c in pairs["content"] for s in pairs["style"])
    # 2 times, in each the style once for a batch, and both contents with what becomes of them
    assert planned.evaluations == 2 * 2 * (1 + 2 + 2)
    assert (tmp_path / "contact_sheet.png").is_file()
    assert distil(tmp_path, files, **pairs) == (Planned(4, 4, 0), [])
    (tmp_path / "boat_stylized_oil.png").unlink()
    assert distil(tmp_path, files, **pairs)[1] == ["boat_stylized_oil.png"]
    with pytest.raises(InputError, match="--overwrite"):
        distil(tmp_path, files, **pairs, settings={"content_weight": 0.5})


def test_styles_become_textures_of_any_size(tmp_path: Path, files: dict[str, Path]) -> None:
    settings = {"width": 96, "height": 64, "seed": 7}
    _, made = distil(tmp_path, files, style=("ink",), images=2, settings=settings)
    assert made == ["ink_texture_00007.png", "ink_texture_00008.png"]
    pictures = [np.array(images.open_image(tmp_path / name)) for name in made]
    assert pictures[0].shape == (64, 96, 3) and np.abs(pictures[0].astype(int) - pictures[1]).mean() > 5
    assert distil(tmp_path, files, style=("ink",), images=2, settings=settings) == (Planned(2, 2, 0), [])
    kinds: list[type] = [AttentionDistillationInputs, AttentionDistillationSettings, ModelSettings]
    recalled = recall_settings(METHODS["attention_distillation"], kinds, tmp_path / made[1])
    recalled.check_origins()
    assert {"seed": 8, "style": [str(files["ink"])], "width": 96}.items() <= recalled.values.items()
    with pytest.raises(ValueError, match="name a folder"):
        AttentionDistillationInputs((files["ink"],), tmp_path / "one.png", images=2)


def test_styles_are_mixed(tmp_path: Path, files: dict[str, Path]) -> None:
    both = {"content": ("boat",), "style": ("ink", "oil")}
    assert distil(tmp_path, files, **both, mix=(1.0, 2.0))[1] == ["boat_stylized_ink+oil.png"]
    with pytest.raises(InputError, match="--overwrite"):  # the weights are part of what a picture is
        distil(tmp_path, files, **both, mix=(1.0, 3.0))
    kinds: list[type] = [AttentionDistillationInputs, AttentionDistillationSettings, ModelSettings]
    recalled = recall_settings(METHODS["attention_distillation"], kinds, tmp_path / "boat_stylized_ink+oil.png")
    with pytest.raises(InputError, match="it is in several styles.*give --style and --mix"):
        recalled.check_origins()
    with pytest.raises(InputError, match="mix has 1 weights for 2 styles"):
        distil(tmp_path, files, **both, mix=(1.0,))
    with pytest.raises(ValueError, match="mix of style 2 must be positive"):
        AttentionDistillationInputs(style=(files["ink"],), output=tmp_path, mix=(1.0, 0.0))
    with pytest.raises(ValueError, match="a weight for each picture"):
        StyleMix([Image.open(files["ink"])], [1.0, 2.0])


def test_texts_come_into_styles(tmp_path: Path, files: dict[str, Path]) -> None:
    settings = DistilledTextSettings(steps=2, seed=3, guidance=2.0)
    inputs = DistilledTextInputs(("a cat", "a boat"), (files["ink"], files["oil"]), tmp_path)
    planned, made = run("attention_distillation_text", inputs, settings)
    assert sorted(made) == [f"a_{what}_00003_in_{style}.png" for what in ("boat", "cat") for style in ("ink", "oil")]
    assert planned.evaluations == 4 * 2 * (2 + 1 + 3)  # pictures, steps; both halves, the style, three updates
    assert run("attention_distillation_text", inputs, settings) == (Planned(4, 4, 0), [])
    kinds: list[type] = [DistilledTextInputs, DistilledTextSettings, ModelSettings]
    recalled = recall_settings(METHODS["attention_distillation_text"], kinds, tmp_path / made[0])
    recalled.check_origins()
    assert {"prompt": ["a cat"], "style": [str(files["ink"])], "seed": 3}.items() <= recalled.values.items()


def clean(pipe: StableDiffusionPipeline, seed: int) -> jt.Var:
    return jt.array(np.random.default_rng(seed).standard_normal((1, 4, 16, 16), np.float32))


def make_texture(pipe: StableDiffusionPipeline, styles: list[jt.Var], weights: list[float], **changes: Any) -> Any:
    settings = AttentionDistillationSettings(**{"steps": 2, **changes})
    method = AttentionDistillationOnLatents(pipe, settings, StyleLatents(styles, weights))
    return np.array(exhaust(method.optimise(clean(pipe, 9))).numpy())


def test_a_style_that_weighs_twice_is_one_that_is_given_twice(pipe: StableDiffusionPipeline) -> None:
    one, other = clean(pipe, 1), clean(pipe, 2)
    twice = make_texture(pipe, [one, other, other], [1.0, 1.0, 1.0])
    assert relative_error(make_texture(pipe, [one, other], [1.0, 2.0]), twice) < 1e-4
    assert relative_error(make_texture(pipe, [one, other], [2.0, 1.0]), twice) > 1e-2


def test_the_model_is_as_before(pipe: StableDiffusionPipeline) -> None:
    before = {name: np.array(value.numpy()) for name, value in pipe.unet.state_dict().items()}
    blocks, learnt = list(pipe.unet.up_blocks), [var.is_stop_grad() for var in pipe.unet.parameters()]
    settings = AttentionDistillationSettings(steps=2, recompute=True)
    method = AttentionDistillationOnLatents(pipe, settings, StyleLatents([clean(pipe, 1)], [1.0]))
    steps = method.optimise(clean(pipe, 2))
    next(steps)
    assert list(pipe.unet.up_blocks) != blocks
    steps.close()
    assert list(pipe.unet.up_blocks) == blocks and pipe.unet.attachments == ()
    assert [var.is_stop_grad() for var in pipe.unet.parameters()] == learnt
    assert all(np.array_equal(before[name], value.numpy()) for name, value in pipe.unet.state_dict().items())


def test_layers_that_the_model_does_not_have_are_refused(pipe: StableDiffusionPipeline) -> None:
    with pytest.raises(InputError, match="layer 16 is no self-attention of this model: they are 0 to 15"):
        make_texture(pipe, [clean(pipe, 1)], [1.0], layers=(3, 16))


def test_from_python_a_picture_has_the_contents_shape(pipe: StableDiffusionPipeline, files: dict[str, Path]) -> None:
    settings = AttentionDistillationSettings(**{**SMALL, "steps": 1})
    content = Image.open(files["boat"]).resize((128, 32))
    made = jstyle.AttentionDistillation(pipe, settings)(content, Image.open(files["ink"]))
    assert made.size == (128, 32)


def test_precisions_without_gradients_are_refused_before_anything_is_loaded(
    tmp_path: Path, files: dict[str, Path]
) -> None:
    coarse = replace(MODEL, precision="bf16")
    inputs = AttentionDistillationInputs((files["ink"],), tmp_path)
    texts = DistilledTextInputs(("a",), (files["ink"],), tmp_path)
    for name, given, settings in (
        ("attention_distillation", inputs, AttentionDistillationSettings()),
        ("attention_distillation_text", texts, DistilledTextSettings()),
    ):
        with pytest.raises(InputError, match="gradients are computed in fp32 or fp16, not bf16"):
            list(METHODS[name].start(given, settings, coarse))


def test_in_fp16_it_comes_to_nearly_the_same(pipe: StableDiffusionPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "on_gpu", lambda: True)
    half = StableDiffusionPipeline.from_settings(replace(MODEL, precision="fp16"))
    exact = make_texture(pipe, [clean(pipe, 1)], [1.0], steps=1)
    assert relative_error(make_texture(half, [clean(pipe, 1)], [1.0], steps=1), exact) < 0.05
