"""What a terminal shows of a run's events."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import partialmethod
from pathlib import Path

import pytest

from jstyle.cli import bars
from jstyle.cli.report import show_events
from jstyle.errors import InputError, InputWarning
from jstyle.events import Evaluated, Event, Failure, PictureWritten, Planned, Remark, Updated
from jstyle.pace import Pace

Captured = pytest.CaptureFixture[str]


def test_a_run_that_goes_well(capsys: Captured) -> None:
    events = [
        Planned(3, 1, 8),
        Evaluated("inversion", 2),
        Evaluated("sampling", 6),
        PictureWritten(Path("a.png")),
        Remark("pictures are in out"),
    ]
    assert show_events(events, "pairs") == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines() == ["3 pairs, 1 of them finished before", "pictures are in out"]
    assert "sampling: 100%" in shown.err and "8/8" in shown.err and "error" not in shown.err


def test_a_warning_of_what_was_given_is_a_line_once(capsys: Captured) -> None:
    def run() -> Iterator[Event]:
        for _ in range(2):
            warnings.warn("no such word: zebra", InputWarning, stacklevel=1)
            yield Evaluated("sampling", 1)
        warnings.warn("of a library", UserWarning, stacklevel=1)

    show = warnings.showwarning
    with warnings.catch_warnings(record=True) as others:
        warnings.simplefilter("always")
        assert show_events(run()) == 0
    assert capsys.readouterr().out.splitlines() == ["no such word: zebra"]
    assert [str(warning.message) for warning in others] == ["of a library"]
    assert warnings.showwarning is show


def test_a_failure_is_one_line_and_makes_the_code_1(capsys: Captured) -> None:
    events = [
        Failure("a.png", "cannot read a.png:\nit is empty"),
        Planned(1, 0, 2),
        Failure("b.png", "the result is not finite"),
    ]
    assert show_events(events) == 1
    lines = [line for line in capsys.readouterr().err.replace("\r", "\n").splitlines() if "error" in line]
    assert lines == [
        "error: cannot read a.png: it is empty",
        "error: b.png: the result is not finite",
        "error: 2 failed, see above",
    ]


def test_each_plan_has_its_bar_and_nothing_to_do_has_none(capsys: Captured) -> None:
    assert show_events([Planned(0, 0, 4), Evaluated("learning", 4), Planned(2, 0, 6), Evaluated("sampling", 6)]) == 0
    shown = capsys.readouterr()
    assert "4/4" in shown.err and "6/6" in shown.err and "10/" not in shown.err
    assert shown.out == "2 pictures, 0 of them finished before\n"
    assert show_events([Planned(2, 2, 0)]) == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("2 pictures, 2 of them finished before\n", "")


def test_a_training_shows_its_updates_and_its_loss(capsys: Captured) -> None:
    events = [Planned(updates=5), Updated("run", 3), Updated("run", 2, 0.12345), PictureWritten(Path("sheet.png"))]
    assert show_events(events[:-1]) == 0
    shown = capsys.readouterr()
    assert shown.out == "" and "run: 100%" in shown.err and "5/5" in shown.err and "loss=0.1235" in shown.err
    assert "update" in shown.err and "evaluation" not in shown.err
    assert show_events(events) == 0
    assert "6/5" not in capsys.readouterr().err  # a validation sheet is no update


def test_a_training_that_draws_moves_by_updates_and_counts_both_in_the_time_left(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An update takes 10 s, an evaluation 1 s, the first of each 100 s more."""
    now = [0.0]
    monkeypatch.setattr(Pace, "__init__", partialmethod(Pace.__init__, lambda: now[0]))
    monkeypatch.setattr(bars.TrainingBar, "refresh", lambda *_, **__: None)
    bar = bars.TrainingBar(Planned(updates=5, evaluations=20))
    left = []
    for event, seconds in [
        (Updated("run", 1), 110), (Updated("run", 1), 10), (Evaluated("validation", 2), 102),
        (Evaluated("validation", 8), 8), (PictureWritten(Path("sheet.png")), 50), (Updated("run", 1), 10),
    ]:  # fmt: skip
        now[0] += seconds
        bar.note(event)
        left.append(bar.format_dict["left"])
    bar.close()
    capsys.readouterr()
    # unknown until an evaluation has come; at first at the pace of the only one, 51 s each
    assert left == ["?", "?", bar.format_interval(3 * 10 + 18 * 51), "00:40", "00:40", "00:30"]
    events = [Planned(updates=2, evaluations=4), Updated("run", 1), Evaluated("validation", 4), Updated("run", 1)]
    assert show_events(events) == 0
    shown = capsys.readouterr()
    assert "2/2" in shown.err and "/6" not in shown.err and "evaluation" not in shown.err


def test_a_plan_of_pictures_alone_counts_them(capsys: Captured) -> None:
    assert show_events([Planned(3, 1), PictureWritten(Path("a.png")), PictureWritten(Path("b.png"))]) == 0
    shown = capsys.readouterr()
    assert "3 pictures, 1 of them" in shown.out and "2/2" in shown.err and "picture" in shown.err


def test_an_error_comes_after_the_bar(capsys: Captured) -> None:
    def run() -> Iterator[Event]:
        yield Planned(1, 0, 4)
        yield Evaluated("sampling", 1)
        raise InputError("the disk is gone")

    with pytest.raises(InputError) as caught:  # which keeps the bar alive: it is not closed by chance
        show_events(run())
    assert str(caught.value) == "the disk is gone"
    assert capsys.readouterr().err.endswith("\n")


def test_a_run_is_closed_when_it_cannot_be_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    def run() -> Iterator[Event]:
        try:
            yield Remark("pictures are in out")
        finally:
            closed.append(True)

    def refuse(*_: object, **__: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("builtins.print", refuse)
    events = run()  # kept, so that it is not closed by chance
    with pytest.raises(BrokenPipeError):
        show_events(events)
    assert closed == [True]


def test_what_files_are_called_cannot_steer_the_terminal(capsys: Captured) -> None:
    nasty = "a\x1b]0;owned\x07\x9b2J\u202e\udcff.png"
    events = [Planned(1, 0, 2), Evaluated(nasty, 1), PictureWritten(Path(nasty)), Failure(nasty, "no"), Remark(nasty)]
    assert show_events(events) == 1
    shown = capsys.readouterr()
    assert shown.out.splitlines()[1:] == [r"a\x1b]0;owned\x07\x9b2J\u202e\udcff.png"]
    assert set("\x07\x9b\u202e\udcff").isdisjoint(shown.err) and "\x1b]" not in shown.err
