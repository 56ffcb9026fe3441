"""Making a submission, from the competition's data and a recipe to the zip, as a run."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from jstyle.competition.dataset import Dataset, survey_dataset
from jstyle.competition.names import find_objection
from jstyle.competition.references import describe_losses
from jstyle.events import Evaluated, Event, Failure, PictureWritten, Planned, Remark, closing
from jstyle.files import check_output
from jstyle.holding import held
from jstyle.jobs.engine import Engine
from jstyle.jobs.task import Done
from jstyle.settings.configs import find_config
from jstyle.settings.fields import require
from jstyle.settings.paths import ReadFolder, ResultsFolder, Source, require_paths
from jstyle.settings.vocabulary import Backend, require_at_least, require_count

if TYPE_CHECKING:
    from jstyle.competition.plan import SubmissionPlan
    from jstyle.competition.submission import Progress, Submission
    from jstyle.jobs.step_times import StepTimes

PREFIX = "submission_"
"""What the names of the configs begin with that are presets."""


@dataclass(frozen=True)
class SubmissionInputs:
    """What to make, where, and with what."""

    data: ReadFolder
    """The competition's data: NN/images and NN/prompt.json."""

    recipe: Optional[Path] = None
    """A YAML file or a config's name: the model, and how pictures are made, such as submission."""

    preset: Optional[str] = None
    """A recipe by name, in its place: NAME is configs/submission_NAME.yaml."""

    base: Optional[str] = None
    """One of the recipe's bases, such as sd21: the same for another base model."""

    model: Optional[Source] = None
    """A folder in diffusers' layout, a hub id, or tiny, in the place of the recipe's."""

    output: ResultsFolder = Path("outputs/submission")
    """Folder for pictures, sheets, manifest and zip; run again, the command goes on where it stopped."""

    zip: str = "result.zip"
    """The zip's name."""

    zip_folder: str = ""
    """A folder inside the zip to put everything into; none by default."""

    styles: Optional[tuple[str, ...]] = None
    """Make these styles alone, such as 00 07; then nothing is packed."""

    workers: int = 0
    """Processes; 0 is this one. On this machine they share its cores."""

    backend: Optional[Backend] = None
    """Whose networks compute, in the place of the recipe's: this project's, or JDiffusion's."""

    plan: bool = False
    """Print what would be done and how long it takes, and stop."""

    verify: Optional[int] = None
    """Make this many of the finished pictures again and compare them, instead of making new ones."""

    overwrite: bool = False
    """Make pictures again that were made with other settings."""

    def __post_init__(self) -> None:
        require((self.recipe is None) != (self.preset is None), "give either a --recipe or a --preset")
        require_paths(model=self.model)
        require_at_least(0, workers=self.workers)
        require_count(verify=self.verify)
        folders = [("zip_folder", part) for part in self.zip_folder.split("/") if part]
        for name, part in (("zip", self.zip), *folders):
            objection = find_objection(part)
            require(not objection, f"{name}: {part!r} cannot be the name of a file: {objection}")
        require(self.zip.lower().endswith(".zip"), f"zip must be a name that ends in .zip, not {self.zip!r}")
        self.find_recipe()

    def find_recipe(self) -> Path:
        """The recipe's file. Raises InputError where there is none."""
        return find_config(str(self.recipe)) if self.preset is None else find_config(self.preset, PREFIX)


def run_submission(inputs: SubmissionInputs, engine: Engine) -> Iterator[Event]:
    """What the inputs ask for: the plan, a verification, or the submission itself.

    Raises InputError, after a failure for each other error, where data or recipe are wrong, where a picture is in the
    way that was made with other settings, and where another run works in the output folder.
    """
    if inputs.plan:
        return plan_submission(inputs, engine)
    if inputs.verify is not None:
        return _hold_output(inputs, verify_submission(inputs, engine, inputs.verify))
    return _hold_output(inputs, make_submission(inputs, engine))


def _hold_output(inputs: SubmissionInputs, run: Iterator[Event]) -> Iterator[Event]:
    """The same run, which is the only one in its folder."""
    with held(inputs.output), closing(run) as events:
        yield from events


def make_submission(inputs: SubmissionInputs, engine: Engine) -> Iterator[Event]:
    """Train what the recipe wants trained, make what is missing, check and pack; what is finished is passed over."""
    from jstyle.competition.submission import Submission

    plan, progress, times = yield from _plan(inputs, engine)
    submission = Submission(plan, inputs.output)
    failed = yield from _train(plan, progress, engine)
    can_be_made = progress.without(failed)
    try:
        failures = yield from _make(plan, submission, can_be_made, engine, times)
    finally:
        submission.write_manifest()
    yield from _pack(inputs, submission, is_whole=not failed and not failures)


def plan_submission(inputs: SubmissionInputs, engine: Engine) -> Iterator[Event]:
    """Say what `make_submission` would do and how long it takes; nothing is fetched."""
    from jstyle.weights import fetching

    with fetching.nothing_fetched():
        yield from _plan(inputs, engine, fetch=False)


def verify_submission(inputs: SubmissionInputs, engine: Engine, count: int) -> Iterator[Event]:
    """Make this many of the finished pictures again; one that differs is a failure.

    Raises InputError where none is finished, one was made with other settings, or one cannot be made again.
    """
    from jstyle.competition.submission import Submission

    plan = yield from _read_plan(inputs)
    different = 0
    with closing(Submission(plan, inputs.output).verify(engine, count)) as comparisons:
        for comparison in comparisons:
            if comparison.equal:
                yield Remark(f"{comparison.name}: the same")
            else:
                different += 1
                yield Failure(comparison.name, f"differs by up to {comparison.difference} of 255")
    yield Remark(f"{different} differ" if different else "all are the same")


def _read_plan(inputs: SubmissionInputs, *, fetch: bool = True) -> Generator[Event, None, SubmissionPlan]:
    from jstyle.competition.plan import make_plan

    check_output(inputs.output)
    dataset, findings = survey_dataset(inputs.data, inputs.styles)
    model = {name: getattr(inputs, name) for name in ("model", "backend") if getattr(inputs, name) is not None}
    plan = make_plan(inputs.find_recipe(), dataset, findings, inputs.output, base=inputs.base, model=model, fetch=fetch)
    if plan is not None and plan.tasks:
        findings.remarks += _describe_losses(plan, dataset)
    yield from findings.report()
    assert plan is not None, "where there is no plan, the findings say why"
    return plan


def _describe_losses(plan: SubmissionPlan, dataset: Dataset) -> list[str]:
    """One line where pictures are made from references that lose their sides, else none."""
    specs = [task.spec for task in plan.tasks]
    if not plan.trainings.all and not any(spec.start or (spec.set and spec.set.picture) for spec in specs):
        return []
    references = [path for style in dataset.styles for path in style.references]
    return describe_losses(references, (specs[0].width, specs[0].height))


def _plan(
    inputs: SubmissionInputs, engine: Engine, *, fetch: bool = True
) -> Generator[Event, None, tuple[SubmissionPlan, Progress, StepTimes]]:
    """The plan, and how far the submission is."""
    from jstyle.competition.plan import Measured, describe_plan
    from jstyle.competition.submission import Submission
    from jstyle.training.many_styles.job import add_up
    from jstyle.training.many_styles.times import TrainingTimes
    from jstyle.weights.description import describe_unknown

    plan = yield from _read_plan(inputs, fetch=fetch)
    is_known = plan.checkpoint.model is not None
    if not is_known:
        yield Remark(describe_unknown(plan.recipe.model.model.model))
    progress = Submission(plan, inputs.output).read_progress(overwrite=inputs.overwrite or not is_known)
    if progress.by_other_code:
        yield Remark(f"remark: {progress.by_other_code} pictures were made by another version of the code")
    workers = len(engine.devices) or engine.workers
    of_trainings = plan.trainings.read_progress(progress.list_adapters())
    work = plan.trainings.job.plan_work(of_trainings.todo)
    if plan.trainings.all:
        yield Remark(of_trainings.describe(add_up(ahead for _, ahead in work)))
    times = _open_times(plan, workers)
    measured = Measured(times.read(), TrainingTimes(workers).estimate(work), workers)
    summary = describe_plan(plan, progress.unfinished, progress.damaged, measured)
    for line in summary.splitlines():
        yield Remark(line)
    return plan, progress, times


def _open_times(plan: SubmissionPlan, workers: int) -> StepTimes:
    from jstyle.jobs.step_times import StepTimes

    checkpoint, model = plan.checkpoint, plan.recipe.model.model
    width, height = checkpoint.size
    subject = f"{checkpoint.model_hash[:16]}, {width}x{height}, {model.precision}, {model.backend}"
    return StepTimes(subject, workers)


def _train(plan: SubmissionPlan, progress: Progress, engine: Engine) -> Generator[Event, None, set[str]]:
    """Train what unfinished pictures need. Returns the identities that have failed."""
    todo = plan.trainings.read_progress(progress.list_adapters()).todo
    failed = yield from plan.trainings.job.run(engine, todo)
    return {training.identity for training in failed}


def _make(
    plan: SubmissionPlan, submission: Submission, progress: Progress, engine: Engine, times: StepTimes
) -> Generator[Event, None, int]:
    """Make pictures; the bar moves once a picture, by what it costs. Returns how many have failed."""
    failures = 0
    costs = plan.evaluations
    yield Planned(len(plan.tasks), len(progress.finished), sum(costs[task.name] for task in progress.unfinished))
    try:
        with closing(submission.make(engine, progress)) as outcomes:
            for outcome in outcomes:
                name = outcome.task.name
                yield Evaluated(name, costs[name])
                if isinstance(outcome, Done):
                    times.add(outcome.seconds, costs[name])
                    yield PictureWritten(submission.pictures / name)
                else:
                    failures += 1
                    yield Failure(name, outcome.error)
    finally:
        times.save()
    return failures


def _pack(inputs: SubmissionInputs, submission: Submission, *, is_whole: bool) -> Iterator[Event]:
    """Check the folder and write the zip, where all pictures were to be made and have been."""
    errors = submission.check(partial=inputs.styles is not None) if is_whole else []
    for line in errors:
        yield Failure("", line)
    done = "nothing is packed"
    if is_whole and not errors and inputs.styles is None:
        submission.pack(inputs.output / inputs.zip, folder=inputs.zip_folder)
        done = f"the submission is {inputs.output / inputs.zip}"
    yield Remark(f"pictures and sheets are in {inputs.output}; {done}")
