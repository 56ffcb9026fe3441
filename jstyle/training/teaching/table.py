"""The table of ways to teach a model a style or an object: a line each. Commands, recipes and workers read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from jstyle.table import Table


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

    train: str
    """(settings) -> Path: goes on from the checkpoint in ``settings.output`` and writes ``result``."""

    result: str
    """The file that is written, below the output."""

    attach: Optional[str] = None
    """(pipe, file, weight) -> a context in which the result is part of the model; None where there is no such thing."""

    @property
    def command(self) -> str:
        """The name on the command line."""
        return self.name.replace("_", "-")


TEACHINGS: Table[Teaching] = Table(
    "TEACHING",
    [
        "jstyle.training.teaching.textual_inversion",
        "jstyle.methods.inst",
        "jstyle.training.teaching.lora",
        "jstyle.training.teaching.dreambooth",
        "jstyle.training.teaching.fine_tuning",
    ],
)
"""By name, such as TEACHINGS["lora"]."""
