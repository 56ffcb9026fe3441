"""A recipe laid over a dataset: its pictures, what is trained for them, and what they cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from jstyle.competition.cost import count_pictures
from jstyle.competition.dataset import Dataset
from jstyle.competition.findings import Findings
from jstyle.competition.recipe import Recipe, RecipePicture, lay_over, load_recipe
from jstyle.competition.tasks import PictureTask, plan_tasks
from jstyle.competition.trainings import Trainings, plan_trainings
from jstyle.errors import InputError
from jstyle.jobs.step_times import describe_duration
from jstyle.pictures.spec import identify_model
from jstyle.settings.reader import plain
from jstyle.weights.description import Checkpoint, describe_checkpoint, describe_for_plan

PICTURES, TRAINED = "pictures", "trained"
"""The folders of a submission's pictures and of what is trained for it."""

_ANY_SIZE = (512, 512)  # stands for that of a checkpoint that is not there


@dataclass(frozen=True)
class SubmissionPlan:
    """All that a submission is made of. ``evaluations`` are the latents that each picture, by its file's name, sends
    through the UNet.
    """

    dataset: Dataset
    recipe: Recipe
    checkpoint: Checkpoint
    pictures: Sequence[RecipePicture]
    tasks: Sequence[PictureTask]
    evaluations: Mapping[str, int]
    trainings: Trainings

    def describe_whole(self) -> dict[str, Any]:
        """What a manifest says of all pictures together."""
        width, height = self.checkpoint.size
        return {
            "model": plain(self.recipe.model.model),
            "model_hash": self.checkpoint.model_hash,
            "configuration": self.checkpoint.configuration,
            "width": width,
            "height": height,
            "recipe": {"picture": dict(self.recipe.picture), "styles": dict(self.recipe.styles)},
        }


def make_plan(
    recipe: Path,
    dataset: Dataset,
    findings: Findings,
    folder: Path,
    *,
    base: Optional[str] = None,
    model: Optional[Mapping[str, Any]] = None,
    fetch: bool = True,
) -> Optional[SubmissionPlan]:
    """The plan of a submission in ``folder``, or None where data or recipe are wrong.

    Every reason is then among the findings. ``base`` and ``model`` are `load_recipe`'s. Without ``fetch`` a model that
    is not on this machine is only counted with (`describe_for_plan`).
    """
    try:
        loaded = load_recipe(recipe, base, model)
    except InputError as error:
        findings.errors.append(str(error))
        return None
    checkpoint = _describe_checkpoint(loaded, findings, fetch=fetch)
    pictures, of_recipe = lay_over(loaded, dataset, _ANY_SIZE if checkpoint is None else checkpoint.size)
    findings.add(of_recipe)
    if checkpoint is None or findings.errors:
        return None
    trainings = plan_trainings(pictures, loaded.model.model, checkpoint, folder / TRAINED)
    model_identity = identify_model(loaded.model.model, checkpoint)
    tasks = plan_tasks(pictures, model_identity, checkpoint.size, folder / PICTURES, trainings)
    costs = count_pictures(tasks, checkpoint)
    return SubmissionPlan(dataset, loaded, checkpoint, pictures, tasks, costs, trainings)


def _describe_checkpoint(recipe: Recipe, findings: Findings, *, fetch: bool) -> Optional[Checkpoint]:
    """None where it is missing or wrong: what else is wrong with a recipe is found all the same."""
    model = recipe.model
    try:
        describe = describe_checkpoint if fetch else describe_for_plan
        return describe(model.model, model.width, model.height)
    except InputError as error:
        findings.errors.append(str(error))
        return None


@dataclass(frozen=True)
class Measured:
    """What earlier runs took here: ``evaluation``, seconds of one worker, and ``trainings``, seconds of those still to
    be done on all workers; None where that was never measured.
    """

    evaluation: Optional[float]
    trainings: Optional[float]
    workers: int


def describe_plan(plan: SubmissionPlan, unfinished: Sequence[PictureTask], damaged: int, measured: Measured) -> str:
    """The tasks by method, their UNet evaluations, and the time that all takes, trainings too, where measured."""
    ways = Counter(_describe_way(picture) for picture in plan.pictures)
    count = sum(plan.evaluations[task.name] for task in unfinished)
    width, height = plan.checkpoint.size
    lines = [f"{len(plan.pictures)} pictures of {width}x{height} in {len(plan.dataset.styles)} styles"]
    lines += [f"{number:6} {way}" for way, number in sorted(ways.items())]
    finished = len(plan.pictures) - len(unfinished)
    lines.append(f"{finished} finished before, {len(unfinished)} to make ({damaged} of them damaged)")
    lines.append(f"{count} UNet evaluations to do, {sum(plan.evaluations.values())} in all")
    if measured.trainings is None:
        lines.append("no time was measured yet for trainings of this kind and this number of workers")
    if measured.evaluation is None:
        lines.append("no time was measured yet for this model, size and number of workers")
    else:
        pictures = count * measured.evaluation / max(1, measured.workers)
        trainings = measured.trainings or 0.0
        told = f"{measured.evaluation:.3g} s an evaluation, as measured here"
        told += f"; {describe_duration(trainings)} of it training" if trainings else ""
        told += "; without the trainings" if measured.trainings is None else ""
        lines.append(f"about {describe_duration(pictures + trainings)} ({told})")
    return "\n".join(lines)


def _describe_way(picture: RecipePicture) -> str:
    settings = picture.settings
    start = settings.start
    parts = ["from noise" if start is None else f"from {start.image} ({start.strength:g})"]
    parts += [f"with {adapter.kind}" for adapter in settings.adapters]
    parts += [] if settings.set is None else [f"by {settings.set.method} after {settings.set.reference}"]
    parts += [] if settings.finish is None else [f"then {settings.finish.method}"]
    sampler = settings.sampler or "own sampler"
    sampler += f" along {settings.sigmas} sigmas" if settings.sigmas else ""
    return f"{', '.join(parts)}: {sampler}, {settings.steps} steps, guidance {settings.guidance:g}"
