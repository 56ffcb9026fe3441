"""What `jstyle train styles` works on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from jstyle.settings.configs import find_config
from jstyle.settings.paths import ReadFolder, ResultsFolder, require_paths
from jstyle.settings.vocabulary import Backend, require_at_least


@dataclass(frozen=True)
class StylesInputs:
    """What to teach, and how."""

    data: Optional[ReadFolder] = None
    """NN/images/* as in the competition, a folder of folders of pictures, or one folder of pictures; by default, in a
    checkout, the sample styles, each picture a style."""

    method: str = "lora"
    """A way to teach (docs/methods.md), by its name in recipes."""

    output: ResultsFolder = Path("outputs/train_style")
    """Folder for the results; run again, the command goes on where it stopped."""

    recipe: Path = Path("train_style")
    """YAML: the model, and the settings of each method and of single styles; a file, or a config's name."""

    base: Optional[str] = None
    """One of the recipe's bases, such as sd21: the same for another base model."""

    model: Optional[str] = None
    """A folder in diffusers' layout, a hub id, or tiny, in the place of the recipe's."""

    backend: Optional[Backend] = None
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
        require_paths(model=self.model)
        require_at_least(0, jobs=self.jobs)
        self.find_recipe()

    def find_recipe(self) -> Path:
        """The recipe's file. Raises InputError where there is none."""
        return find_config(str(self.recipe))
