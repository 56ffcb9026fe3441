"""``jstyle grid METHOD``: what one or two settings do, on one sheet."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from jstyle.cli.command import describe, read_picture
from jstyle.cli.paths import fetch_checked
from jstyle.cli.report import show_events
from jstyle.methods.grids import Cell, plan_grid, run_grid
from jstyle.methods.table import Method
from jstyle.settings.configs import find_config
from jstyle.settings.words import make_parser, parse_axes
from jstyle.table import load_attribute
from jstyle.training.stopping import stop_between_updates

if TYPE_CHECKING:
    from jstyle.methods.recalled import Recalled

OUTPUT = Path("outputs/grid")
_RECALL = "jstyle.methods.recalling:recall_settings"


@dataclass(frozen=True)
class GridCommand:
    """A method's options, one or two of them with several values, and `--plan`."""

    method: Method
    source: str = ""

    @property
    def words(self) -> str:
        """What is typed after `jstyle`."""
        return f"grid {self.method.command}"

    @property
    def summary(self) -> str:
        """What the command does."""
        return f"draws what one or two settings do to pictures of {self.method.title}, on one sheet"

    def make_parser(self, prog: str) -> argparse.ArgumentParser:
        """The method's options."""
        note = (
            "One or two settings are given several values, as in --seed 1 2 3: the first goes down the sheet, the "
            "second across. A setting that takes a list is given once for each value."
        )
        parser = make_parser(self._kinds, prog, f"{describe(self)} {note}", takes_picture=True, collects=True)
        parser.add_argument("--plan", action="store_true", help="say what would be made, and leave")
        output = next(action for action in parser._actions if action.dest == "--output")
        output.help = f"folder of the sheet, and of a folder for each cell's pictures (default: {self._output})"
        return parser

    def main(self, argv: Sequence[str], prog: str) -> int:
        """Read the words and run."""
        recalled: list[Recalled] = []

        def read(path: Path, given: Collection[str]) -> Recalled:
            recalled.append(read_picture(self._recall, path, given))
            return recalled[0]

        defaults = {"output": str(self._output)}
        values, axes, parsed = parse_axes(self.make_parser(prog), self._kinds, argv, find_config, read, defaults)
        grid = plan_grid(self.method, values, axes, Path(values["output"]).expanduser(), dashes="--")
        grid = replace(grid, cells=tuple(map(_fetch_checked, grid.cells)))
        for found in recalled:
            for cell in grid.cells:
                found.check_model(cell.model)
        return show_events(stop_between_updates(run_grid(grid, plan="plan" in parsed)))

    @property
    def _output(self) -> Path:
        return OUTPUT / self.method.command

    @property
    def _kinds(self) -> tuple[type, ...]:
        return self.method.inputs, self.method.settings, self.method.model

    def _recall(self, path: Path, given: Collection[str]) -> Recalled:
        return load_attribute(_RECALL)(self.method, self._kinds, path, given)


def _fetch_checked(cell: Cell) -> Cell:
    parts = {name: fetch_checked(getattr(cell, name)) for name in ("inputs", "settings", "model")}
    return replace(cell, **parts)
