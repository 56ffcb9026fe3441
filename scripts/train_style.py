"""Teach a model the styles of a folder, each by itself: one training run a style, on any number of workers."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, List, Literal, Optional

from command_line import parse, run
from engines import EngineOptions, end_like_ctrl_c_at_sigterm, engine_of, train
from model_options import in_the_recipes_place

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Settings:
    """What to teach, and how."""

    data: Optional[Path] = None
    """NN/images/* as in the competition, a folder of folders of pictures, or one folder of pictures; by default the
    sample styles, each picture a style."""

    method: str = "lora"
    """textual_inversion, inst, lora, dreambooth or fine_tuning."""

    output: Path = Path("outputs/train_style")
    """Folder for the results; run again, the command goes on where it stopped."""

    recipe: Path = ROOT / "configs" / "train_style.yaml"
    """YAML: the model, and the settings of each method and of single styles."""

    base: Optional[str] = None
    """One of the recipe's bases, such as sd21: the same for another base model."""

    model: Optional[str] = None
    """A folder in diffusers' layout, a hub id, or tiny, in the place of the recipe's."""

    backend: Optional[Literal["native", "jdiffusion"]] = None
    """Whose networks compute, in the place of the recipe's: this project's, or JDiffusion's (docs/jdiffusion.md)."""

    set: tuple[str, ...] = ()
    """Settings of the trainer in the place of the recipe's, such as loop.steps=50 rank=8."""

    styles: Optional[tuple[str, ...]] = None
    """Teach these alone: names, lists (03,05) and ranges of numbers (00-27)."""

    one_per_picture: bool = False
    """Each picture of a folder is a style of its own."""

    jobs: int = 0
    """Processes; 0 is this one. On this machine they share its cores."""

    sheets: bool = True
    """Draw the same prompts and seeds before and after each training."""

    plan: bool = False
    """Print what would be done, and stop."""

    overwrite: bool = False
    """Train styles anew that were trained with other settings, pictures or models."""

    def __post_init__(self) -> None:
        if self.jobs < 0:
            raise ValueError(f"jobs must not be negative, not {self.jobs}")


def main() -> int:
    settings, options = parse(Settings, "Teach a model the styles of a folder.", extra=EngineOptions)
    from jstyle.errors import InputError
    from jstyle.training.many_styles import folders as styles
    from jstyle.training.many_styles import recipe as recipes
    from jstyle.training.many_styles.job import Training
    from jstyle.weights.description import describe
    from jstyle.workers.pictures import PACKAGES
    from jstyle.workers.training import METHODS, TRAINER

    if settings.method not in METHODS:
        raise InputError(f"there is no method {settings.method!r} (there are: {', '.join(METHODS)})")
    recipe = recipes.load(settings.recipe, METHODS, settings.base, in_the_recipes_place(settings))
    found = styles.find(settings.data or ROOT / "samples" / "style", one_a_picture=one_a_picture(settings))
    found = styles.chosen(found, settings.styles) if settings.styles else found
    styles.check_pictures(found)
    changes = recipes.changes_of(settings.set)
    checkpoint = describe(recipe.model)
    runs = recipes.lay_over(recipe, found, settings.method, METHODS, checkpoint, changes)
    training = Training(runs, settings.output, TRAINER, PACKAGES)
    there = training.find(overwrite=settings.overwrite)
    print(there.summary())
    if settings.plan:
        return 0
    end_like_ctrl_c_at_sigterm()
    engine = engine_of(options, settings.jobs)
    failures = train(training, engine, there.todo)
    trained = len(runs) - len(failures)
    if settings.sheets:
        failures += draw(
            settings, recipe, checkpoint, engine, [one for one in runs if one.place not in failed(failures)]
        )
    for line in failures:
        print("error:", line, file=sys.stderr)
    print(f"{trained} of {len(runs)} styles are in {settings.output}")
    return 1 if failures else 0


def one_a_picture(settings: Settings) -> bool:
    """The samples are a picture a style."""
    return settings.one_per_picture or settings.data is None


def failed(failures: List[str]) -> List[str]:
    """The styles that failure lines begin with."""
    return [line.partition(":")[0] for line in failures]


def draw(settings: Settings, recipe: Any, checkpoint: Any, engine: Any, runs: Any) -> List[str]:
    """The pictures before and after. Returns a line for each that failed."""
    from tqdm import tqdm

    from jstyle.jobs.task import Done
    from jstyle.training.many_styles.sheets import BeforeAfter
    from jstyle.workers.pictures import PACKAGES, WORKER

    sheets = BeforeAfter(runs, settings.output, recipe.model, checkpoint, WORKER, PACKAGES)
    todo = sheets.todo()
    failures = []
    with tqdm(total=len(todo), desc="before and after", unit="picture", disable=not todo) as bar:
        for outcome in sheets.run(engine, todo):
            bar.update()
            if not isinstance(outcome, Done):
                failures.append(f"{outcome.task.name}: {outcome.error}")
    return failures


if __name__ == "__main__":
    run(main)
