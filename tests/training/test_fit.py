"""A run as a generator: what it leaves when it is closed, and when it comes to its end."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from jstyle.runtime import jt
from jstyle.runtime.flags import keep_flags
from jstyle.training import TrainState, checkpoint, fit
from jstyle.training.report import read_log
from tests.training import regression
from tests.training.regression import SETTINGS, bits


def begin(folder: Path) -> tuple:
    """A state, and the steps that change it."""
    parameters = regression.parameters()
    state = TrainState(parameters, SETTINGS)
    loss = regression.loss_of(parameters)
    return state, fit.fit_steps(folder, state, regression.batch, loss, SETTINGS, {})


def test_closed_it_leaves_a_checkpoint_from_which_the_next_goes_on(tmp_path: Path) -> None:
    whole, steps = begin(tmp_path / "whole")
    assert [(step.step, whole.step) for step in steps] == [(i, i) for i in range(1, SETTINGS.steps + 1)]
    assert (tmp_path / "whole" / "loss.png").is_file()
    _, steps = begin(tmp_path / "parts")
    with closing(steps):
        assert [next(steps).step for _ in range(3)] == [1, 2, 3]
    saved = checkpoint.find_latest(tmp_path / "parts" / "checkpoint")
    assert saved is not None and saved.step == 3 and not (tmp_path / "parts" / "loss.png").exists()
    state, steps = begin(tmp_path / "parts")
    assert [step.step for step in steps] == list(range(4, SETTINGS.steps + 1))
    assert bits(state) == bits(whole)
    assert [record["step"] for record in read_log(tmp_path / "parts")] == list(range(1, SETTINGS.steps + 1))


def test_what_an_import_does_to_the_flags_is_undone() -> None:
    """JTorch, which tensorboardX imports as torch, switches gradients of new arrays off for the whole process."""
    before = jt.flags.th_mode, jt.flags.amp_level, jt.flags.amp_reg
    with keep_flags():
        jt.flags.th_mode, jt.flags.amp_level, jt.flags.amp_reg = 1, 3, 12
    assert (jt.flags.th_mode, jt.flags.amp_level, jt.flags.amp_reg) == before
    x = jt.array([2.0])
    assert jt.grad((x * x).sum(), x).item() == 4
