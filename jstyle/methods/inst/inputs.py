"""What the command of InST works on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from jstyle.methods.inst.settings import InstTraining
from jstyle.methods.table import require_single
from jstyle.settings.fields import free
from jstyle.settings.paths import Pictures, ReadPath, Results, ResultsFolder, Source, choose_folder, require_paths


@dataclass(frozen=True)
class InstInputs:
    """What to work on."""

    style: tuple[ReadPath, ...]
    """Pictures whose style is learnt, or folders of trainings that are finished."""

    output: Results
    """Folder for the results, made where it is missing; of a single pair its file, which ends in .png."""

    content: tuple[Pictures, ...] = ()
    """Pictures to be stylised, or folders of them; without any, the styles are learnt and that is all."""

    styles: Optional[ResultsFolder] = free(None, because="a training is the same wherever it lies")
    """Where the trainings of style pictures are kept, for later runs too; by default styles/ in the output folder."""

    image_encoder: Optional[Source] = None
    """A model or folder whose CLIP image encoder looks at the style; by default the model's own."""

    compat: bool = False
    """Show the image encoder what the paper's code shows it, a nearly black picture whatever the style."""

    overwrite: bool = free(False, because="asks for the same picture again")
    """Make finished pairs again; a finished training is kept."""

    training: InstTraining = field(default_factory=InstTraining)
    """How a style is learnt, in what the model computes in."""

    def __post_init__(self) -> None:
        require_paths(image_encoder=self.image_encoder)
        require_single(self.output, self.content, self.style)

    @property
    def folder(self) -> Path:
        """Where pictures go."""
        return choose_folder(self.output)
