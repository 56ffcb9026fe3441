"""The trainer from a picture to its file: it learns, goes on where it was stopped, and leaves the model alone."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ImageOps

import jstyle
from jstyle import StableDiffusionPipeline
from jstyle.diffusion import prompts
from jstyle.errors import InputError
from jstyle.methods.inst import files as inst_files
from jstyle.methods.inst import training as inst
from jstyle.methods.inst.settings import InstTraining
from jstyle.pictures import images
from jstyle.runtime import jt
from jstyle.training import LoopSettings, LossSettings
from jstyle.training.report import read_log
from jstyle.training.teaching import tuning
from jstyle.weights.tensors import FileTensors
from tests.methods.inst.small import LOOP, picture, run, settings
from tests.parity.networks import GOLDEN
from tests.training.teaching.small import interrupt

ROOT = Path(__file__).resolve().parents[3]


def test_the_result(finished: Path, model: Path, data: Path) -> None:
    """The embedding is what the network makes of the picture, upright and without dropout."""
    style = inst_files.read(finished)
    pipe = StableDiffusionPipeline.from_pretrained(str(model))
    tokens = inst.show_to_clip(pipe, settings(model, data, finished.parent), images.open_image(data))
    with jt.no_grad():
        assert np.allclose(style.network(tokens[:1]).numpy(), style.embedding, atol=1e-6)
    assert style.token == "<style>" and style.about["steps"] == 4 and style.about["model"] == pipe.model_hash
    assert np.array_equal(np.asarray(images.open_image(finished.parent / "style.png")), np.asarray(picture(1)))
    assert [record["step"] for record in read_log(finished.parent)] == [1, 2, 3, 4]
    assert (finished.parent / "loss.png").is_file()


def test_only_the_network_is_learnt_and_all_of_it(finished: Path, model: Path, data: Path) -> None:
    pipe = StableDiffusionPipeline.from_pretrained(str(model))
    start = inst.start_network(pipe, settings(model, data, finished.parent), 24)
    names = {f"style.{name}" for name, _ in start.named_parameters()}
    (state,) = finished.parent.glob("checkpoint/step-*/state.safetensors")
    stored = {name for name in FileTensors([state]).shapes() if name.startswith("parameters.")}
    assert stored == {f"parameters.{name}" for name in names}
    learnt = dict(inst_files.read(finished).network.named_parameters())
    for name, one in start.named_parameters():
        assert not np.allclose(one.numpy(), learnt[name].numpy(), atol=1e-6), name


def everything(pipe: StableDiffusionPipeline) -> dict[str, bytes]:
    parts: Any = (pipe.unet, pipe.vae, pipe.text_encoder, pipe.parts.image_encoder)
    return {
        f"{i}.{name}": np.array(one.numpy()).tobytes()
        for i, part in enumerate(parts)
        for name, one in part.named_parameters()
    }


def test_the_model_is_afterwards_as_it_was(model: Path, data: Path, tmp_path: Path) -> None:
    """Also where it knew a word already, and after an interruption."""
    pipe = StableDiffusionPipeline.from_pretrained(str(model))
    pipe.vocabulary.learn("<pond>", np.ones((2, 16), np.float32))
    before, tokenizer, own = everything(pipe), pipe.tokenizer, pipe.model_hash
    table, shape = pipe.text_encoder.text_model.embeddings.token_embedding, repr(pipe.text_encoder)
    text = np.array(pipe.encode_texts("a <pond> <style>").numpy())
    jstyle.train(settings(model, data, tmp_path / "a", validation_prompts=("a {token}",), validation_every=2), pipe)
    with pytest.raises(InputError, match="not finite"):
        jstyle.train(settings(model, data, tmp_path / "b", loop=replace(LOOP, rate=1e30)), pipe)
    assert everything(pipe) == before and pipe.model_hash == own and repr(pipe.text_encoder) == shape
    assert list(pipe.vocabulary.vectors) == ["<pond>"] and len(pipe.tokenizer) == len(tokenizer)
    assert np.array_equal(pipe.text_encoder.text_model.embeddings.token_embedding.weight.numpy(), table.weight.numpy())
    assert np.array_equal(pipe.encode_texts("a <pond> <style>").numpy(), text)
    assert not any(one.is_stop_grad() for one in pipe.unet.parameters())
    assert sorted(file.name for file in (tmp_path / "a").glob("validation*")) == [
        "validation-000002.png",
        "validation-000004.png",
    ]


def test_an_interrupted_run_ends_with_the_same_bits(
    finished: Path, model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By Ctrl-C after the third step, then with validation pictures, which draw without dropout."""
    interrupt(monkeypatch, after=3)
    with pytest.raises(KeyboardInterrupt):
        run(model, data, tmp_path)
    monkeypatch.undo()
    assert not (tmp_path / "inst.safetensors").exists()
    again = run(model, data, tmp_path, validation_prompts=("{token}",), validation_every=1)
    assert again.read_bytes() == finished.read_bytes()


def test_a_killed_run_ends_with_the_same_bits(finished: Path, model: Path, data: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.methods.inst.killed", str(model), str(data), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "inst.safetensors").read_bytes() == finished.read_bytes()


def test_it_learns(model: Path, data: Path, tmp_path: Path) -> None:
    """At the very noise of some batches the loss falls, by the word as it is read from its file."""
    loop = LoopSettings(steps=40, rate=2e-2, schedule="cosine", warmup=2, clip=1.0)
    given = settings(model, data, tmp_path, loop=loop, loss=LossSettings(), flip=False, dropout=0.05)
    pipe = StableDiffusionPipeline.from_pretrained(str(model))
    tokens = inst.show_to_clip(pipe, given, images.open_image(data))
    with jt.no_grad():
        start = np.array(inst.start_network(pipe, given, tokens.shape[2])(tokens).numpy())
    losses = [mean_loss(pipe, given, word) for word in (start, inst_files.read(jstyle.train(given, pipe)).embedding)]
    assert losses[1] < 0.998 * losses[0], losses


def mean_loss(pipe: StableDiffusionPipeline, given: Any, embedding: np.ndarray) -> float:
    """Over the first batches, each at its own noise."""
    pipe.vocabulary.learn(given.token, embedding)
    loss, losses = tuning.make_loss(pipe, given, tuning.make_learning_reader(pipe), tuning.Clock()), []
    shown = tuning.encode_pictures(pipe, given, list(given.data))
    for index in range(8):
        which, latents = tuning.draw_batch(shown, given, index)
        batch = tuning.Batch(latents, [given.token] * len(which), np.ones(len(which)))
        with jt.no_grad():
            losses.append(loss(batch, index).item())
    pipe.vocabulary.remove([given.token])
    return float(np.mean(losses))


def test_a_mirrored_picture_has_a_word_of_its_own(model: Path, data: Path, tmp_path: Path) -> None:
    """In a batch each row is read with what CLIP sees of the picture as that row shows it."""
    given = settings(model, data, tmp_path)
    pipe = StableDiffusionPipeline.from_pretrained(str(model))
    tokens = inst.show_to_clip(pipe, given, images.open_image(data))
    turned = inst.encode_by_clip(pipe.parts.image_encoder, [ImageOps.mirror(images.fit(picture(1), 32, 32))])  # type: ignore[arg-type]
    assert tokens.shape[0] == 2 and not np.allclose(tokens[0].numpy(), tokens[1].numpy(), atol=1e-3)
    assert np.allclose(tokens[1:].numpy(), turned.numpy(), atol=1e-5)
    network, words = inst.start_network(pipe, given, 24), ["<style>", "<style>~mirrored"]
    with ExitStack() as stack, jt.no_grad():
        inst.make_word_reader(stack, pipe, network, tokens, words)
        ids = prompts.token_ids(pipe.tokenizer, [f"a {word} river" for word in words])
        looked_up = pipe.text_encoder.text_model.embeddings.token_embedding(jt.array(ids)).numpy()
        wanted = network(tokens).numpy()
        place = int(np.argmax(ids[0] != ids[1]))
        assert np.allclose(looked_up[[0, 1], [place, place]], wanted, atol=1e-6)
    shown = tuning.encode_pictures(pipe, given, [data])
    shown.moments.deviation[:] = 0
    sides = set()
    for index in range(20):
        made = inst.make_batch(shown, given, words, index)
        for latent, said in zip(made.latents, made.captions):
            assert np.array_equal(latent, shown.moments.mean[words.index(said)])
        sides |= set(made.captions)
    assert sides == set(words)


def test_what_is_no_training(model: Path, data: Path, finished: Path, tmp_path: Path) -> None:
    picture(2).save(tmp_path / "a.png")
    picture(3).save(tmp_path / "b.png")
    with pytest.raises(InputError, match=r"no picture 'c' \(there are: a.png, b.png\)"):
        run(model, tmp_path, tmp_path / "run", picture="c")
    with pytest.raises(InputError, match="has no image encoder; give --image_encoder"):
        run(GOLDEN / "diffusers_folder", data, tmp_path / "run")
    with pytest.raises(InputError, match="was begun with dropout = 0.1, not 0.2"):
        run(model, data, finished.parent, dropout=0.2)
    with pytest.raises(InputError, match="was begun with compat = False, not True"):
        run(model, data, finished.parent, compat=True)
    with pytest.raises(InputError, match="was begun with picture = "):
        run(model, tmp_path / "a.png", finished.parent)


def test_one_picture_of_several(model: Path, tmp_path: Path) -> None:
    """The first by name, or the one that is named; nothing else of the folder counts."""
    for seed, name in ((4, "b.png"), (5, "a.png")):
        picture(seed).save(tmp_path / name)
    assert inst.find_picture(settings(model, tmp_path, tmp_path)).name == "a.png"
    named = [inst.find_picture(settings(model, tmp_path, tmp_path, picture=name)).name for name in ("b", "b.png")]
    assert named == ["b.png", "b.png"]
    alone = inst.describe_training(settings(model, tmp_path / "b.png", tmp_path))
    assert inst.describe_training(settings(model, tmp_path, tmp_path, picture="b")) == alone


def test_an_image_encoder_of_another_model(model: Path, data: Path, finished: Path, tmp_path: Path) -> None:
    """The same encoder, by folder, and by its own folder, gives the same word."""
    base = GOLDEN / "diffusers_folder"
    for number, source in enumerate((model, model / "image_encoder")):
        found = inst_files.read(run(base, data, tmp_path / str(number), image_encoder=str(source)))
        assert np.allclose(found.embedding, inst_files.read(finished).embedding, atol=1e-5)
        assert len(str(found.about["image_encoder"])) == 64
    with pytest.raises(InputError, match="has no image_encoder"):
        run(base, data, tmp_path / "none", image_encoder=str(base))


def test_the_rate_grows_with_the_pictures_of_an_update(model: Path, data: Path, tmp_path: Path) -> None:
    given = settings(model, data, tmp_path, validation_prompts=("a {token}",))
    acting = inst.resolve_settings(given)
    assert acting.loop.rate == given.loop.rate and acting.validation_prompts == ("a <style>",)
    scaled = inst.resolve_settings(replace(given, scale_rate=True))
    assert np.isclose(scaled.loop.rate, 4 * given.loop.rate) and inst.resolve_settings(scaled) == scaled


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"prompt": "a painting"}, r"prompt must contain \{token\}"),
        ({"heads": 0}, "heads must be from 1 to 100000"),
        ({"dropout": 1.0}, "dropout must be from 0 to below 1"),
        ({"batch": 0}, "batch must be from 1 to 100000"),
    ],
)
def test_settings_that_make_no_sense(changes: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        InstTraining(**changes)


def test_the_defaults_are_the_papers() -> None:
    own = InstTraining()
    assert (own.loop.steps, own.loop.rate, own.batch, own.flip, own.dropout) == (6100, 1e-4, 1, True, 0.05)
    assert (own.heads, own.head_width, own.scale_rate, own.loop.clip, own.prompt) == (8, 64, True, None, "{token}")
