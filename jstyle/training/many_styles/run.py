"""The run behind `jstyle train styles`: many styles taught, each by itself, as a generator of events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jstyle
from jstyle.errors import InputError
from jstyle.events import Event, Failure, PictureWritten, Planned, Remark, closing
from jstyle.holding import held
from jstyle.jobs.engine import Engine
from jstyle.jobs.step_times import describe_duration
from jstyle.jobs.task import Done
from jstyle.settings.messages import suggest
from jstyle.training.many_styles.folders import StylePictures, check_pictures, find_styles, select_styles
from jstyle.training.many_styles.inputs import StylesInputs
from jstyle.training.many_styles.job import TrainingJob, add_up
from jstyle.training.many_styles.recipe import TrainRecipe, parse_changes, plan_trainings, read_recipe
from jstyle.training.many_styles.sheets import BeforeAfter
from jstyle.training.many_styles.spec import StyleTraining
from jstyle.training.many_styles.times import TrainingTimes
from jstyle.training.teaching.table import Teaching, list_attachable
from jstyle.weights import fetching
from jstyle.weights.description import Checkpoint, describe_checkpoint, describe_for_plan, describe_unknown


def teach_styles(inputs: StylesInputs, engine: Engine) -> Iterator[Event]:
    """Teach each style of a folder, then draw the same prompts before and after.

    A style that cannot be taught is a `Failure`, and the others go on. Closing the run ends its workers, which write
    their checkpoints first; the next one goes on from there. Raises InputError where nothing can be taught, where
    another training's result is in the way, or where another run works in the output folder.
    """
    teaching = _find_teaching(inputs.method)
    model = {name: value for name in ("model", "backend") if (value := getattr(inputs, name)) is not None}
    recipe = read_recipe(inputs.find_recipe(), inputs.base, model)
    styles = _open_styles(inputs)
    changes = parse_changes(inputs.set)
    if inputs.plan:
        with fetching.nothing_fetched():
            yield from _tell_plan(inputs, recipe, styles, teaching, changes, engine)
        return
    checkpoint = describe_checkpoint(recipe.model, recipe.width, recipe.height)
    job = TrainingJob(plan_trainings(recipe, styles, teaching, checkpoint, changes), inputs.output, checkpoint)
    progress = job.read_progress(overwrite=inputs.overwrite)
    yield Remark(progress.describe(add_up(ahead for _, ahead in job.plan_work(progress.todo))))
    with held(inputs.output):
        failed = yield from job.run(engine, progress.todo)
        taught = [training for training in job.trainings if training not in failed]
        if inputs.sheets:
            yield from _draw_sheets(taught, inputs.output, recipe, checkpoint, engine)
    yield Remark(f"{len(taught)} of {len(job.trainings)} styles are in {inputs.output}")


def _tell_plan(
    inputs: StylesInputs,
    recipe: TrainRecipe,
    styles: Sequence[StylePictures],
    teaching: Teaching,
    changes: Mapping[str, Any],
    engine: Engine,
) -> Iterator[Event]:
    """What would be done, and how long it takes where that was measured; nothing is fetched."""
    checkpoint = describe_for_plan(recipe.model, recipe.width, recipe.height)
    if checkpoint.model is None:
        yield Remark(describe_unknown(recipe.model.model))
    job = TrainingJob(plan_trainings(recipe, styles, teaching, checkpoint, changes), inputs.output, checkpoint)
    progress = job.read_progress(overwrite=inputs.overwrite or checkpoint.model is None)
    work = job.plan_work(progress.todo)
    yield Remark(progress.describe(add_up(ahead for _, ahead in work)))
    if inputs.sheets:
        sheets = BeforeAfter(job.trainings, inputs.output, recipe.model, checkpoint)
        unfinished = sheets.list_unfinished()
        evaluations = sheets.count_evaluations(unfinished)
        yield Remark(f"{len(unfinished)} pictures to draw for sheets, {evaluations} UNet evaluations")
    seconds = TrainingTimes(len(engine.devices) or engine.workers).estimate(work)
    if seconds is None:
        yield Remark("no time was measured yet for a training of this kind and this number of workers")
    elif progress.todo:
        yield Remark(f"the trainings take about {describe_duration(seconds)}, as measured here")


def _draw_sheets(
    trainings: Sequence[StyleTraining], root: Path, recipe: TrainRecipe, checkpoint: Checkpoint, engine: Engine
) -> Iterator[Event]:
    sheets = BeforeAfter(trainings, root, recipe.model, checkpoint)
    unfinished = sheets.list_unfinished()
    yield Planned(len(sheets.pictures), len(sheets.pictures) - len(unfinished))
    with closing(sheets.draw_pictures(engine, unfinished)) as outcomes:
        for outcome in outcomes:
            if isinstance(outcome, Done):
                yield PictureWritten(root / outcome.task.name)
            else:
                yield Failure(outcome.task.name, outcome.error)
    for sheet in sheets.write_sheets():
        yield PictureWritten(sheet)


def _open_styles(inputs: StylesInputs) -> list[StylePictures]:
    """The styles to teach, their pictures looked at; without data the samples, of which each is a style."""
    root = inputs.data or Path(jstyle.__file__).resolve().parents[1] / "samples" / "style"
    if inputs.data is None and not root.is_dir():
        raise InputError("the sample styles are not installed; give the folder of yours as --data")
    styles = find_styles(root, one_per_picture=inputs.one_per_picture or inputs.data is None)
    styles = select_styles(styles, inputs.styles) if inputs.styles else styles
    check_pictures(styles)
    return styles


def _find_teaching(name: str) -> Teaching:
    known = list_attachable()
    if name not in known:
        raise InputError(f"there is no method {name!r} ({suggest(name, known)})")
    return known[name]
