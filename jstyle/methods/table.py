"""The table of methods: a line a method. Commands, recipes, pictures' files and the docs are made from it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from jstyle.events import Event
from jstyle.files import sweep_dead
from jstyle.settings.adapted import AdaptedModelSettings
from jstyle.settings.fields import free, require, spelt
from jstyle.settings.paths import Pictures, Results, choose_folder, names_picture
from jstyle.table import Table, load_attribute

PAIRS_OUTPUT = Path("output.png")
"""Where a pair goes if nobody says."""


@dataclass(frozen=True)
class PairInputs:
    """What to work on. A method that is given more has a dataclass of its own that adds it."""

    content: tuple[Pictures, ...] = spelt("content_file_path")
    """Pictures to be stylised, or folders of them."""

    style: tuple[Pictures, ...] = spelt("style_file_path")
    """Pictures, or folders of pictures, whose style is taken."""

    output: Results = PAIRS_OUTPUT
    """Folder for the results, made where it is missing; of a single pair its file, which ends in .png. Several pairs
    need a folder.
    """

    overwrite: bool = free(False, because="asks for the same picture again")
    """Make finished pairs again."""

    def __post_init__(self) -> None:
        require_single(self.output, self.content, self.style)

    @property
    def folder(self) -> Path:
        """Where pictures go."""
        return choose_folder(self.output)

    def arguments(self) -> dict[str, Any]:
        """What the method's class is built from beside the pipeline and the settings."""
        return {}

    def check_settings(self, settings: Any) -> None:
        """Raise InputError where these inputs and the method's settings do not go together."""


def require_single(output: Path, contents: Sequence[Path], styles: Sequence[Path]) -> None:
    """Raise ValueError where an output is one file, and there may be several pairs."""
    single = len(contents) == len(styles) == 1 and not contents[0].is_dir()
    unsaid = ", the output where none is named," if output == PAIRS_OUTPUT else ""
    require(
        single or not names_picture(output),
        f"{str(output)!r}{unsaid} is one file: give one content and one style, or name a folder as output",
    )


@dataclass(frozen=True)
class Method:
    """A way to make pictures. Its package holds it as ``METHOD``; `jstyle.methods.table` names the package.

    Code is named by "module:attribute", so that looking at a method starts nothing:

    * ``run(method, inputs, settings, model)`` is the generator behind the command; it neither prints nor exits.
    * ``stylise``, of a method that puts contents into styles, is the class of `jstyle.methods.pairs.PairMethod`. With
      it alone the method is a command over contents x styles and finishes pictures of recipes. Its settings have
      ``width``, ``height``, ``fit`` and ``batch_size``: a finish replaces the first two by the picture's size and makes
      a picture at a time, so a recipe sets neither these nor the last.
    * ``fill(settings, pipe)``, where the model decides what is not set, gives the settings with that filled in: what
      pictures' files say.
    * ``settle(pipe, settings, pairs, **arguments)``, where the machine decides over what changes no result, gives the
      settings for these pairs and a line on what was decided, or nothing. It is asked once, before a run is counted.
    * ``steer(inputs, settings, model, pipe, contents)``, where ControlNets steer pairs, tells what is to be told of
      maps, and gives what pictures say of them and the maps to hand on (`jstyle.methods.steering.steer_contents`).
    * ``check_finish(settings)``, where a finish cannot have all settings, raises ValueError for those it cannot have.
    * ``recall(subject, settings)``, of what a picture's file says of both, gives values of ``inputs`` and ``settings``,
      the files that it was made from, and what must be given beside it (`jstyle.methods.recalled.Recalled`).
    * ``picture_set``, of a method that makes pictures as a set, is the class of `jstyle.methods.sets.PictureSet`
      by which recipes make theirs.
    """

    name: str
    """In recipes and in what a picture's file says; the command is the same with hyphens."""

    title: str
    """As people write it."""

    summary: str
    """What it does, in one line without a full stop."""

    paper: str
    """Where it is described, such as "arXiv 2312.09008"."""

    settings: type
    """The dataclass of what decides how pictures look."""

    inputs: type = PairInputs
    """The dataclass of what a command works on."""

    foremost: tuple[str, ...] = ("steps", "guidance", "seed", "width", "height")
    """Those of the settings that a form shows before all others, as far as there are such."""

    model: type = AdaptedModelSettings
    """The dataclass that names its model."""

    run: str = "jstyle.methods.pairs:run_pairs"
    stylise: Optional[str] = None
    fill: Optional[str] = None
    settle: Optional[str] = None
    steer: Optional[str] = None
    check_finish: Optional[str] = None
    picture_set: Optional[str] = None
    recall: str = "jstyle.methods.recalling:recall_pair"

    @property
    def command(self) -> str:
        """The name on the command line."""
        return self.name.replace("_", "-")

    def start(self, inputs: Any, settings: Any, model: Any) -> Generator[Event, None, None]:
        """The run's generator, nothing of which has happened yet. Several may write to one folder at once."""
        sweep_dead(inputs.folder)
        run: Callable[..., Generator[Event, None, None]] = load_attribute(self.run)
        yield from run(self, inputs, settings, model)


METHODS: Table[Method] = Table(
    "METHOD",
    [
        "jstyle.methods.text_to_image",
        "styleid",
        "style_align",
        "jstyle.methods.inst",
        "jstyle.methods.prompt_to_prompt",
        "jstyle.methods.artfusion",
        "jstyle.methods.imagic",
        "jstyle.methods.attention_distillation",
        "jstyle.methods.attention_distillation.text",
        "jstyle.methods.z_star",
    ],
)
"""By name, such as METHODS["styleid"]."""
