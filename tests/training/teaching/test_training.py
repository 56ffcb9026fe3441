"""Each trainer from pictures to its file: it learns, goes on where it was stopped, and what it wrote can be used."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import jstyle
from jstyle import StableDiffusionPipeline
from jstyle.errors import InputError
from jstyle.events import Evaluated, PictureWritten, Planned, Updated
from jstyle.networks import ControlNetModel
from jstyle.pictures import images
from jstyle.pipelines.controlnet import StableDiffusionControlNetPipeline
from jstyle.runtime import jt
from jstyle.training import LoopSettings, LossSettings
from jstyle.training.report import read_log
from jstyle.training.teaching import examples, tuning
from jstyle.training.teaching.table import TEACHINGS
from jstyle.training.teaching.textual_inversion import train as textual_inversion
from jstyle.weights.tensors import FileTensors
from tests.training.teaching.small import CHANGES, GOLDEN, LOOP, WHOLE, interrupt, pictures, run, settings

ROOT = Path(__file__).resolve().parents[3]
PROMPT = "a river in the style of <style>"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    return {method: run(method, data, folder / method) for method in CHANGES}


def list_weights(result: Path) -> list[Path]:
    return sorted(result.rglob("*.safetensors")) if result.is_dir() else [result]


def bits(result: Path) -> bytes:
    return b"".join(file.read_bytes() for file in list_weights(result))


def trained_networks(model: Path) -> list[str]:
    """Those with a weight that is not what the training began with."""
    here, there = (StableDiffusionPipeline.from_pretrained(str(one)) for one in (model, GOLDEN / "diffusers_folder"))
    changed = []
    for network in ("unet", "text_encoder", "vae"):
        pairs = zip(getattr(here, network).parameters(), getattr(there, network).parameters())
        if any((one.numpy() != other.numpy()).any() for one, other in pairs):
            changed.append(network)
    return changed


def latents(pipe: StableDiffusionPipeline) -> np.ndarray:
    return pipe(PROMPT, 32, 32, num_inference_steps=2, output_type="latent", seed=1).images


@pytest.mark.parametrize("method", list(CHANGES))
def test_the_result_can_be_used(method: str, finished: dict[str, Path]) -> None:
    pipe = StableDiffusionPipeline.from_pretrained(str(GOLDEN / "diffusers_folder"))
    before = latents(pipe)
    if method == "textual_inversion":
        assert finished[method].name == "learned_embeds.safetensors"
        assert dict(FileTensors([finished[method]]).shapes()) == {"<style>": (2, 16)}
        pipe.load_textual_inversion(finished[method].parent)
    elif method == "lora":
        assert finished[method].name == "pytorch_lora_weights.safetensors"
        pipe.load_lora_weights(finished[method].parent)
        assert pipe.get_list_adapters() == {"unet": ["default_0"], "text_encoder": ["default_0"]}
    elif method == "controlnet":
        net = ControlNetModel.from_pretrained(finished[method])
        steered = StableDiffusionControlNetPipeline.from_pipe(pipe, controlnet=net)
        drawn = steered(PROMPT, Image.new("RGB", (32, 32), "red"), 32, 32, 2, output_type="latent", seed=1).images
        assert np.isfinite(drawn).all() and np.abs(drawn - before).max() > 1e-4
        return
    else:
        pipe = StableDiffusionPipeline.from_pretrained(str(finished[method]))
        assert trained_networks(finished[method]) == (["unet", "text_encoder"] if method == "fine_tuning" else ["unet"])
    assert np.isfinite(latents(pipe)).all() and np.abs(latents(pipe) - before).max() > 1e-4


def test_a_lora_in_kohyas_format_is_the_same_lora(data: Path, finished: dict[str, Path], tmp_path: Path) -> None:
    usual = FileTensors([finished["lora"]])
    told = {"format": "kohya", "save_precision": "fp16", "alpha": 3.0}
    stored = FileTensors([run("lora", data, tmp_path / "run", **told)])
    about = {name: stored.metadata[f"ss_{name}"] for name in ("network_dim", "network_alpha", "seed", "steps")}
    assert about == {"network_dim": "2", "network_alpha": "3.0", "seed": "0", "steps": "4"}
    assert len(stored.shapes()) == len(usual.shapes()) * 3 // 2
    assert {stored.read(key).dtype for key in stored.shapes()} == {np.dtype("float16"), np.dtype("float32")}
    pipe = StableDiffusionPipeline.from_pretrained(str(GOLDEN / "diffusers_folder"))
    pipe.load_lora_weights(tmp_path / "run")
    assert pipe.get_list_adapters() == {"unet": ["default_0"], "text_encoder": ["default_0"]}


@pytest.mark.parametrize("method", list(CHANGES))
def test_it_reports(method: str, finished: dict[str, Path]) -> None:
    folder = finished[method].parent
    assert [record["step"] for record in read_log(folder)] == [1, 2, 3, 4]
    assert min(record["grad_norm"] for record in read_log(folder)) > 0
    assert (folder / "loss.png").exists() and list(folder.glob("events*"))


@pytest.mark.parametrize("method", list(CHANGES))
def test_a_run_that_is_interrupted_ends_with_the_same_bits(
    method: str, data: Path, finished: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By Ctrl-C after the third step, then with blocks that are computed again or not."""
    interrupt(monkeypatch, after=3)
    with pytest.raises(KeyboardInterrupt):
        run(method, data, tmp_path / "run")
    monkeypatch.undo()
    assert not (tmp_path / "run" / "model").exists()
    assert bits(run(method, data, tmp_path / "run", validation_prompts=("a house",))) == bits(finished[method])


@pytest.mark.parametrize("method", list(CHANGES))
def test_a_finished_run_is_made_longer(
    method: str, data: Path, finished: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted meanwhile, it ends with the bits of one that was as long from the start."""
    short = replace(LOOP, steps=2)
    first = bits(run(method, data, tmp_path, loop=short))
    interrupt(monkeypatch, after=3)
    with pytest.raises(KeyboardInterrupt):
        run(method, data, tmp_path)
    monkeypatch.undo()
    assert bits(tmp_path / finished[method].name) == first != bits(finished[method])
    assert bits(run(method, data, tmp_path)) == bits(finished[method])
    with pytest.raises(InputError, match="has had 4 updates, more than steps = 2"):
        run(method, data, tmp_path, loop=short)
    assert bits(tmp_path / finished[method].name) == bits(finished[method])


def test_a_model_that_no_run_of_the_folder_has_written_is_left_alone(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(monkeypatch, after=3)
    with pytest.raises(KeyboardInterrupt):
        run("fine_tuning", data, tmp_path)
    monkeypatch.undo()
    (tmp_path / "model").mkdir()
    with pytest.raises(InputError, match="model exists, but no finished run of this output"):
        run("fine_tuning", data, tmp_path)
    assert (tmp_path / "model").is_dir()


def test_runs_that_are_killed_end_with_the_same_bits(data: Path, finished: dict[str, Path], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.training.teaching.killed", str(data), str(tmp_path), *CHANGES]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for method, result in finished.items():
        assert bits(tmp_path / method / result.name) == bits(result), method


@pytest.mark.parametrize("method", ["textual_inversion", "lora", "controlnet"])
def test_computing_blocks_again_changes_nothing_but_rounding(
    method: str, data: Path, finished: dict[str, Path], tmp_path: Path
) -> None:
    again = run(method, data, tmp_path, recompute=True, validation_prompts=("a house",), validation_every=2)
    assert sorted(file.name for file in tmp_path.glob("validation*")) == [
        "validation-000002.png",
        "validation-000004.png",
    ]
    assert Image.open(tmp_path / "validation-000004.png").size > (32, 32)
    here, there = (FileTensors(list_weights(result)) for result in (again, finished[method]))
    for name in there.shapes():
        assert np.allclose(here.read(name), there.read(name), atol=1e-4), name
    losses = [[record["loss"] for record in read_log(file.parent)] for file in (again, finished[method])]
    assert np.allclose(*losses, rtol=1e-4)


@pytest.mark.parametrize("method", ["lora", "dreambooth"])
def test_a_run_tells_what_happens_and_can_be_closed(
    method: str, data: Path, finished: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It prints nothing, closed it leaves a checkpoint, and the next one ends with the same bits."""
    asked = settings(method, data, tmp_path / "run", validation_prompts=("a house",), validation_every=3)
    run = TEACHINGS[method].start(asked)
    events = []
    for event in run:
        events.append(event)
        if isinstance(event, PictureWritten) and event.path.name == "validation-000003.png":
            break
    run.close()
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    drawn = [tmp_path / "run" / "class" / f"{i:05d}.png" for i in range(2)] if method == "dreambooth" else []
    seen = [event.count for event in events if isinstance(event, Evaluated)]
    assert events[0] == Planned(len(drawn), 0, sum(seen), 4) and min(seen) > 0
    assert [event.path for event in events if isinstance(event, PictureWritten)][: len(drawn)] == drawn
    updates = [event for event in events if isinstance(event, Updated)]
    losses = [record["loss"] for record in read_log(tmp_path / "run")]
    assert updates == [Updated("run", 1, loss) for loss in losses] and len(updates) == 3
    assert [path.name for path in (tmp_path / "run" / "checkpoint").iterdir()] == ["step-00000003"]
    shown: list[Any] = []
    result = jstyle.train(asked, show=shown.append)
    assert bits(result) == bits(finished[method])
    assert shown[0] == Planned(len(drawn), len(drawn), 0, 1)  # the sheet is drawn, and three updates are made
    assert [event.count for event in shown if isinstance(event, Updated)] == [1]
    assert handlers == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
    assert capfd.readouterr().err == ""


def test_a_run_is_not_continued_with_other_pictures(data: Path, tmp_path: Path) -> None:
    run("textual_inversion", data, tmp_path)
    other = pictures(tmp_path / "other")
    (other / "ice-cream.txt").write_text("two cones")
    with pytest.raises(InputError, match="was begun with pictures"):
        run("textual_inversion", other, tmp_path)
    with pytest.raises(InputError, match="was begun with vectors = 2, not 3"):
        run("textual_inversion", data, tmp_path, vectors=3)


def test_the_class_is_drawn_once(finished: dict[str, Path], data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = finished["dreambooth"].parent
    assert sorted(os.listdir(folder / "class")) == ["00000.png", "00001.png"]
    before = [(folder / "class" / name).stat().st_mtime_ns for name in sorted(os.listdir(folder / "class"))]
    written = finished["dreambooth"] / "unet" / "diffusion_pytorch_model.safetensors"
    time_of = written.stat().st_mtime_ns
    run("dreambooth", data, folder)  # finished: what is there stays
    assert written.stat().st_mtime_ns == time_of
    with pytest.raises(InputError, match="was begun with rate = "):
        run("dreambooth", data, folder, loop=replace(LOOP, rate=0.5))
    finished["dreambooth"].rename(folder / "moved")
    try:
        run("dreambooth", data, folder)
        after = [(folder / "class" / name).stat().st_mtime_ns for name in sorted(os.listdir(folder / "class"))]
        assert after == before
    finally:
        (folder / "model").rename(folder / "again")
        (folder / "moved").rename(folder / "model")


@pytest.mark.parametrize("method", [method for method in CHANGES if method != "controlnet"])  # which has a map besides
def test_it_learns(method: str, data: Path, tmp_path: Path) -> None:
    """At the very noise of some batches the loss falls, by the result as it is loaded from its file."""
    loop = LoopSettings(steps=24, rate=2e-3 if method in WHOLE else 2e-2, schedule="cosine", warmup=2)
    changes = {"loop": loop, "loss": LossSettings(), "flip": False}
    changes.update({} if method == "textual_inversion" else {"caption_dropout": 0.0, "class_prompt": None})
    given, start = settings(method, data, tmp_path, **changes), settings(method, data, tmp_path, **changes)
    base = StableDiffusionPipeline.from_pretrained(given.model.model)
    if method == "textual_inversion":
        base.vocabulary.add({"<style>": textual_inversion.start_rows(base.vocabulary, start)})  # type: ignore[arg-type]
    before = mean_loss(method, base, given)
    result = run(method, data, tmp_path, **changes)
    taught = StableDiffusionPipeline.from_pretrained(str(result) if method in WHOLE else given.model.model)
    if method == "textual_inversion":
        taught.load_textual_inversion(result)
    elif method == "lora":
        taught.load_lora_weights(result)
    after = mean_loss(method, taught, given)
    assert after < (0.998 if method == "textual_inversion" else 0.9) * before, (before, after)


def mean_loss(method: str, pipe: StableDiffusionPipeline, given: Any) -> float:
    """Over the first batches, each at its own noise."""
    loss = tuning.make_loss(pipe, given, tuning.make_learning_reader(pipe), tuning.Clock())
    shown = tuning.encode_pictures(pipe, given, images.find_images(given.data))
    losses = []
    for index in range(8):
        which, latents = tuning.draw_batch(shown, given, index)
        names = [shown.names[i] for i in which]
        if method == "textual_inversion":
            said = textual_inversion.draw_captions(given, names, index)
        else:
            said = [
                examples.fill_template(given.prompt, name=name, article=examples.find_article(name)) for name in names
            ]
        with jt.no_grad():
            losses.append(loss(tuning.Batch(latents, said, np.ones(len(which))), index).item())
    return float(np.mean(losses))


def test_frozen_networks_are_trainable_again_afterwards() -> None:
    pipe = StableDiffusionPipeline.from_pretrained(str(GOLDEN / "diffusers_folder"))
    with tuning.frozen(pipe.unet):
        assert all(one.is_stop_grad() for one in pipe.unet.parameters())
    assert not any(one.is_stop_grad() for one in pipe.unet.parameters())


def test_a_loaded_model_is_taught_and_left_as_it_was(data: Path, finished: dict[str, Path], tmp_path: Path) -> None:
    pipe = StableDiffusionPipeline.from_pretrained(str(GOLDEN / "diffusers_folder"))
    before, model_hash = latents(pipe), pipe.model_hash
    for method in ("lora", "textual_inversion"):
        result = jstyle.train(settings(method, data, tmp_path / method), pipe)
        assert bits(result) == bits(finished[method])
        assert (latents(pipe) == before).all() and pipe.model_hash == model_hash
    with pytest.raises(InputError, match="would change the pipeline's own weights"):
        jstyle.train(settings("fine_tuning", data, tmp_path / "whole"), pipe)
    pipe.load_lora_weights(finished["lora"].parent)
    with pytest.raises(InputError, match="LoRAs are in effect"):
        jstyle.train(settings("lora", data, tmp_path / "again"), pipe)
    with pytest.raises(TypeError, match="settings of no way to teach"):
        jstyle.train(LoopSettings())
