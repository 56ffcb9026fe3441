"""What can be asked of the page, made from the tables: a method, a way to teach, a submission."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jstyle.competition.run import SubmissionInputs, run_submission
from jstyle.events import Event
from jstyle.methods.grids import Grid, plan_grid, run_grid
from jstyle.methods.table import METHODS, Method
from jstyle.settings.model import NamesModel
from jstyle.training.teaching.table import TEACHINGS

PICTURES, TEACHING, COMPETITION = "Make pictures", "Teach a model", "The competition"


@dataclass(frozen=True)
class Work:
    """One thing that can be asked for: `start` takes an instance of each of `kinds` and is a run, a generator."""

    name: str
    title: str
    summary: str
    source: str
    group: str
    kinds: tuple[type, ...]
    start: Callable[..., Generator[Event, None, Any]]
    foremost: tuple[str, ...]
    serves: str = ""
    """The setting that takes what is learnt, which is what the run returns."""

    @property
    def model(self) -> type:
        """The dataclass that names the model."""
        return next((kind for kind in self.kinds if issubclass(kind, NamesModel)), type(None))


def list_works(*, submits: bool = True) -> dict[str, Work]:
    """All of them by name, in the order of the tables; the submission where there is data for one."""
    works = [_of_method(method) for method in METHODS.values()]
    for teaching in TEACHINGS.values():
        works.append(
            Work(
                f"train_{teaching.name}",
                teaching.title,
                teaching.summary,
                teaching.paper,
                TEACHING,
                (teaching.settings,),
                teaching.start,
                teaching.foremost,
                teaching.serves,
            )
        )
    if submits:
        summary = "makes a submission to the style track from a recipe: plan, pictures, sheets, zip"
        foremost = ("preset", "plan", "styles")
        works.append(Work("submit", "Submission", summary, "", COMPETITION, (SubmissionInputs,), _submit, foremost))
    return {work.name: work for work in works}


@dataclass(frozen=True)
class GridSettings:
    """A grid of a method's pictures, as `jstyle.methods.grids.plan_grid` takes it."""

    method: str
    values: Mapping[str, Any]
    axes: Mapping[str, tuple[Any, ...]]
    output: Path

    def plan(self) -> Grid:
        """Its cells. Raises InputError as `plan_grid` does."""
        return plan_grid(METHODS[self.method], self.values, self.axes, self.output)


def _draw_grid(settings: GridSettings) -> Generator[Event, None, None]:
    yield from run_grid(settings.plan())


GRID = Work("grid", "Grid", "what one or two settings do, on one sheet", "", "", (GridSettings,), _draw_grid, ())
"""It has no tab of its own: each method's can ask for it."""


def _of_method(method: Method) -> Work:
    kinds = (method.inputs, method.settings, method.model)
    return Work(method.name, method.title, method.summary, method.paper, PICTURES, kinds, method.start, method.foremost)


def _submit(inputs: SubmissionInputs) -> Generator[Event, None, None]:
    from jstyle.jobs.engine import Engine

    yield from run_submission(inputs, Engine("local", 0, ()))
