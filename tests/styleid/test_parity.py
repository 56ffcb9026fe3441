"""StyleID against an independent float64 rendering of the paper's formulas in PyTorch."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

import numpy as np
import pytest

from jstyle.diffusion.adain import adain
from jstyle.diffusion.schedule import Schedule
from jstyle.diffusion.schedule_config import ScheduleConfig
from jstyle.methods.blocks import Role
from jstyle.runtime import jt
from styleid.bank import MemoryBank
from styleid.inject import injected_sites
from styleid.method import Inverted, StyleIDOnLatents
from styleid.settings import StyleIDSettings
from tests.parity.networks import build, golden, relative_error

RECORDED = golden("styleid")
TOLERANCE = 1e-4
Result = TypeVar("Result")
PREDICTIONS = {"sd1": "epsilon", "sd2": "v_prediction"}


@pytest.fixture(scope="module", params=["sd1", "sd2"])
def flavour(request: pytest.FixtureRequest) -> tuple[str, jt.Module]:
    return request.param, build(request.param, "unet")


def method(flavour: tuple[str, jt.Module], **settings: Any) -> StyleIDOnLatents:
    name, unet = flavour
    config = ScheduleConfig(
        "ddim", 1000, 0.00085, 0.012, "scaled_linear", None, PREDICTIONS[name], "leading", 1, set_alpha_to_one=False
    )
    chosen = StyleIDSettings(steps=10, feature_dtype="float32", **settings)
    return StyleIDOnLatents(unet, jt.array(RECORDED[f"{name}_context"]), Schedule(config), chosen)


def finish(steps: Generator[Any, None, Result]) -> Result:
    """What a generator returns at its end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def inverted(styleid: StyleIDOnLatents, latent: np.ndarray, role: Role) -> Inverted:
    bank = MemoryBank()
    return Inverted(finish(styleid.invert(jt.array(latent), role, [bank]))[0], bank)


def stylised(styleid: StyleIDOnLatents, name: str, content: str = "content") -> np.ndarray:
    one = inverted(styleid, RECORDED[f"{name}_{content}"], "content")
    other = inverted(styleid, RECORDED[f"{name}_style"], "style")
    return np.array(finish(styleid.stylise([one], other)).numpy())


@pytest.mark.parametrize("gamma", [0.75, 0.3])
@pytest.mark.parametrize("temperature", [1.0, 1.5])
def test_final_latent(flavour: tuple[str, jt.Module], gamma: float, temperature: float) -> None:
    out = stylised(method(flavour, gamma=gamma, temperature=temperature), flavour[0])
    assert relative_error(out, RECORDED[f"{flavour[0]}_current_out_g{gamma}_t{temperature}"]) < TOLERANCE


def test_all_steps_from_either_inversion(flavour: tuple[str, jt.Module]) -> None:
    for convention in ("current", "target"):
        out = stylised(method(flavour, inversion=convention, skip_first_step=False), flavour[0])
        assert relative_error(out, RECORDED[f"{flavour[0]}_{convention}_out_g0.75_t1.5_noskip"]) < TOLERANCE


def test_a_content_of_another_size_than_the_style(flavour: tuple[str, jt.Module]) -> None:
    name, styleid = flavour[0], method(flavour)
    content = inverted(styleid, RECORDED[f"{name}_oblong_content"], "content")
    style = inverted(styleid, RECORDED[f"{name}_style"], "style")
    mixed = adain(jt.array(content.latent[None]), jt.array(style.latent[None]))
    assert relative_error(mixed, RECORDED[f"{name}_oblong_adain"]) < TOLERANCE
    out = finish(styleid.stylise([content], style))
    assert relative_error(out, RECORDED[f"{name}_oblong_out_g0.75_t1.5"]) < TOLERANCE


def test_inverted_latents_features_and_adain(flavour: tuple[str, jt.Module]) -> None:
    name, styleid = flavour[0], method(flavour)
    content = inverted(styleid, RECORDED[f"{name}_content"], "content")
    style = inverted(styleid, RECORDED[f"{name}_style"], "style")
    assert relative_error(content.latent[None], RECORDED[f"{name}_current_content_inverted"]) < TOLERANCE
    assert relative_error(style.latent[None], RECORDED[f"{name}_current_style_inverted"]) < TOLERANCE
    mixed = adain(jt.array(content.latent[None]), jt.array(style.latent[None]))
    assert relative_error(mixed, RECORDED[f"{name}_current_adain"]) < TOLERANCE
    site = "up_blocks.2.attentions.0.transformer_blocks.0.attn1"  # output block 6, at t = 1: sampling step 9
    for one, part in ((content, "q"), (style, "k"), (style, "v")):
        features = one.bank.read(9, site, part).transpose(1, 0, 2)  # type: ignore[union-attr]
        assert relative_error(features, RECORDED[f"{name}_current_probe_{part}"]) < TOLERANCE


def test_the_numbered_layers_are_the_default_ones(flavour: tuple[str, jt.Module]) -> None:
    assert injected_sites(flavour[1], range(6, 12)) == injected_sites(flavour[1], None)
    assert len(injected_sites(flavour[1], None)) == 6


def test_features_computed_again_give_the_same_latent(flavour: tuple[str, jt.Module]) -> None:
    name = flavour[0]
    styleid = method(flavour, features="recompute")
    content = finish(styleid.trace(jt.array(RECORDED[f"{name}_content"]), "content"))
    style = finish(styleid.trace(jt.array(RECORDED[f"{name}_style"]), "style"))[0]
    out = finish(styleid.stylise([*content, *content], style))
    recorded = RECORDED[f"{name}_current_out_g0.75_t1.5"]
    for row in range(2):
        assert relative_error(out[row : row + 1], recorded) < TOLERANCE


def test_a_pair_does_not_depend_on_its_batch(flavour: tuple[str, jt.Module]) -> None:
    name, styleid = flavour[0], method(flavour)
    latents = np.concatenate([RECORDED[f"{name}_content"], RECORDED[f"{name}_style"]])
    banks = [MemoryBank(), MemoryBank()]
    ends = finish(styleid.invert(jt.array(latents), "content", banks))
    contents = [Inverted(end, bank) for end, bank in zip(ends, banks)]
    style = inverted(styleid, RECORDED[f"{name}_style"], "style")
    together = finish(styleid.stylise(contents, style))
    assert relative_error(together[:1], RECORDED[f"{name}_current_out_g0.75_t1.5"]) < TOLERANCE
    alone = np.array(finish(styleid.stylise(contents[1:], style)).numpy())
    assert relative_error(together[1:], alone) < TOLERANCE
