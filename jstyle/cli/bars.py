"""The bar of a training, whose time left counts the pictures that it draws as well as its updates."""

from __future__ import annotations

from typing import Any

from tqdm import tqdm

from jstyle.events import Evaluated, Planned, Updated
from jstyle.pace import Pace

_FORMAT = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{left}, {rate_fmt}{postfix}]"


class TrainingBar(tqdm):
    """Moves by updates. What is left is the updates and the evaluations ahead, each at its own pace."""

    def __init__(self, plan: Planned) -> None:
        self._pace = Pace()
        self._ahead = {Evaluated: plan.evaluations, Updated: plan.updates}
        super().__init__(total=plan.updates, unit="update", bar_format=_FORMAT)

    def note(self, event: object) -> None:
        """An event of the run has come."""
        self._pace.note(event)
        if isinstance(event, (Evaluated, Updated)):
            self._ahead[type(event)] -= event.count

    @property
    def format_dict(self) -> Any:
        """tqdm's own, and ``left``: a time, or "?" while nothing of a kind that is ahead has been measured."""
        seconds = self._pace.estimate(evaluations=self._ahead[Evaluated], updates=self._ahead[Updated])
        return {**super().format_dict, "left": "?" if seconds is None else self.format_interval(seconds)}
