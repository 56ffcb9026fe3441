"""Every method's class looks at its pipeline and its settings before anything else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import jstyle
from jstyle.errors import InputError
from jstyle.pipelines.artfusion import CountingArtFusion
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from style_align.settings import StyleAlignSettings
from styleid.settings import StyleIDSettings
from tests.parity.networks import GOLDEN

SETTINGS: dict[str, Any] = {
    "Imagic": jstyle.ImagicSettings(),
    "ZStar": jstyle.ZStarSettings(),
    "StyleID": StyleIDSettings(),
    "AttentionDistillation": jstyle.AttentionDistillationSettings(),
    "DistilledText": jstyle.DistilledTextSettings(),
    "PromptToPrompt": jstyle.PromptToPromptSettings(),
    "InST": jstyle.InstSettings(),
    "StyleAligned": StyleAlignSettings(),
    "ArtFusion": jstyle.ArtFusionSettings(),
}


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(str(GOLDEN / "diffusers_folder"))


def refuse(name: str, pipe: Any, settings: Any) -> str:
    with pytest.raises(InputError) as caught:
        getattr(jstyle, name)(pipe, settings)
    return str(caught.value)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("given", ["tiny", None, 5, {}])
def test_what_is_no_pipeline_is_one_line(name: str, given: Any) -> None:
    said = refuse(name, given, SETTINGS[name])
    assert said.startswith(f"{name} wants a pipeline, such as jstyle.") and "from_pretrained(...), not " in said
    assert said.endswith("not None" if given is None else f"not a value of {type(given).__name__}")


@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "ArtFusion"])
@pytest.mark.parametrize("given", ["tiny", 5, {}, StableDiffusionPipeline])
def test_settings_of_another_kind_are_one_line(name: str, given: Any, pipe: StableDiffusionPipeline) -> None:
    kind = type(SETTINGS[name]).__name__
    assert refuse(name, pipe, given).startswith(f"{name} wants its settings as {kind}(...), not ")


def test_a_pipeline_of_another_kind_is_none(pipe: StableDiffusionPipeline) -> None:
    counting = object.__new__(CountingArtFusion)
    assert "jstyle.StableDiffusionPipeline.from_pretrained" in refuse("StyleID", counting, StyleIDSettings())
    assert "jstyle.ArtFusionPipeline.from_pretrained" in refuse("ArtFusion", pipe, jstyle.ArtFusionSettings())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tune": "all"}, "ImagicSettings: tune must be one of unet, lora, not 'all'"),
        ({"sampler": "zz"}, "ImagicSettings: sampler must be one of "),
        ({"unet_loop": 5}, "ImagicSettings: unet_loop must be settings (name: value), not 5"),
        ({"negative_prompt": None}, "ImagicSettings: negative_prompt must be a text, not null"),
        ({"steps": 2.5}, "ImagicSettings: steps must be a whole number, not 2.5"),
        ({"recompute": object()}, "ImagicSettings: settings hold no object"),
    ],
)
def test_settings_that_no_file_could_hold_are_one_line(
    changes: dict[str, Any], said: str, pipe: StableDiffusionPipeline
) -> None:
    assert refuse("Imagic", pipe, replace(jstyle.ImagicSettings(), **changes)).startswith(said)
