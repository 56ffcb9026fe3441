"""The table of ways to teach a model a style or an object: a line each. Commands, recipes and workers read it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from jstyle.events import Event, exhaust
from jstyle.holding import held
from jstyle.table import Table, load_attribute


@dataclass(frozen=True)
class Teaching:
    """A way to teach. Its package holds it as ``TEACHING``; code is named by "module:attribute"."""

    name: str
    """In recipes; the command is `jstyle train NAME`, with hyphens."""

    title: str
    summary: str
    paper: str

    settings: type
    """A dataclass with the fields of `jstyle.training.teaching.settings.TeachSettings`."""

    run: str
    """(settings, pipe) -> a generator of events that goes on from the checkpoint in ``settings.output``, writes
    ``result`` and returns the path of what was learnt. ``pipe`` is the model where it is loaded already, or None. It
    neither prints nor takes signals; closing it writes a checkpoint."""

    result: str
    """The file that is written, below the output."""

    serves: str = ""
    """The setting of methods that takes what was learnt, such as "lora"."""

    foremost: tuple[str, ...] = ("prompt", "loop.steps", "loop.rate", "validation_prompts", "validation_every")
    """Those of the settings that a form shows before all others, as far as there are such."""

    hash_networks: Optional[str] = None
    """(settings) -> the hash of networks that these name beside the model, or None where they name none. Finding it
    starts no Jittor."""

    attach: Optional[str] = None
    """(pipe, file, weight) -> a context in which the result is part of the model; None where there is no such thing."""

    @property
    def command(self) -> str:
        """The name on the command line."""
        return self.name.replace("_", "-")

    def start(self, settings: Any, pipe: Any = None) -> Generator[Event, None, Path]:
        """The run's generator, nothing of which has happened yet; the output folder is its own until it ends.

        It raises InputError where another run works in that folder.
        """
        with held(settings.output):
            run: Callable[..., Generator[Event, None, Path]] = load_attribute(self.run)
            return (yield from run(settings, pipe))


TEACHINGS: Table[Teaching] = Table(
    "TEACHING",
    [
        "jstyle.training.teaching.textual_inversion",
        "jstyle.methods.inst",
        "jstyle.training.teaching.lora",
        "jstyle.training.teaching.dreambooth",
        "jstyle.training.teaching.fine_tuning",
        "jstyle.training.teaching.controlnet",
    ],
)
"""By name, such as TEACHINGS["lora"]."""


def list_attachable() -> dict[str, Teaching]:
    """The ways whose results can be attached to a model: those that teach a style."""
    return {name: teaching for name, teaching in TEACHINGS.items() if teaching.attach is not None}


def find_teaching(settings: Any) -> Teaching:
    """The way to teach that such settings are of. Raises TypeError where there is none."""
    for teaching in TEACHINGS.values():
        if type(settings) is teaching.settings:
            return teaching
    raise TypeError(f"{type(settings).__name__} are the settings of no way to teach")


def train(settings: Any, pipe: Any = None, show: Optional[Callable[[Event], object]] = None) -> Path:
    """Teach a model: what is learnt depends on whose settings these are.

    >>> from pathlib import Path
    >>> import jstyle
    >>> pipe = jstyle.StableDiffusionPipeline.from_pretrained("tiny")
    >>> pictures, folder, loop = (Path("samples/style"),), Path("lora"), jstyle.LoopSettings(steps=2)
    >>> settings = jstyle.LoraSettings(data=pictures, output=folder, loop=loop, prompt="{name} in style_01")
    >>> pipe.load_lora_weights(jstyle.train(settings))

    Args:
        settings: such as `LoraSettings`, `TextualInversionSettings`, `InstTrainSettings`.
        pipe: the settings' model, where it is loaded already; afterwards it is as it was.
        show: called with each event of the run (`jstyle.events`), such as print; by default nothing is shown.

    Returns:
        The file, or for a whole model the folder, that holds what was learnt.

    Raises InputError for what cannot be, and KeyboardInterrupt, with a checkpoint written, after Ctrl-C or SIGTERM: the
    same call goes on from there.
    """
    from jstyle.training.stopping import stop_between_updates

    return exhaust(stop_between_updates(find_teaching(settings).start(settings, pipe)), show)
