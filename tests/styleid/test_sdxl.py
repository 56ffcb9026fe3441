"""StyleID on Stable Diffusion XL's shape: its text and sizes reach every call, and its features come back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jstyle
from jstyle.diffusion.samplers import ddim_invert
from jstyle.diffusion.schedule import Level, Prediction, to_prediction
from jstyle.errors import InputError
from jstyle.events import exhaust
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.settings.reader import build
from styleid.bank import MemoryBank
from styleid.inject import injected_sites
from styleid.method import Inverted, StyleIDOnLatents
from styleid.settings import StyleIDSettings
from tests.parity.networks import GOLDEN, relative_error


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionPipeline:
    return jstyle.DiffusionPipeline.from_pretrained(str(GOLDEN / "sdxl_folder"))


def draw(seed: int) -> jt.Var:
    return jt.array(np.random.default_rng(seed).standard_normal((1, 4, 16, 16), np.float32))


def settings(**changes: Any) -> StyleIDSettings:
    return build(StyleIDSettings, {"steps": 4, "feature_dtype": "float32", **changes})


def test_an_inversion_is_under_the_empty_text_and_the_pictures_size(pipe: StableDiffusionPipeline) -> None:
    latents = StyleIDOnLatents(pipe.unet, pipe.condition_texts(""), pipe.schedule, settings())
    (inverted,) = exhaust(latents.invert(draw(1), "content", [MemoryBank()]))
    texts = jstyle.StableDiffusionXLPipeline.from_pipe(pipe).encode_prompt("", do_classifier_free_guidance=False)
    added = {"text_embeds": texts[2], "time_ids": [[64, 64, 0, 0, 64, 64]]}

    def denoise(x: jt.Var, level: Level, step: int) -> Prediction:
        out = pipe.unet(x, level.t, texts[0], added_cond_kwargs=added).sample
        return to_prediction(out, x, level.alpha_bar, "epsilon")

    with jt.no_grad():
        *_, last = ddim_invert(denoise, draw(1), pipe.schedule, 4, settings().inversion)
    assert relative_error(inverted[None], last.x.numpy()) < 1e-6


def test_features_that_are_computed_again_are_those_that_are_kept(pipe: StableDiffusionPipeline) -> None:
    latents = StyleIDOnLatents(pipe.unet, pipe.condition_texts(""), pipe.schedule, settings())
    kept = []
    for seed, role in ((1, "content"), (2, "style")):
        bank = MemoryBank()
        (latent,) = exhaust(latents.invert(draw(seed), role, [bank]))  # type: ignore[arg-type]
        kept.append(Inverted(latent, bank))
    traced = [exhaust(latents.trace(draw(seed), role))[0] for seed, role in ((1, "content"), (2, "style"))]  # type: ignore[arg-type]
    out = exhaust(latents.stylise(kept[:1], kept[1])).numpy()
    again = exhaust(latents.stylise(traced[:1], traced[1])).numpy()
    assert relative_error(again, out) < 1e-5
    other = StyleIDOnLatents(pipe.unet, pipe.condition_texts(""), pipe.schedule, settings(gamma=0.1))
    assert relative_error(exhaust(other.stylise(kept[:1], kept[1])).numpy(), out) > 1e-3


def test_layers_are_whole_transformers(pipe: StableDiffusionPipeline) -> None:
    """SDXL's decoder has attention after its first six resnets alone, in transformers of several blocks."""
    decoder = [site.path for site in pipe.unet.sites if site.path.startswith("up_") and not site.is_cross]
    assert len(decoder) == 9  # 3 transformers of two blocks, 3 of one
    assert injected_sites(pipe.unet, None) == {path for path in decoder if path.startswith("up_blocks.1.")}
    assert injected_sites(pipe.unet, [0, 4]) == {
        *(path for path in decoder if path.startswith("up_blocks.0.attentions.0.")),
        *(path for path in decoder if path.startswith("up_blocks.1.attentions.1.")),
    }
    with pytest.raises(InputError, match="layer 6 has no decoder self-attention; this model has .0, 1, 2, 3, 4, 5."):
        injected_sites(pipe.unet, [6])
