"""The command from end to end, killed and gone on with, and a pipeline that is afterwards as it was."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import jstyle
from jstyle.errors import InputError, InputWarning
from jstyle.events import Evaluated, PictureWritten, Planned, Updated
from jstyle.methods.imagic.run import Imagic
from jstyle.methods.imagic.settings import ImagicInputs, ImagicSettings
from jstyle.methods.recalling import recall_settings
from jstyle.pictures import images, png_texts
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.settings.model import ModelSettings
from jstyle.training import LoopSettings
from tests.methods.imagic.small import ETAS, LOOP, METHOD, MODEL, PROMPT, settings, start, write_picture
from tests.parity.networks import GOLDEN

ROOT = Path(__file__).resolve().parents[3]
NAMES = [f"cat_eta{eta:g}.png" for eta in ETAS]


def run(picture: Path, output: Path, tune: str = "unet", **changes: Any) -> tuple[Planned, list[str]]:
    events = list(start(picture, output, tune, **changes))
    planned = next(event for event in events if isinstance(event, Planned))
    assert sum(event.count for event in events if isinstance(event, Evaluated)) == planned.evaluations
    assert sum(event.count for event in events if isinstance(event, Updated)) == planned.updates
    return planned, [event.path.name for event in events if isinstance(event, PictureWritten)]


def read_pixels(folder: Path) -> list[np.ndarray]:
    return [np.array(images.open_image(folder / name)) for name in NAMES]


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_picture(tmp_path_factory.mktemp("picture"))


@pytest.fixture(scope="module", params=["unet", "lora"])
def finished(
    request: pytest.FixtureRequest, picture: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """What an uninterrupted run leaves."""
    folder = tmp_path_factory.mktemp(request.param)
    planned, made = run(picture, folder, request.param)
    assert planned == Planned(3, 0, 3 * 2 * 2, 2 * LOOP.steps) and made == NAMES
    return request.param, folder


def test_a_run_makes_what_is_missing_and_learns_nothing_twice(picture: Path, finished: tuple[str, Path]) -> None:
    tune, folder = finished
    assert run(picture, folder, tune) == (Planned(3, 3, 0, 0), [])
    before = read_pixels(folder)
    (folder / NAMES[1]).unlink()
    assert run(picture, folder, tune) == (Planned(3, 2, 2 * 2, 0), [NAMES[1]])
    assert all(np.array_equal(*pair) for pair in zip(before, read_pixels(folder)))
    assert (folder / "cat_sheet.png").is_file() and png_texts.is_sheet(folder / "cat_sheet.png")
    assert len({one.tobytes() for one in before}) == 3
    with pytest.raises(InputError, match="--overwrite"):
        run(picture, folder, tune, guidance=4.0)


@pytest.mark.parametrize("finished", ["unet"], indirect=True)
def test_a_killed_run_ends_with_the_same_bits(picture: Path, finished: tuple[str, Path], tmp_path: Path) -> None:
    """Killed in the first stage, then in the second, each after a checkpoint."""
    tune, folder = finished
    command = [sys.executable, "-m", "tests.methods.imagic.killed", str(picture), str(tmp_path), tune]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(np.array_equal(*pair) for pair in zip(read_pixels(tmp_path), read_pixels(folder)))
    states = [sorted(one.glob("trainings/*/checkpoint/*/state.safetensors")) for one in (folder, tmp_path)]
    assert len(states[0]) == 2
    assert [file.read_bytes() for file in states[0]] == [file.read_bytes() for file in states[1]]


@pytest.mark.parametrize("tune", ["unet", "lora"])
def test_the_pipeline_is_afterwards_as_it_was(tune: str, picture: Path, tmp_path: Path) -> None:
    """After pictures, after a training that fails, and after a run that is left in the middle of its second stage."""
    pipe = StableDiffusionPipeline.from_pretrained(MODEL.model)
    shapes, before, own = repr(pipe.unet), everything(pipe), pipe.model_hash
    drawn = pipe(PROMPT, num_inference_steps=2, seed=1, output_type="np").images
    image = images.open_image(picture)
    assert len(Imagic(pipe, settings(tune))(image, PROMPT, ETAS, tmp_path / "a")) == 3
    broken = {f"{tune}_loop": LoopSettings(steps=4, rate=1e30, clip=None)}
    with pytest.raises(InputError, match="not finite"):
        Imagic(pipe, settings(tune, **broken))(image, PROMPT, ETAS, tmp_path / "b")
    left = Imagic(pipe, settings(tune)).edit(image, PROMPT, ETAS, range(3), tmp_path / "c")
    assert next(event for event in left if isinstance(event, Updated) and event.stage == tune)
    left.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert everything(pipe) == before and repr(pipe.unet) == shapes and pipe.model_hash == own
    assert not any(one.is_stop_grad() for one in pipe.unet.parameters())
    assert np.array_equal(pipe(PROMPT, num_inference_steps=2, seed=1, output_type="np").images, drawn)
    assert list((tmp_path / "c").glob(f"{tune}-*/checkpoint/step-00000001"))


def everything(pipe: StableDiffusionPipeline) -> dict[str, bytes]:
    parts: Any = (pipe.unet, pipe.vae, pipe.text_encoder)
    return {
        f"{i}.{name}": one.numpy().tobytes() for i, part in enumerate(parts) for name, one in part.named_parameters()
    }


def test_a_picture_gives_back_what_it_was_made_with(picture: Path, finished: tuple[str, Path]) -> None:
    tune, folder = finished
    kinds: list[type] = [ImagicInputs, ImagicSettings, ModelSettings]
    recalled = recall_settings(METHOD, kinds, folder / NAMES[1])
    recalled.check_origins()
    values, lines = recalled.values, recalled.lines
    assert (values["prompt"], values["eta"], values["image"]) == (PROMPT, [0.5], str(picture)) and not lines
    assert values["tune"] == tune and values["embedding_loop"]["steps"] == LOOP.steps


@pytest.mark.parametrize(
    ("argument", "value", "said"),
    [
        *(("prompt", value, "prompt must be a text, not ") for value in (None, 5, ["a"])),
        *(("image", value, "a picture must be PIL's") for value in ("cat.png", None, np.zeros((8, 8, 3), np.uint8))),
        *(("etas", value, "etas must be a list") for value in (0.5, "12", None)),
        *(("etas", value, r"etas\[0\] must be a (finite )?number, not ") for value in ([True], ["0.5"], [np.nan])),
        *(("etas", value, r"etas\[0\] must be from -1 to 2, not ") for value in ([1e30], np.array([-1.5]))),
        ("etas", [], "etas must name at least one number"),
        ("folder", 5, "folder must be a path, not 5"),
        ("folder", __file__, "is a file, not a folder"),
    ],
)
def test_an_argument_that_cannot_be_is_one_line(
    argument: str, value: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Imagic, "edit", lambda *arguments: pytest.fail("work has begun"))
    given = {"image": Image.new("RGB", (8, 8)), "prompt": "a", "etas": (0.5,), argument: value}
    edit = Imagic(StableDiffusionPipeline.from_pretrained(MODEL.model), settings("unet"))
    with pytest.raises(InputError, match=said) as caught:
        edit(**given)
    assert "\n" not in str(caught.value)


def test_a_folder_may_be_named_by_a_text(picture: Path, finished: tuple[str, Path]) -> None:
    tune, folder = finished
    edit = Imagic(StableDiffusionPipeline.from_pretrained(MODEL.model), settings(tune))
    before = {path for path in (folder / "trainings").rglob("*")}
    (made,) = edit(images.open_image(picture), PROMPT, np.array([0.5]), str(folder / "trainings"))
    assert np.array_equal(np.asarray(made), read_pixels(folder)[1])
    assert {path for path in (folder / "trainings").rglob("*")} == before


def test_a_loop_that_nothing_goes_by_is_told() -> None:
    pipe = StableDiffusionPipeline.from_pretrained(MODEL.model)
    with pytest.warns(InputWarning, match="unet_loop changes nothing with tune lora, which goes by lora_loop"):
        Imagic(pipe, settings("lora", unet_loop=LOOP))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for tune in ("unet", "lora"):
            Imagic(pipe, settings(tune))


def test_what_cannot_be_is_said_before_any_work(picture: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="set it too"):
        settings("unet", lora_rank=8)
    with pytest.raises(ValueError, match="twice"):
        ImagicInputs(picture, PROMPT, (1.0, 1.0))
    for eta in (-1.5, 1e9):
        with pytest.raises(ValueError, match=r"eta\[1\] must be from -1 to 2"):
            ImagicInputs(picture, PROMPT, (1.0, eta))
    with pytest.raises(InputError, match="bf16"):
        bf16 = ModelSettings(model=MODEL.model, precision="bf16")
        list(METHOD.start(ImagicInputs(picture, PROMPT, ETAS, tmp_path), settings("unet"), bf16))
    with pytest.raises(InputError, match="take SD 1.x or 2.x"):
        xl = ModelSettings(model=str(GOLDEN / "sdxl_folder"))
        list(METHOD.start(ImagicInputs(picture, PROMPT, ETAS, tmp_path), settings("unet"), xl))
    pipe = StableDiffusionPipeline.from_pretrained(MODEL.model)
    pipe.vae.config = type(pipe.vae.config)(**{**vars(pipe.vae.config), "latent_channels": 9})
    with pytest.raises(InputError, match="inpainting"):
        Imagic(pipe)
    assert jstyle.Imagic is Imagic
