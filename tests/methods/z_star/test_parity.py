"""Z* against its published code on the same weights, and against a rendering in float64 with matrices of attention."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jstyle.diffusion.schedule import Schedule
from jstyle.diffusion.schedule_config import ScheduleConfig
from jstyle.events import exhaust
from jstyle.methods.layers import choose_layers
from jstyle.methods.z_star.method import Content, ZStarOnLatents
from jstyle.methods.z_star.settings import ZStarSettings
from jstyle.networks import Condition
from jstyle.runtime import jt
from tests.parity.networks import build, golden, relative_error

RECORDED = golden("z_star")
TOLERANCE = 1e-4
PREDICTIONS = {"sd1": "epsilon", "sd2": "v_prediction"}
RUNS: dict[str, dict[str, Any]] = {
    "plain": {},
    "null_text": {"guidance": 7.5},
    "scales": {"style_scale": 2.0, "content_scale": 0.5, "content_pull": 0.2},
    "apart": {"content_scale": None},
    "window": {"inject_start": 0, "inject_stop": 6, "layers": (11, 14)},
}


@pytest.fixture(scope="module", params=["sd1", "sd2"])
def flavour(request: pytest.FixtureRequest) -> tuple[str, jt.Module]:
    return request.param, build(request.param, "unet")


def make(flavour: tuple[str, jt.Module], context: str, **settings: Any) -> ZStarOnLatents:
    name, unet = flavour
    config = ScheduleConfig(
        "ddim", 1000, 0.00085, 0.012, "scaled_linear", None, PREDICTIONS[name], "leading", 1, set_alpha_to_one=False
    )
    chosen = ZStarSettings(**{"steps": 10, "inject_start": 2, **settings})
    return ZStarOnLatents(unet, Condition(jt.array(RECORDED[context])), Schedule(config), chosen)


def test_the_published_code() -> None:
    z_star = make(("sd1", build("sd1", "unet")), "published_context")
    paths = {}
    for name in ("content", "style"):
        (paths[name],) = exhaust(z_star.invert(jt.array(RECORDED[f"published_{name}"]), name))
        assert relative_error(paths[name], RECORDED[f"published_{name}_path"]) < TOLERANCE
    for name, nulls in (("out", None), ("out_null_text", RECORDED["published_null_texts"])):
        out = exhaust(z_star.stylise([Content(paths["content"], nulls)], paths["style"]))
        assert relative_error(out, RECORDED[f"published_{name}"][1:]) < TOLERANCE


@pytest.mark.parametrize("run", RUNS)
def test_the_formula(flavour: tuple[str, jt.Module], run: str) -> None:
    """Two contents at once: a row is a content of its own, with the style's row that has seen it."""
    name = flavour[0]
    z_star = make(flavour, f"{name}_context", **RUNS[run])
    contents = np.concatenate([RECORDED[f"{name}_first"], RECORDED[f"{name}_second"]])
    paths = exhaust(z_star.invert(jt.array(contents), "contents"))
    (style,) = exhaust(z_star.invert(jt.array(RECORDED[f"{name}_style"]), "style"))
    nulls: list[Any] = [None, None]
    if run == "null_text":
        nulls = list(RECORDED[f"{name}_context"] + 0.3 * RECORDED[f"{name}_nulls"])
    out = exhaust(z_star.stylise(list(map(Content, paths, nulls)), style))
    for row in range(2):
        assert relative_error(out[row], RECORDED[f"{name}_{run}"][row]) < TOLERANCE


def test_the_layers_by_default_are_the_published_ones(flavour: tuple[str, jt.Module]) -> None:
    """Its numbers, which count cross-attentions too, are 20, 22, ..., 30."""
    unet = flavour[1]
    published = {unet.sites[number].path for number in range(20, 31, 2)}
    assert choose_layers(unet.sites, None) == published == choose_layers(unet.sites, range(10, 16))
    assert all(path.startswith(("up_blocks.2", "up_blocks.3")) and path.endswith("attn1") for path in published)
