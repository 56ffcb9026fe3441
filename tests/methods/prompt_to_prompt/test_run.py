"""The command from end to end, and edits from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jstyle.errors import InputError
from jstyle.events import Evaluated, PictureWritten, Planned, Updated
from jstyle.methods.null_text import NullTextDenoiser
from jstyle.methods.prompt_to_prompt.plan import fill_levels
from jstyle.methods.prompt_to_prompt.run import PromptToPrompt
from jstyle.methods.prompt_to_prompt.settings import EditInputs, PromptToPromptSettings
from jstyle.methods.recalling import recall_settings
from jstyle.methods.table import METHODS
from jstyle.pictures import images
from jstyle.pipelines.cost import CountingPipeline
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.settings.model import ModelSettings
from jstyle.settings.words import parse_words
from tests.parity.networks import GOLDEN

MODEL = ModelSettings(model=str(GOLDEN / "diffusers_folder"))
METHOD = METHODS["prompt_to_prompt"]
TARGETS = ("a dog on a mat", "a red cat on a mat")


def run(
    folder: Path, targets: tuple[str, ...] = TARGETS, image: Any = None, overwrite: bool = False, **changes: Any
) -> tuple[Planned, list[str]]:
    settings = PromptToPromptSettings(**{"steps": 3, "guidance": 3.0, "seed": 7, **changes})
    inputs = EditInputs("a cat on a mat", targets, folder, image, overwrite)
    events = list(METHOD.start(inputs, settings, MODEL))
    planned = next(event for event in events if isinstance(event, Planned))
    assert sum(event.count for event in events if isinstance(event, Evaluated)) == planned.evaluations
    assert sum(event.count for event in events if isinstance(event, Updated)) == planned.updates
    return planned, [event.path.name for event in events if isinstance(event, PictureWritten)]


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    file = tmp_path / "cat.png"
    pixels = np.random.default_rng(1).integers(0, 256, (6, 6, 3), np.uint8)
    Image.fromarray(pixels).resize((64, 64)).save(file)
    return file


def test_the_run_makes_what_is_missing_and_nothing_else(tmp_path: Path) -> None:
    planned, made = run(tmp_path)
    assert made == ["00007_source.png", "00007_edit1.png", "00007_edit2.png"]
    assert planned.evaluations == 3 * 3 * 2  # steps, pictures, halves
    assert run(tmp_path) == (Planned(3, 3, 0), [])
    before = (tmp_path / "00007_edit1.png").read_bytes()
    (tmp_path / "00007_edit1.png").unlink()
    planned, made = run(tmp_path)
    assert made == ["00007_edit1.png"] and planned.finished == 2
    pixels = [np.array(images.open_image(tmp_path / "00007_edit1.png"))]
    (tmp_path / "again.png").write_bytes(before)
    assert np.abs(pixels[0].astype(int) - np.array(images.open_image(tmp_path / "again.png"))).max() <= 1
    with pytest.raises(InputError, match="--overwrite"):
        run(tmp_path, cross_replace_steps=(0.0, 0.5))


def test_a_given_picture_is_inverted_once_and_recorded_where_it_is_needed(tmp_path: Path, photograph: Path) -> None:
    planned, made = run(tmp_path, image=photograph, fixed_point=1)
    assert made == ["cat_source.png", "cat_edit1.png", "cat_edit2.png"]
    # 3 steps of inversion with a call more in each, 3 of the source (0.8 of 4 is the third), 3 of two guided edits
    assert planned.evaluations == 3 * 2 + 3 + 3 * 2 * 2
    narrow, _ = run(
        tmp_path / "narrow", image=photograph, cross_replace_steps=(0.0, 0.25), self_replace_steps=(0.0, 0.0)
    )
    assert narrow.evaluations == 3 + 1 + 3 * 2 * 2
    with pytest.raises(InputError, match="--sampler ddim"):
        run(tmp_path / "other", image=photograph, sampler="euler")


def test_null_texts_that_were_found_are_not_sought_again(
    tmp_path: Path, photograph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was stopped in the middle ends with the same bits, and takes up what it had."""
    given: dict[str, Any] = {"image": photograph, "null_text": 2, "targets": TARGETS[:1]}
    planned, _ = run(tmp_path / "whole", **given)
    assert planned.updates == 3 * 2 and planned.evaluations == 3 + 3 * 2 + 3 + 3 * 2
    settings = PromptToPromptSettings(steps=3, guidance=3.0, seed=7, null_text=2)
    stopped = METHOD.start(EditInputs("a cat on a mat", TARGETS[:1], tmp_path / "again", photograph), settings, MODEL)
    for event in stopped:
        if isinstance(event, Updated):
            break
    stopped.close()
    sought: list[int] = []
    real = NullTextDenoiser.__call__

    def watch(self: NullTextDenoiser, x: Any, level: Any, step: int) -> Any:
        sought.append(step)
        return real(self, x, level, step)

    monkeypatch.setattr(NullTextDenoiser, "__call__", watch)
    run(tmp_path / "again", **given)
    assert sought == [0, 1, 2, 1, 2]  # the first three where the run is counted
    pictures = [np.array(images.open_image(tmp_path / name / "cat_edit1.png")) for name in ("whole", "again")]
    assert np.array_equal(pictures[0], pictures[1])
    unlike, _ = run(tmp_path / "plain", image=photograph, targets=TARGETS[:1])
    assert not np.array_equal(pictures[0], np.array(images.open_image(tmp_path / "plain" / "cat_edit1.png")))
    assert unlike.updates == 0


def test_null_texts_that_cannot_be_are_refused(tmp_path: Path, photograph: Path) -> None:
    with pytest.raises(InputError, match="--image"):
        run(tmp_path, null_text=2)
    with pytest.raises(ValueError, match="without guidance"):
        PromptToPromptSettings(null_text=2, guidance=1.0)
    with pytest.raises(InputError, match="leave it at 0"):
        xl = ModelSettings(model=str(GOLDEN / "sdxl_folder"))
        inputs = EditInputs("a cat on a mat", TARGETS, tmp_path, photograph)
        list(METHOD.start(inputs, PromptToPromptSettings(null_text=2), xl))


def test_words_alone_are_reweighted(tmp_path: Path) -> None:
    _, made = run(tmp_path, (), reweight={"mat": 3.0})
    assert made == ["00007_source.png", "00007_edit1.png"]
    with pytest.raises(InputError, match="nothing to change"):
        run(tmp_path, ())


def test_a_picture_gives_back_what_it_was_made_with(tmp_path: Path, photograph: Path) -> None:
    kinds: list[type] = [EditInputs, PromptToPromptSettings, ModelSettings]
    run(tmp_path, reweight={"cat": 2.0})
    recalled = recall_settings(METHOD, kinds, tmp_path / "00007_edit2.png")
    values = recalled.values
    assert (values["prompt"], values["target"], values["seed"]) == ("a cat on a mat", [TARGETS[1]], 7)
    assert values["reweight"] == {"cat": 2.0} and "image" not in values
    assert not recalled.lines and not recalled.needs and not recalled.origins
    assert not recall_settings(METHOD, kinds, tmp_path / "00007_source.png").needs, "its words are reweighted"
    run(tmp_path, image=photograph)
    source = recall_settings(METHOD, kinds, tmp_path / "cat_source.png")
    assert source.values["image"] == str(photograph)
    with pytest.raises(InputError, match="cat_source.png': it is the source of edits.*give --target"):
        source.check_origins()
    recall_settings(METHOD, kinds, tmp_path / "cat_source.png", ["target"]).check_origins()


def test_options_say_what_yaml_says() -> None:
    words = ["--prompt", "a cat", "--target", "a dog", "--cross_replace_steps", "0.1", "0.5"]
    words += ["--reweight", "{dog: 2}", "--word_steps", "{dog: [0, 0.4]}", "--blend_words", "cat", "dog"]
    inputs, settings = parse_words([EditInputs, PromptToPromptSettings], words, "jstyle", "")
    assert inputs.target == ("a dog",)
    assert settings == PromptToPromptSettings(
        cross_replace_steps=(0.1, 0.5),
        reweight={"dog": 2.0},
        word_steps={"dog": (0.0, 0.4)},
        blend_words=("cat", "dog"),
    )


def test_levels_are_those_of_the_papers_maps_whatever_the_model() -> None:
    usual = CountingPipeline.from_settings(MODEL)
    for size, level in ((64, 2), (96, 2), (16, 0)):
        usual.unet.config = type(usual.unet.config)(**{**vars(usual.unet.config), "sample_size": size})
        filled = fill_levels(PromptToPromptSettings(self_level=1), usual)
        assert (filled.self_level, filled.blend_level) == (1, level)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"blend_words": ("cat",), "blend_level": 3}, "blend_level 3: this model has maps of words at the levels"),
        ({"self_level": 9}, "self_level 9: this model's maps are halved . times at most"),
    ],
)
def test_maps_that_the_model_does_not_have_are_refused(settings: dict[str, Any], said: str) -> None:
    pipe = StableDiffusionPipeline.from_pretrained(MODEL.model)
    with pytest.raises(InputError, match=said):
        PromptToPrompt(pipe, PromptToPromptSettings(steps=2, **settings))("a cat", ["a dog"])
