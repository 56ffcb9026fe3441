"""From the competition's data and a recipe to the zip: generate what is missing, check, pack."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Optional

from command_line import parse, run
from engines import EngineOptions, end_like_ctrl_c_at_sigterm, engine_of, train
from model_options import in_the_recipes_place

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
PREFIX = "submission_"


def preset_file(name: str) -> Path:
    """Where a preset is, or would be."""
    return CONFIGS / f"{PREFIX}{name}.yaml"


def presets() -> list[str]:
    """The recipes that are found by name."""
    return sorted(file.stem[len(PREFIX) :] for file in CONFIGS.glob(f"{PREFIX}*.yaml"))


@dataclass(frozen=True)
class Settings:
    """What to make, where, and with what."""

    data: Path
    """The competition's data: NN/images and NN/prompt.json."""

    recipe: Optional[Path] = None
    """YAML: the model, and how each picture is made (configs/submission.yaml explains it)."""

    preset: Optional[str] = None
    """A recipe by name, in its place: baseline, textual_inversion, lora+styleid, style_aligned."""

    base: Optional[str] = None
    """One of the recipe's bases, such as sd21: the same for another base model."""

    model: Optional[str] = None
    """A folder in diffusers' layout, a hub id, or tiny, in the place of the recipe's."""

    output: Path = Path("outputs/submission")
    """Folder for pictures, sheets, manifest and zip; run again, the command goes on where it stopped."""

    zip: str = "result.zip"
    """The zip's name."""

    zip_folder: str = ""
    """A folder inside the zip to put everything into; none by default."""

    styles: Optional[tuple[str, ...]] = None
    """Make these styles alone, such as 00 07; then nothing is packed."""

    workers: int = 0
    """Processes; 0 is this one. On this machine they share its cores."""

    backend: Optional[Literal["native", "jdiffusion"]] = None
    """Whose networks compute, in the place of the recipe's: this project's, or JDiffusion's (docs/jdiffusion.md)."""

    plan: bool = False
    """Print what would be done and how long it takes, and stop."""

    verify: Optional[int] = None
    """Make so many of the finished pictures again and compare them, instead of making new ones."""

    overwrite: bool = False
    """Make pictures again that were made with other settings."""

    def __post_init__(self) -> None:
        if (self.recipe is None) == (self.preset is None):
            raise ValueError("give either a --recipe or a --preset")
        if self.preset is not None and not preset_file(self.preset).is_file():
            raise ValueError(f"there is no preset {self.preset!r} (there are: {', '.join(presets())})")
        if self.workers < 0:
            raise ValueError(f"workers must not be negative, not {self.workers}")
        if self.verify is not None and self.verify < 1:
            raise ValueError(f"verify must be at least 1, not {self.verify}")


def main() -> int:
    settings, options = parse(Settings, "Make a submission to the Jittor challenge's style track.", extra=EngineOptions)
    from jstyle.competition import plan
    from jstyle.competition.dataset import survey
    from jstyle.competition.generate import Job
    from jstyle.workers.pictures import PACKAGES, WORKER, methods
    from jstyle.workers.training import TRAINER

    dataset, findings = survey(settings.data, settings.styles)
    recipe = settings.recipe or preset_file(settings.preset or "")
    planned = plan.read(recipe, dataset, methods(), findings, settings.base, in_the_recipes_place(settings))
    for line in findings.lines():
        print(line, file=sys.stderr)
    if planned is None:
        return 2
    job = Job(planned, WORKER, PACKAGES, settings.output, TRAINER)
    engine = engine_of(options, settings.workers)
    if settings.verify is not None:
        return verify(job, engine, settings.verify)
    found = job.find(overwrite=settings.overwrite)
    untrained = job.to_train(found)
    times = plan.step_times(planned, engine)
    if found.by_other_code:
        print(f"remark: {found.by_other_code} pictures were made by another version of the code", file=sys.stderr)
    if planned.trained:
        print(untrained.summary())
    print(plan.summary(planned, found.todo, found.damaged, times.known(), engine))
    if settings.plan:
        return 0
    end_like_ctrl_c_at_sigterm()
    failures = train(job.training, engine, untrained.todo)
    found = job.without(found, [line.partition(":")[0] for line in failures])
    failures += make(job, engine, found, planned, times)
    archive = settings.output / settings.zip
    wrong = job.finish(None if settings.styles else archive, folder_in_zip=settings.zip_folder)
    for line in [*failures, *(wrong if not failures else [])]:
        print("error:", line, file=sys.stderr)
    done = "nothing is packed" if failures or wrong or settings.styles else f"the submission is {archive}"
    print(f"pictures and sheets are in {settings.output}; {done}")
    return 1 if failures or wrong else 0


def make(job: Any, engine: Any, found: Any, planned: Any, times: Any) -> list[str]:
    """Make the pictures under a bar that counts UNet evaluations. Returns what failed."""
    from tqdm import tqdm

    from jstyle.jobs.task import Done

    failures = []
    total = sum(planned.evaluations[task.name] for task in found.todo)
    with tqdm(total=total, unit="evaluation", disable=not found.todo) as bar:
        for outcome in job.run(engine, found):
            bar.update(planned.evaluations[outcome.task.name])
            bar.set_description(outcome.task.name)
            if isinstance(outcome, Done):
                times.add(outcome.seconds, planned.evaluations[outcome.task.name])
            else:
                failures.append(f"{outcome.task.name}: {outcome.error}")
                bar.write(f"error: {failures[-1]}", file=sys.stderr)
    times.save()
    return failures


def verify(job: Any, engine: Any, count: int) -> int:
    """Make some pictures again and say which differ."""
    different = 0
    for one in job.verify(engine, count):
        print(f"{one.name}: {'the same' if one.equal else f'differs by up to {one.difference} of 255'}")
        different += not one.equal
    print("all are the same" if not different else f"{different} differ")
    return 1 if different else 0


if __name__ == "__main__":
    run(main)
