"""From the competition's data and a recipe to the zip: generate what is missing, check, pack."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Optional

from command_line import parse, run


@dataclass(frozen=True)
class Settings:
    """What to make, where, and with what."""

    data: Path
    """The competition's data: NN/images and NN/prompt.json."""

    recipe: Path
    """YAML: the model, and how each picture is made (configs/submission.yaml explains it)."""

    output: Path = Path("outputs/submission")
    """Folder for pictures, sheets, manifest and zip; run again, the command goes on where it stopped."""

    zip: str = "result.zip"
    """The zip's name."""

    zip_folder: str = ""
    """A folder inside the zip to put everything into; none by default."""

    styles: Optional[tuple[str, ...]] = None
    """Make these styles alone, such as 00 07; then nothing is packed."""

    engine: Literal["local", "ray"] = "local"
    """Run on this machine, or on a Ray cluster (requirements-ray.txt) whose machines share the data and the output."""

    workers: int = 0
    """Processes; 0 is this one. On this machine they share its cores."""

    devices: Optional[tuple[str, ...]] = None
    """GPUs of this machine, such as 0 1: a worker each."""

    ray_address: Optional[str] = None
    """auto, or ray://HOST:10001; by default a Ray of this machine's own."""

    ray_cores: float = 1
    """Cores of the cluster that a worker takes."""

    ray_gpus: float = 0
    """GPUs of the cluster that a worker takes."""

    plan: bool = False
    """Print what would be done and how long it takes, and stop."""

    verify: Optional[int] = None
    """Make so many of the finished pictures again and compare them, instead of making new ones."""

    overwrite: bool = False
    """Make pictures again that were made with other settings."""

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise ValueError(f"workers must not be negative, not {self.workers}")
        if self.verify is not None and self.verify < 1:
            raise ValueError(f"verify must be at least 1, not {self.verify}")


def main() -> int:
    settings = parse(Settings, "Make a submission to the Jittor challenge's style track.")
    from jstyle.competition import plan
    from jstyle.competition.dataset import survey
    from jstyle.competition.generate import Job
    from makers.pictures import PACKAGES, WORKER, methods

    dataset, findings = survey(settings.data, settings.styles)
    planned = plan.read(settings.recipe, dataset, methods(), findings)
    for line in findings.lines():
        print(line, file=sys.stderr)
    if planned is None:
        return 2
    job = Job(planned, WORKER, PACKAGES, settings.output)
    engine = engine_of(settings)
    if settings.verify is not None:
        return verify(job, engine, settings.verify)
    found = job.find(overwrite=settings.overwrite)
    times = plan.step_times(planned, engine)
    if found.by_other_code:
        print(f"remark: {found.by_other_code} pictures were made by another version of the code", file=sys.stderr)
    print(plan.summary(planned, found.todo, found.damaged, times.known(), engine))
    if settings.plan:
        return 0
    failures = make(job, engine, found, planned, times)
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


def engine_of(settings: Settings) -> Any:
    """Where the tasks run."""
    from jstyle.jobs.engine import Engine

    given = asdict(settings)
    ray = {name: given[name] for name in ("ray_address", "ray_cores", "ray_gpus")}
    return Engine(settings.engine, settings.workers, settings.devices or (), **ray)


if __name__ == "__main__":
    run(main)
