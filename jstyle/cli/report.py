"""A run's events, shown to who sits at the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, Union

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
    return 1 if report.has_failures else 0


class _Report:
    """The bar of the plan that is under way."""

    def __init__(self, counted: str) -> None:
        self.has_failures = False
        self._counted = counted
        self._counts_pictures = False
        self._bar: Any = None

    def show(self, event: Event) -> None:
        if isinstance(event, Planned):
            self._begin(event)
        elif isinstance(event, (Evaluated, Updated)):
            self._advance(event)
        elif isinstance(event, (PictureWritten, StyleTaught)):
            if self._bar is not None:
                self._bar.set_postfix_str(make_printable(event.path.name), refresh=False)
                self._bar.update(int(self._counts_pictures))
        elif isinstance(event, Failure):
            self.has_failures = True
            self._print(f"error: {_describe(event)}", sys.stderr)
        elif isinstance(event, Remark):
            self._print(event.text, sys.stdout)

    def close_bar(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()
        self._bar = None

    def _begin(self, plan: Planned) -> None:
        from tqdm import tqdm

        self.close_bar()
        if plan.pictures:
            counted = self._counted if plan.pictures != 1 else self._counted[:-1]
            self._print(f"{plan.pictures} {counted}, {plan.finished} of them finished before", sys.stdout)
        totals = {"evaluation": plan.evaluations, "update": plan.updates}
        self._counts_pictures = not any(totals.values())
        totals["picture"] = plan.pictures - plan.finished if self._counts_pictures else 0
        for unit, total in totals.items():
            if total:
                self._bar = tqdm(total=total, unit=unit)

    def _advance(self, step: Union[Evaluated, Updated]) -> None:
        if self._bar is None:
            return
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
