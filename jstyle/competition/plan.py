"""A recipe laid over a dataset: its tasks, what they cost, and how long that takes here."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

from jstyle.competition import recipe as recipes
from jstyle.competition.dataset import Dataset, Findings, Style
from jstyle.competition.recipe import Methods, Planned, Recipe
from jstyle.competition.settings import Adapter, Model
from jstyle.competition.tasks import evaluations
from jstyle.errors import InputError
from jstyle.jobs.engine import Engine
from jstyle.jobs.step_times import StepTimes
from jstyle.jobs.task import Task
from jstyle.training.many_styles import runs
from jstyle.training.many_styles.runs import Run
from jstyle.weights.description import Checkpoint, describe


@dataclass(frozen=True)
class Plan:
    """``evaluations``: the latents that each picture, by its file's name, sends through the UNet; ``trained``: what is
    trained first.
    """

    dataset: Dataset
    recipe: Recipe
    checkpoint: Checkpoint
    pictures: List[Planned]
    evaluations: Mapping[str, int]
    trained: Mapping[str, Run] = field(default_factory=dict)

    def run_of(self, style: Style, adapter: Adapter) -> Run:
        """What trains an adapter for a style."""
        return self.trained[_key(style, adapter)]

    def about(self) -> Dict[str, Any]:
        """What a manifest says of the whole."""
        width, height = self.checkpoint.size
        return {
            "model": asdict(self.recipe.model),
            "model_hash": self.checkpoint.hash,
            "width": width,
            "height": height,
            "recipe": {"picture": dict(self.recipe.picture), "styles": dict(self.recipe.styles)},
        }


def read(
    path: Path,
    dataset: Dataset,
    methods: Methods,
    findings: Findings,
    base: Optional[str] = None,
    model: Optional[Mapping[str, Any]] = None,
) -> Optional[Plan]:
    """The plan, or None where data or recipe are wrong; every reason is then among the findings.

    ``base`` and ``model`` are `recipe.load`'s.
    """
    try:
        recipe = recipes.load(path, base, model)
        pictures, own = recipes.lay_over(recipe, dataset, methods)
        findings.errors += own.errors
        findings.remarks += own.remarks
        checkpoint = describe(recipe.model)
    except InputError as error:
        findings.errors.append(str(error))
        return None
    if findings.errors:
        return None
    costs = evaluations(pictures, methods, checkpoint.sampler)
    return Plan(dataset, recipe, checkpoint, pictures, costs, _trained(pictures, recipe.model, checkpoint, methods))


def _trained(pictures: Sequence[Planned], model: Model, checkpoint: Checkpoint, methods: Methods) -> Dict[str, Run]:
    """A run for each adapter of each style that is to be trained, in the order of the pictures that need it."""
    found: Dict[str, Run] = {}
    width, height = checkpoint.size
    for one in pictures:
        for adapter in one.picture.adapters:
            if adapter.train is not None and _key(one.style, adapter) not in found:
                found[_key(one.style, adapter)] = runs.planned(
                    adapter.kind,
                    methods.trainers[adapter.kind],
                    adapter.train,
                    style=one.style.number,
                    pictures=one.style.references,
                    model=replace(model, width=width, height=height),
                    model_hash=checkpoint.hash,
                )
    return found


def _key(style: Style, adapter: Adapter) -> str:
    return json.dumps([style.number, adapter.kind, adapter.train], sort_keys=True)


def step_times(plan: Plan, engine: Engine) -> StepTimes:
    """What was measured for this checkpoint, size and number of workers."""
    return StepTimes(plan.checkpoint, plan.recipe.model, len(engine.devices) or engine.workers)


def summary(plan: Plan, todo: Sequence[Task], damaged: int, seconds: Optional[float], engine: Engine) -> str:
    """The tasks by method, their UNet evaluations, and the time they take where a step's was measured."""
    ways = Counter(_way(one) for one in plan.pictures)
    count = sum(plan.evaluations[task.name] for task in todo)
    workers = max(1, len(engine.devices) or engine.workers)
    width, height = plan.checkpoint.size
    lines = [f"{len(plan.pictures)} pictures of {width}x{height} in {len(plan.dataset.styles)} styles"]
    lines += [f"{number:6} {way}" for way, number in sorted(ways.items())]
    finished = len(plan.pictures) - len(todo)
    lines.append(f"{finished} finished before, {len(todo)} to make ({damaged} of them damaged)")
    lines.append(f"{count} UNet evaluations to do, {sum(plan.evaluations.values())} in all")
    if seconds is None:
        lines.append("no time was measured yet for this model, size and number of workers")
    else:
        lines.append(f"about {_duration(count * seconds / workers)} ({seconds:.3g} s an evaluation, as measured here)")
    return "\n".join(lines)


def _way(one: Planned) -> str:
    picture = one.picture
    parts = ["from noise" if picture.start is None else f"from {picture.start.image} ({picture.start.strength:g})"]
    parts += [f"with {adapter.kind}" for adapter in picture.adapters]
    parts += [] if picture.set is None else [f"by {picture.set.method} after {picture.set.reference}"]
    parts += [] if picture.finish is None else [f"then {picture.finish.method}"]
    return (
        f"{', '.join(parts)}: {picture.sampler or 'own sampler'}, {picture.steps} steps, guidance {picture.guidance:g}"
    )


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes == 0:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
