"""Z* and Attention Distillation on Stable Diffusion XL's shape: the formula in float64, and the paper's own code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

import jstyle
from jstyle.diffusion.schedule import Schedule
from jstyle.diffusion.schedule_config import ScheduleConfig
from jstyle.errors import InputError
from jstyle.events import exhaust
from jstyle.methods.attention_distillation.method import AttentionDistillationOnLatents, StyleLatents
from jstyle.methods.attention_distillation.settings import AttentionDistillationSettings
from jstyle.methods.z_star.method import Content, ZStarOnLatents
from jstyle.methods.z_star.settings import ZStarSettings
from jstyle.networks import Condition
from jstyle.networks.condition import GivenNumbers
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from tests.methods.attention_distillation.test_parity import compute_loss
from tests.methods.z_star.test_parity import RUNS
from tests.parity.networks import GOLDEN, golden, relative_error

RECORDED = golden("pair_methods_sdxl")
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionPipeline:
    return jstyle.DiffusionPipeline.from_pretrained(str(GOLDEN / "sdxl_folder"))


def open_method(pipe: StableDiffusionPipeline, settings: Any) -> AttentionDistillationOnLatents:
    return AttentionDistillationOnLatents(pipe, settings, StyleLatents([jt.array(RECORDED["style"])], [1.0]))


@pytest.mark.parametrize("run", [run for run in RUNS if run != "null_text"])
def test_the_formula_of_z_star(pipe: StableDiffusionPipeline, run: str) -> None:
    config = ScheduleConfig(
        "ddim", 1000, 0.00085, 0.012, "scaled_linear", None, "epsilon", "leading", 1, set_alpha_to_one=False
    )
    told = Condition(jt.array(RECORDED["text"]), jt.array(RECORDED["pooled"]), (GivenNumbers((64, 64, 0, 0, 64, 64)),))
    last = [site.index for site in pipe.unet.sites if not site.is_cross][-6:]
    changes = {**RUNS[run], **({"layers": (last[1], last[4])} if "layers" in RUNS[run] else {})}
    settings = ZStarSettings(**{"steps": 10, "inject_start": 2, **changes})
    z_star = ZStarOnLatents(pipe.unet, told, Schedule(config), settings)
    contents = np.concatenate([RECORDED["first"], RECORDED["second"]])
    paths = exhaust(z_star.invert(jt.array(contents), "contents"))
    (style,) = exhaust(z_star.invert(jt.array(RECORDED["style"]), "style"))
    out = exhaust(z_star.stylise(list(map(Content, paths)), style))
    assert relative_error(np.array(out.numpy()), RECORDED[f"z_star_{run}"]) < TOLERANCE


def test_the_published_attention_distillation(pipe: StableDiffusionPipeline) -> None:
    content = jt.array(RECORDED["first"])
    method = open_method(pipe, AttentionDistillationSettings(steps=10))
    # Gradients of absolute differences are signs, so rounding may turn a few of them over in ten updates.
    distilled = exhaust(method.optimise(content, content, 0.25))
    assert relative_error(np.array(distilled.numpy()), RECORDED["distilled"]) < 10 * TOLERANCE
    loss, gradient = compute_loss(pipe, method, jt.array(RECORDED["second"]), content)
    np.testing.assert_allclose(loss, RECORDED["loss"], rtol=1e-5)
    assert relative_error(gradient, RECORDED["gradient"]) < TOLERANCE


def test_pictures(pipe: StableDiffusionPipeline) -> None:
    content, style = (Image.new("RGB", (64, 64), colour) for colour in ("red", "navy"))
    made = jstyle.ZStar(pipe, ZStarSettings(steps=2, width=64, height=64, inject_start=0))(content, style)
    assert made.size == (64, 64)
    with pytest.raises(InputError, match="null"):
        jstyle.ZStar(pipe, ZStarSettings(steps=2, null_text=1, guidance=2.0))
