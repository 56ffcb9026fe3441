"""Presets, and settings that make no sense."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jstyle.errors import InputError
from jstyle.methods.room import count_features
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.settings.reader import build, plain
from style_align.features import shared_sites
from style_align.run import AlignedSet
from style_align.settings import PRESETS, Sharing, StyleAlignSettings
from tests.style_align.small import TARGETS, TRAIN, pictures_of, settings


def test_presets_are_those_of_the_notebooks() -> None:
    each = {name: build(StyleAlignSettings, {"preset": name}) for name in PRESETS}
    told = {name: (one.choose_sharing(False), one.choose_guidance(False)) for name, one in each.items()}
    assert told["sd"] == (Sharing(), 7.5)
    assert told["sdxl"] == (Sharing(share_group_norm=False), 5.0)
    assert told["image"] == (Sharing(shared_score_shift=float(np.log(2))), 10.0)
    assert told["famous_image"] == (Sharing(shared_score_scale=0.5), 10.0)
    assert told["panorama"] == (Sharing(), 7.5)
    assert StyleAlignSettings().offset == 5
    plain_set, panorama = (build(StyleAlignSettings, {"panorama": wide}) for wide in (False, True))
    chosen = [one.choose_preset(of_picture) for one in (plain_set, panorama) for of_picture in (False, True)]
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
    aligned = AlignedSet(pipe, settings(batch_size=1, features="memory"), [TRAIN])
    pictures_of(aligned, TARGETS[:2])
    for kept in aligned.on_latents._references[0]._features.values():
        told.append(sum(pair.k.nbytes + pair.v.nbytes for site in kept.sites.values() for pair in site.sets))
    paths = shared_sites(pipe.unet, Sharing())
    assert told == [2 * 2 * 4 * count_features(pipe.unet, paths, (4, 16, 16))] * 4  # k and v of two halves, in fp32


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0}, {"steps": 2000}, {"guidance": -1.0}, {"eta": 2.0}, {"seed": -2}, {"batch_size": 0},
        {"stride": 0}, {"window": 0}, {"step_fraction": 0.0}, {"image_strength": 0.0}, {"offset": 4}, {"offset": -1},
        {"circular": True}, {"step_start": 4}, {"step_stop": 9}, {"layer_start": -1}, {"layer_stop": 0},
        {"only_self_level": 1.5}, {"style_strength": -0.1}, {"shared_score_shift": float("inf")},
        {"preset": "full_attention", "style_strength": 0.5}, {"preset": "full_attention", "panorama": True},
        {"preset": "nonsense"}, {"inversion_guidance": float("nan")},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must") as caught:
        settings(**wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [{"width": 33}, {"layer_stop": 99}, {"panorama": True, "stride": 17}])
def test_settings_that_the_model_cannot_take(pipe: StableDiffusionPipeline, wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        AlignedSet(pipe, settings(**wrong), [TRAIN])


def test_what_the_preset_decides_is_spelt_out() -> None:
    """So that a set by its preset's name and one by the preset's values are the same pictures."""
    filled = settings(panorama=True).fill(False)
    assert filled == settings(panorama=True, preset="panorama", guidance=7.5, offset=0).fill(False)
    assert None not in [plain(filled)[name] for name in ("preset", "guidance", "share_attention", "shared_score_shift")]
    for of_picture in (False, True):
        once = settings(shared_score_scale=0.7).fill(of_picture)
        assert once.fill(False) == once.fill(True) == once
        assert once.choose_sharing(False) == settings(shared_score_scale=0.7).choose_sharing(of_picture)


def test_option_names_stand_at_one_level() -> None:
    """As command lines and YAML files have had them."""
    names = set(plain(StyleAlignSettings()))
    assert {"preset", "steps", "guidance", "adain_queries", "layer_start", "offset", "features", "window"} < names
    assert len(names) == 45
