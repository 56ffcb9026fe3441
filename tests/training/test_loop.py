"""The loop: it learns, it resumes to the bit, it stops where something is not finite, its memory stays."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jstyle.errors import InputError
from jstyle.runtime import jt
from jstyle.training import LoopSettings, TrainState, stop_requests, train
from jstyle.training import checkpoint as checkpoints
from tests.training import regression
from tests.training.regression import SETTINGS, bits, run


def test_a_regression_converges(tmp_path: Path) -> None:
    settings = LoopSettings(steps=300, rate=0.05, schedule="cosine", warmup=10, weight_decay=0.0, ema=0.95)
    state, done = run(tmp_path, settings)
    losses = [step.loss for step in done]
    assert np.mean(losses[-10:]) < 0.02 * np.mean(losses[:3])
    assert [step.step for step in done] == list(range(1, 301))
    assert all(step.seconds > 0 and step.grad_norm > 0 for step in done)
    assert state.average is not None
    with state.average.swapped_in():
        averaged = [regression.loss_of(state.parameters)(regression.batch(i), i).item() for i in range(1000, 1010)]
    assert np.mean(averaged) < 0.02 * np.mean(losses[:3])


@pytest.mark.parametrize("stop", [1, 4, 5])
def test_a_resumed_run_has_the_bits_of_an_uninterrupted_one(stop: int, tmp_path: Path) -> None:
    whole, all_steps = run(tmp_path / "whole")
    _, first = run(tmp_path / "parts", most=stop)
    resumed, second = run(tmp_path / "parts")
    assert bits(resumed) == bits(whole)
    told = [(step.step, step.loss, step.rate, step.grad_norm) for step in first + second]
    assert told == [(step.step, step.loss, step.rate, step.grad_norm) for step in all_steps]
    again, none = run(tmp_path / "parts")
    assert bits(again) == bits(whole) and none == []


def test_accumulated_batches_are_one_large_batch(tmp_path: Path) -> None:
    """Of 2 batches of 16 the loss, the norm and the step are those of one batch of 32."""
    settings = replace(SETTINGS, steps=3, warmup=0)
    small, small_steps = run(tmp_path / "small", settings)
    trained = regression.parameters()
    large = TrainState(trained, settings)

    def both(index: int) -> regression.Examples:
        halves = [regression.batch(2 * index), regression.batch(2 * index + 1)]
        return np.concatenate([x for x, _ in halves]), np.concatenate([y for _, y in halves])

    one = replace(settings, accumulate=1)
    large_steps = list(train(large, both, regression.loss_of(trained), one, tmp_path / "large"))
    for a, b in zip(small_steps, large_steps):
        assert (a.loss, a.grad_norm) == pytest.approx((b.loss, b.grad_norm), rel=1e-5)
    for name, var in small.tensors().items():
        assert np.allclose(var.numpy(), large.tensors()[name].numpy(), rtol=1e-4, atol=1e-6)


def test_other_settings_are_not_mixed_up(tmp_path: Path) -> None:
    run(tmp_path, most=2)
    with pytest.raises(InputError, match="begun with rate = 0.05, not 0.1; go on with the same settings"):
        run(tmp_path, replace(SETTINGS, rate=0.1))
    run(tmp_path, replace(SETTINGS, checkpoint_every=100))


def test_a_run_at_constant_rate_may_be_made_longer(tmp_path: Path) -> None:
    """Twice, the second time interrupted; not shorter again."""
    settings = replace(SETTINGS, schedule="constant")
    run(tmp_path / "a", replace(settings, steps=3))
    run(tmp_path / "a", replace(settings, steps=4))
    run(tmp_path / "a", settings, most=2)
    saved = checkpoints.find_latest(tmp_path / "a")
    assert saved is not None and (saved.step, saved.finished) == (6, 4)
    longer, _ = run(tmp_path / "a", settings)
    assert bits(longer) == bits(run(tmp_path / "b", settings)[0])
    with pytest.raises(InputError, match="has had 7 updates, more than steps = 4; ask for more of them, or choose"):
        run(tmp_path / "a", replace(settings, steps=4))


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_a_schedule_that_depends_on_the_steps_is_not_made_longer(schedule: Any, tmp_path: Path) -> None:
    settings = replace(SETTINGS, schedule=schedule)
    run(tmp_path, replace(settings, steps=4))
    said = f"with steps = 4, not 7; a {schedule} schedule depends on them, .* keep them, or choose another output"
    with pytest.raises(InputError, match=said):
        run(tmp_path, settings)


def test_a_run_that_was_closed_at_its_last_step_is_finished_by_the_next(tmp_path: Path) -> None:
    run(tmp_path, most=SETTINGS.steps)
    saved = checkpoints.find_latest(tmp_path)
    assert saved is not None and (saved.step, saved.finished) == (7, 0)
    run(tmp_path)
    saved = checkpoints.find_latest(tmp_path)
    assert saved is not None and (saved.step, saved.finished) == (7, 7)


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_what_is_not_finite_stops_the_run(where: str, tmp_path: Path) -> None:
    trained = regression.parameters()
    state = TrainState(trained, SETTINGS)
    sound = regression.loss_of(trained)

    def loss(examples: regression.Examples, index: int) -> jt.Var:
        value = sound(examples, index)
        if index < 9:  # the second batch of step 5
            return value
        zero = trained["b1"].sum() * 0.0
        return value * np.float32(np.inf) if where == "loss" else value + jt.sqrt(zero)

    seen = {}
    named = "the loss" if where == "loss" else "the gradient of b1"
    with pytest.raises(InputError, match=f"step 5: {named} is not finite.*step-00000004.*lower rate") as raised:
        for _ in train(state, regression.batch, loss, SETTINGS, tmp_path):
            seen = bits(state)
    assert "\n" not in str(raised.value)
    assert bits(state) == seen and state.step == 4
    last = checkpoints.find_latest(tmp_path)
    assert last is not None and last.step == 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_with_a_checkpoint(number: int, tmp_path: Path) -> None:
    trained = regression.parameters()
    state = TrainState(trained, SETTINGS)

    def batch(index: int) -> regression.Examples:
        if index == 4:  # in the middle of step 3
            os.kill(os.getpid(), number)
        return regression.batch(index)

    before = signal.getsignal(number)
    steps = train(state, batch, regression.loss_of(trained), SETTINGS, tmp_path)
    with pytest.raises(KeyboardInterrupt), stop_requests() as asked, closing(steps):
        for _ in steps:
            if asked():
                raise KeyboardInterrupt
    assert signal.getsignal(number) == before
    last = checkpoints.find_latest(tmp_path)
    assert last is not None and last.step == 3
    assert bits(run(tmp_path)[0]) == bits(run(tmp_path / "whole")[0])


def test_a_second_ctrl_c_does_not_wait() -> None:
    with stop_requests() as asked:
        os.kill(os.getpid(), signal.SIGINT)
        assert asked()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            signal.sigtimedwait([], 0.1)


def test_memory_does_not_grow(tmp_path: Path) -> None:
    counts = []
    trained = regression.parameters()
    settings = replace(SETTINGS, steps=200, checkpoint_every=50)
    state = TrainState(trained, settings)
    for _ in train(state, regression.batch, regression.loss_of(trained), settings, tmp_path):
        counts.append(tuple(jt.liveness_info().values()))
    assert counts[20] == counts[120] == counts[-1]


@pytest.mark.parametrize(
    "wrong", [dict(steps=0), dict(rate=0.0), dict(clip=-1.0), dict(ema=1.0), dict(warmup=1000), dict(schedule="step")]
)
def test_wrong_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LoopSettings(**wrong)


def test_nothing_to_train_is_said() -> None:
    with pytest.raises(InputError, match="nothing to train"):
        TrainState({}, SETTINGS)
