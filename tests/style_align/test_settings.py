"""Presets, and settings that make no sense."""

from __future__ import annotations

from typing import Any, Dict

import numpy as np
import pytest

from jstyle.errors import InputError
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from style_align.features import feature_bytes
from style_align.settings import PRESETS, Sharing, StyleAlignSettings
from style_align.share import shared_sites
from style_align.transfer import StyleAlign
from tests.style_align.small import TARGETS, TRAIN, settings


def test_presets_are_those_of_the_notebooks() -> None:
    told = {name: (StyleAlignSettings(preset=name).sharing(False), PRESETS[name]["guidance"]) for name in PRESETS}  # type: ignore[arg-type]
    assert told["sd"] == (Sharing(), 7.5)
    assert told["sdxl"] == (Sharing(share_group_norm=False), 5.0)
    assert told["image"] == (Sharing(shared_score_shift=float(np.log(2))), 10.0)
    assert told["famous_image"] == (Sharing(shared_score_scale=0.5), 10.0)
    assert told["panorama"] == (Sharing(), 7.5)
    assert StyleAlignSettings().steps_ahead == 5
    chosen = [StyleAlignSettings(panorama=wide).chosen_preset(image) for wide in (False, True) for image in (0, 1)]
    assert chosen == ["sd", "image", "panorama", "image"]


def test_layers_are_chosen_as_the_papers_code_does(pipe: StableDiffusionPipeline) -> None:
    everything = shared_sites(pipe.unet, Sharing())
    assert len(everything) == 16
    assert shared_sites(pipe.unet, Sharing(only_self_level=1.0)) == frozenset()
    half = shared_sites(pipe.unet, Sharing(only_self_level=0.5))
    listed = sorted((s for s in pipe.unet.sites if not s.is_cross), key=lambda s: s.path.startswith("mid"))
    assert half == {site.path for site in listed[1::2]}
    few = shared_sites(pipe.unet, Sharing(only_self_level=0.75))  # flipped: every fourth one shares
    assert few == {site.path for site in listed[::4]}
    assert shared_sites(pipe.unet, Sharing(layers=(0, 2))) < everything
    with pytest.raises(InputError, match="16 self-attentions"):
        shared_sites(pipe.unet, Sharing(layers=(16, None)))


def test_the_memory_of_features_is_foreseen(pipe: StableDiffusionPipeline) -> None:
    told = []
    method = StyleAlign(pipe, settings(batch_size=1, features="memory"), [TRAIN])
    list(method.run(TARGETS[:2]))
    for kept in method._references[0]._features.values():  # type: ignore[index]
        told.append(sum(site.k.nbytes + site.v.nbytes for site in kept.sites.values()))
    paths = shared_sites(pipe.unet, Sharing())
    assert told == [feature_bytes(pipe.unet, paths, (4, 16, 16), 2, 4)] * 4


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0}, {"steps": 2000}, {"guidance": -1.0}, {"eta": 2.0}, {"seed": -1}, {"batch_size": 0},
        {"stride": 0}, {"window": 0}, {"step_fraction": 0.0}, {"image_strength": 0.0}, {"offset": 4}, {"offset": -1},
        {"circular": True}, {"step_start": 4}, {"step_stop": 9}, {"layer_start": -1}, {"layer_stop": 0},
        {"only_self_level": 1.5}, {"style_strength": -0.1}, {"shared_score_shift": float("inf")},
        {"preset": "full_attention", "style_strength": 0.5}, {"preset": "full_attention", "panorama": True},
        {"preset": "nonsense"}, {"inversion_guidance": float("nan")},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense(wrong: Dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must") as caught:
        settings(**wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [{"width": 33}, {"layer_stop": 99}, {"panorama": True, "stride": 17}])
def test_settings_that_the_model_cannot_take(pipe: StableDiffusionPipeline, wrong: Dict[str, Any]) -> None:
    with pytest.raises(InputError):
        StyleAlign(pipe, settings(**wrong), [TRAIN])
