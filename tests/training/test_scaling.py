"""Loss scaling: it changes no digit, finds its size without losing an update, and resumes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jstyle.errors import InputError
from jstyle.runtime import jt
from jstyle.training import LoopSettings, TrainState, scaling, train
from tests.training.regression import SETTINGS, bits, run

HALF = LoopSettings(steps=3, rate=0.25, weight_decay=0.0, clip=None, loss_scale=65536.0)


def half(x: jt.Var, gradient: float) -> jt.Var:
    """A loss whose gradient by each x passes through fp16, as that of a network in fp16 does."""
    return (x.float16().float32() * gradient).sum()


def trained(settings: LoopSettings, gradient: float, folder: Path) -> "tuple[TrainState, list]":
    x = jt.array([1.0, -2.0]).float32()
    state = TrainState({"x": x}, settings)
    steps = list(train(state, lambda index: index, lambda index, _: half(x, gradient), settings, folder))
    return state, steps


@pytest.mark.parametrize("scale", [1.0, 1024.0])
def test_a_power_of_two_changes_no_bit_in_fp32(scale: float, tmp_path: Path) -> None:
    plain, steps = run(tmp_path / "plain")
    scaled, same = run(tmp_path / "scaled", replace(SETTINGS, loss_scale=scale))
    kept = {name: value for name, value in bits(scaled).items() if name != "loss_scale"}
    assert kept == bits(plain)
    told = [[(one.loss, one.grad_norm) for one in several] for several in (steps, same)]
    assert told[0] == told[1]


def test_small_gradients_are_kept(tmp_path: Path) -> None:
    """1e-8 is nothing in fp16, whose smallest number is 6e-8."""
    lost, steps = trained(replace(HALF, loss_scale=None), 1e-8, tmp_path / "plain")
    assert steps[0].grad_norm == 0 and lost.parameters["x"].numpy().tolist() == [1.0, -2.0]
    kept, steps = trained(HALF, 1e-8, tmp_path / "scaled")
    assert steps[0].grad_norm == pytest.approx(np.sqrt(2) * 1e-8, rel=1e-2)
    assert (kept.parameters["x"].numpy() < [1.0, -2.0]).all()


def test_an_overflow_halves_it_and_loses_no_update(tmp_path: Path) -> None:
    """16 * 65536 is more than fp16 has: 16 * 2048 is not."""
    state, steps = trained(HALF, 16.0, tmp_path / "scaled")
    assert state.scale is not None and state.scale.value == 2048
    plain, same = trained(replace(HALF, loss_scale=None), 16.0, tmp_path / "plain")
    assert [(one.step, one.loss, one.grad_norm) for one in steps] == [(a.step, a.loss, a.grad_norm) for a in same]
    assert (state.parameters["x"].numpy() == plain.parameters["x"].numpy()).all()


def test_it_grows_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "GROWTH_EVERY", 2)
    state, _ = trained(replace(HALF, steps=7, loss_scale=8.0), 1.0, tmp_path)
    assert state.scale is not None and state.scale.value == 64
    assert state.scale.state.numpy().tolist() == [64, 1]


def test_it_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "GROWTH_EVERY", 3)
    settings = replace(SETTINGS, loss_scale=2.0)
    whole, _ = run(tmp_path / "whole", settings)
    run(tmp_path / "parts", settings, most=4)
    resumed, _ = run(tmp_path / "parts", settings)
    assert bits(resumed) == bits(whole)
    assert resumed.scale is not None and whole.scale is not None
    assert resumed.scale.state.numpy().tolist() == whole.scale.state.numpy().tolist()


def test_what_no_scale_mends_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="step 1: the gradient of x is not finite"):
        trained(HALF, 1e5, tmp_path)
