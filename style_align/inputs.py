"""What the command works on: texts, references, pictures to start from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from jstyle.settings.fields import free, require
from jstyle.settings.paths import Picture, ReadFile, ResultFile, ResultsFolder, names_something


@dataclass(frozen=True)
class SetInputs:
    """What to make, and from which references."""

    prompt: tuple[str, ...]
    """Texts, one a picture; without another reference the first one's picture is the reference."""

    output: ResultsFolder
    """Folder for the results; made where it is missing."""

    style_text: str = ""
    """A phrase that is put behind every text, such as "macro photo, 3d game asset"."""

    style: str = ""
    """The same under its first name; a picture's path, which it is in other commands, is refused."""

    reference_prompt: tuple[str, ...] = ()
    """Text of a reference to generate, or what a reference picture shows; several are mixed."""

    reference_image: tuple[Picture, ...] = ()
    """Pictures as references; each needs its --reference_prompt."""

    reference: tuple[ReadFile, ...] = ()
    """References that an earlier run has saved."""

    reference_weights: Optional[tuple[float, ...]] = None
    """How much each reference counts, saved ones first; by default all the same."""

    save_reference: Optional[ResultFile] = None
    """File to keep the reference in for later runs."""

    image: tuple[Picture, ...] = ()
    """Pictures to start from (image-to-image): one for all texts, or one each."""

    control: tuple[Picture, ...] = ()
    """Maps, or pictures that preprocess makes maps of: of each ControlNet one for all texts but the reference's, or
    one each, net by net.
    """

    overwrite: bool = free(False, because="asks for the same pictures again")
    """Make finished pictures again."""

    def __post_init__(self) -> None:
        require(not (self.style and self.style_text), "style and style_text are one setting: give style_text alone")
        require(
            not names_something(self.style),
            f"style {self.style!r} is a path: give a picture as --reference_image, with --reference_prompt for what it "
            "shows, and a phrase as --style_text",
        )
        require(
            self.names_reference or len(self.prompt) >= 2,
            "a set needs at least two texts, the first for the reference; or give --reference_prompt",
        )
        require(
            not self.reference_image or len(self.reference_prompt) == len(self.reference_image),
            "give a --reference_prompt for each --reference_image: what it shows",
        )
        require(
            self.save_reference is None or self.count_references() == 1,
            "save_reference keeps one reference: make several one after another",
        )
        require(
            self.reference_weights is None or len(self.reference_weights) == self.count_references(),
            f"{len(self.reference_weights or ())} reference_weights for {self.count_references()} references",
        )
        starts, targets = len(self.image), len(self.target_prompts)
        require(starts in (0, 1, targets), f"{starts} pictures to start {targets} from: give one, or one each")

    @property
    def folder(self) -> Path:
        """Where pictures go."""
        return self.output

    @property
    def names_reference(self) -> bool:
        """Whether a reference is given beside the texts."""
        return bool(self.reference_prompt or self.reference)

    def count_references(self) -> int:
        """How many references there are."""
        return len(self.reference) + len(self.reference_prompts)

    @property
    def reference_prompts(self) -> tuple[str, ...]:
        """The texts of references that are not saved ones, in full."""
        return self._add_style(self.reference_prompt if self.names_reference else self.prompt[:1])

    @property
    def target_prompts(self) -> tuple[str, ...]:
        """The texts of the pictures to make, in full."""
        return self._add_style(self.prompt if self.names_reference else self.prompt[1:])

    def _add_style(self, prompts: tuple[str, ...]) -> tuple[str, ...]:
        phrase = self.style_text or self.style
        return tuple(f"{prompt}, {phrase}" for prompt in prompts) if phrase else prompts
