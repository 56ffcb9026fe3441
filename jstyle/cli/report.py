"""A run's events, shown to who sits at the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Optional, Union

from jstyle.errors import make_printable
from jstyle.events import (
    Evaluated,
    Event,
    Failure,
    PictureWritten,
    Planned,
    Remark,
    StyleTaught,
    Updated,
    closing,
    tell_warnings,
)

if TYPE_CHECKING:
    from jstyle.cli.bars import TrainingBar


def show_events(events: Iterable[Event], counted: str = "pictures") -> int:
    """Go through a run, and close it: a bar and failures on stderr, what it says on stdout.

    ``counted`` is what the run's plan counts. Returns the exit code: 1 after a `Failure`, else 0.
    """
    report = _Report(counted)
    try:
        with closing(tell_warnings(events)) as told:
            for event in told:
                report.show(event)
    finally:
        report.close_bar()
    return report.tell_failures()


class _Report:
    """The bar of the plan that is under way."""

    def __init__(self, counted: str) -> None:
        self._failures = 0
        self._counted = counted
        self._counts_pictures = False
        self._bar: Any = None
        self._training: Optional[TrainingBar] = None

    def show(self, event: Event) -> None:
        if self._training is not None:
            self._training.note(event)
        if isinstance(event, Planned):
            self._begin(event)
        elif isinstance(event, (Evaluated, Updated)):
            self._advance(event)
        elif isinstance(event, (PictureWritten, StyleTaught)):
            if self._bar is not None:
                self._bar.set_postfix_str(make_printable(event.path.name), refresh=False)
                self._bar.update(int(self._counts_pictures))
        elif isinstance(event, Failure):
            self._failures += 1
            self._print(f"error: {_describe(event)}", sys.stderr)
        elif isinstance(event, Remark):
            self._print(event.text, sys.stdout)

    def close_bar(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()
        self._bar = self._training = None

    def tell_failures(self) -> int:
        """Say last how many things failed, whose errors may have scrolled away. Returns the exit code."""
        if self._failures > 1:
            self._print(f"error: {self._failures} failed, see above", sys.stderr)
        return 1 if self._failures else 0

    def _begin(self, plan: Planned) -> None:
        from tqdm import tqdm

        from jstyle.cli.bars import TrainingBar

        self.close_bar()
        if plan.pictures:
            counted = self._counted if plan.pictures != 1 else self._counted[:-1]
            self._print(f"{plan.pictures} {counted}, {plan.finished} of them finished before", sys.stdout)
        self._counts_pictures = not plan.evaluations and not plan.updates
        if plan.updates and plan.evaluations:
            self._training = TrainingBar(plan)
            self._bar = self._training
        elif plan.updates or plan.evaluations:
            self._bar = tqdm(total=plan.updates or plan.evaluations, unit="update" if plan.updates else "evaluation")
        elif plan.pictures > plan.finished:
            self._bar = tqdm(total=plan.pictures - plan.finished, unit="picture")

    def _advance(self, step: Union[Evaluated, Updated]) -> None:
        if self._bar is None:
            return
        if self._training is not None and isinstance(step, Evaluated):
            return  # of a picture that a training draws: it is in the time left
        self._bar.set_description(make_printable(step.stage), refresh=False)
        if isinstance(step, Updated) and step.loss is not None:
            self._bar.set_postfix(loss=f"{step.loss:.4f}", refresh=False)
        self._bar.update(step.count)

    def _print(self, text: str, stream: Any) -> None:
        """A line that the bar does not run into."""
        text = make_printable(text)
        if self._bar is None:
            print(text, file=stream, flush=True)
        else:
            self._bar.write(text, file=stream)


def _describe(failure: Failure) -> str:
    """What could not be made and why, the subject not twice."""
    return failure.reason if failure.subject in failure.reason else f"{failure.subject}: {failure.reason}"
