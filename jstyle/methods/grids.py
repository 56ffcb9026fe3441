"""Grids: what one or two settings do to a method's pictures, cell by cell, and all of them on one labelled sheet.

A cell is an ordinary run of the method in a folder of its own, so its pictures carry their metadata, and finished ones
are skipped. Whatever the table of methods names can be asked for.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Optional

from PIL import Image

from jstyle.errors import InputError
from jstyle.events import Event, Failure, PictureFound, PictureWritten, Planned, Remark, closing
from jstyle.files import check_output, fit_name
from jstyle.methods.table import Method
from jstyle.pictures import images
from jstyle.pictures.sheets import check_sheet, choose_cell_side, draw_grid, join_sheets, measure_cell, write_sheet
from jstyle.pipelines.opening import kept_loaded
from jstyle.settings.fields import join_flat
from jstyle.settings.leaves import LISTS
from jstyle.settings.paths import describe_output, names_something
from jstyle.settings.reader import build, merged, plain
from jstyle.weights.fetching import nothing_fetched

MOST_AXES = 2
NO_AXES = ("output", "overwrite")
"""Settings that cannot differ from cell to cell: they say what becomes of all of them."""

_WIDEST = 6  # cells in a row of a sheet that has one setting


@dataclass(frozen=True)
class Cell:
    """One run of the method: where it stands on the sheet, what it is called, and what it is of."""

    row: int
    column: int
    label: str
    inputs: Any
    settings: Any
    model: Any


@dataclass(frozen=True)
class Grid:
    """Rows x columns of cells, by their labels; without a second setting there is one row, whose label is "".

    ``cells`` stand in the order in which they are made: those of one model together.
    """

    method: Method
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[Cell, ...]
    sheet: Path


@dataclass(frozen=True)
class _Outlook:
    """What a cell's run says before anything is made: what is there, and what is ahead."""

    found: tuple[Path, ...]
    plan: Planned

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing to make."""
        ahead = self.plan.evaluations or self.plan.updates or self.plan.pictures > self.plan.finished
        return not ahead


def plan_grid(
    method: Method, values: Mapping[str, Any], axes: Mapping[str, Sequence[Any]], output: Path, *, dashes: str = ""
) -> Grid:
    """The cells of a method's settings, of which one or two have several values; nothing is made or opened.

        plan_grid(METHODS["styleid"], {"content": ["a.png"], "style": ["b.png"]}, {"gamma": [0.3, 0.5]}, Path("grid"))

    Args:
        method: one of the table's.
        values: plain values of its inputs, settings and model, by their names at one level, as `build` takes them;
            an ``output`` among them is not looked at.
        axes: the plain values of one or two settings, by their names, dotted where they are nested: the first goes
            down, the second across; one alone goes across. Of a setting that is a list each value is a list.
        output: the folder of the sheet, FIRST_x_SECOND.png, and of a folder a cell.
        dashes: what names of settings begin with where a value is refused.

    Raises InputError, one line, for what cannot be an axis, and for the first cell whose values make no sense.
    """
    _check_axes(axes)
    joined = join_flat((method.inputs, method.settings, method.model))
    names, counts = list(axes), [len(listed) for listed in axes.values()]
    down, across = (names[0], names[1]) if len(names) == MOST_AXES else ("", names[0])

    def lay(base: Mapping[str, Any], row: int, column: int, folder: Path) -> Any:
        chosen = {name: axes[name][place] for name, place in ((down, row), (across, column)) if name}
        return build(joined, _lay({**base, "output": str(folder)}, chosen), dashes=dashes)

    common = plain(lay(values, 0, 0, output))  # so that a seed that is drawn is one for all
    columns = _label(across, [lay(common, 0, column, output) for column in range(counts[-1])])
    rows = _label(down, [lay(common, row, 0, output) for row in range(counts[0])]) if down else [""]
    cells = []
    for (row, down_label), (column, label) in product(enumerate(rows), enumerate(columns)):
        name = f"{down_label}, {label}" if down else label
        built = lay(common, row, column, output / _name_folder(name))
        cells.append(Cell(row, column, name, built.part0, built.part1, built.part2))
    models = [cell.model for cell in cells]
    cells.sort(key=lambda cell: models.index(cell.model))
    return Grid(method, tuple(rows), tuple(columns), tuple(cells), output / fit_name("_x_".join(names), ".png"))


def run_grid(grid: Grid, *, plan: bool = False) -> Generator[Event, None, None]:
    """Make what no cell has yet, then the sheet; with ``plan`` count it only, and fetch nothing.

    A generator of events, as a method's run: one `Planned` for all cells, and the sheet as the last `PictureWritten`.
    Closing it stops it; what is finished then is skipped by the next. The model is loaded once, or taken from the
    `kept_loaded` around. All cells are looked at before the first is made: raises InputError, which names the cell,
    where one cannot be made, or where a file is something else.
    """
    check_output(grid.sheet.parent)
    if not grid.cells[0].inputs.overwrite:
        check_sheet(grid.sheet)
    told: set[Event] = set()
    with kept_loaded(), nothing_fetched() if plan else nullcontext():
        outlooks = []
        for cell in grid.cells:
            outlooks.append((yield from _look_ahead(grid.method, cell, told)))
        total = _add_up([outlook.plan for outlook in outlooks])
        yield total
        if plan:
            yield Remark(_describe(grid, total))
            return
        pictures: dict[tuple[int, int], list[Path]] = {}
        for cell, outlook in zip(grid.cells, outlooks):
            paths = outlook.found if outlook.is_finished else (yield from _make(grid.method, cell, told))
            pictures[cell.row, cell.column] = sorted(paths)
    yield from _write_sheet(grid, pictures)


def _check_axes(axes: Mapping[str, Sequence[Any]]) -> None:
    """Raise InputError unless one or two settings have several values each, all of them different."""
    if not axes:
        raise InputError("a grid needs one or two settings with several values each, such as --seed 1 2 3")
    if len(axes) > MOST_AXES:
        raise InputError(f"a grid has two settings with several values, and these are {len(axes)}: {', '.join(axes)}")
    for name, values in axes.items():
        if name in NO_AXES:
            raise InputError(f"{name} is said once, for all cells")
        if not values:
            raise InputError(f"{name} needs values")
        for place, value in enumerate(values):
            if value in values[:place]:
                raise InputError(f"{name}: the value {_show(value)} is there twice")


def _lay(values: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Values of settings, by their dotted names, over the others."""
    laid = dict(values)
    for name, value in chosen.items():
        for part in reversed(name.split(".")):
            value = {part: value}
        laid = merged(laid, value)
    return laid


def _label(name: str, built: Sequence[Any]) -> list[str]:
    """NAME = VALUE of each, as the settings that were built have it; of files the names alone where these differ."""
    values = []
    for settings in built:
        value: Any = plain(settings)
        for part in name.split("."):
            value = value[part]
        values.append(value)
    whole, short = list(map(_show, values)), [_show(_take_name(value)) for value in values]
    return [f"{name} = {value}" for value in (short if len(set(short)) == len(short) else whole)]


def _take_name(value: Any) -> Any:
    """The name of a file in the place of its path, in a list too; FILE:WEIGHT keeps its weight."""
    if isinstance(value, LISTS):
        return list(map(_take_name, value))
    if isinstance(value, str) and names_something(value.partition(":")[0]):
        return value.rpartition("/")[2]
    return value


def _show(value: Any) -> str:
    """A value as people write it."""
    if isinstance(value, LISTS):
        return " ".join(map(_show, value)) or "none"
    if value is None or isinstance(value, bool):
        return {None: "default", True: "yes", False: "no"}[value]
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _name_folder(label: str) -> str:
    """A folder's name of a cell's label; one in which something had to be replaced ends in a digest of it."""
    plainly = label.replace(" = ", "=").replace(", ", ",")
    safe = re.sub(r"[^\w,=+.-]|\.(?!\d)", "_", plainly)
    return fit_name(safe, "" if safe == plainly else f"_{hashlib.sha256(label.encode()).hexdigest()[:8]}")


@contextmanager
def _named(cell: Cell) -> Iterator[None]:
    """Inside, an InputError says of which cell it is."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{cell.label}: {error}") from error


def _look_ahead(method: Method, cell: Cell, told: set[Event]) -> Generator[Event, None, _Outlook]:
    """A cell's run up to its plan. Yields what it has to say that no other cell has ``told``."""
    found = []
    with _named(cell), closing(method.start(cell.inputs, cell.settings, cell.model)) as events:
        for event in events:
            if isinstance(event, Planned):
                return _Outlook(tuple(found), event)
            if isinstance(event, PictureFound):
                found.append(event.path)
                yield event
            elif isinstance(event, (Remark, Failure)) and event not in told:
                told.add(event)
                yield event
    return _Outlook(tuple(found), Planned())


def _make(method: Method, cell: Cell, told: set[Event]) -> Generator[Event, None, list[Path]]:
    """A cell's run; returns where its pictures are."""
    pictures = []
    told.add(Remark(describe_output(cell.inputs.output)))
    with _named(cell), closing(method.start(cell.inputs, cell.settings, cell.model)) as events:
        for event in events:
            if isinstance(event, (PictureFound, PictureWritten)) and event.path.parent == cell.inputs.folder:
                pictures.append(event.path)
            if isinstance(event, (Planned, PictureFound)) or event in told:
                continue
            if isinstance(event, (Remark, Failure)):
                told.add(event)
            yield event
    return pictures


def _add_up(plans: Sequence[Planned]) -> Planned:
    return Planned(
        sum(plan.pictures for plan in plans),
        sum(plan.finished for plan in plans),
        sum(plan.evaluations for plan in plans),
        sum(plan.updates for plan in plans),
    )


def _describe(grid: Grid, total: Planned) -> str:
    """What is ahead, in a line."""
    kinds = ((total.updates, "updates"), (total.evaluations, "evaluations"))
    ahead = [f"{count} {what}" for count, what in kinds if count]
    missing = total.pictures - total.finished
    size = f"{len(grid.rows)} x {len(grid.columns)} cells"
    return f"{size}: {missing} pictures to make{', ' if ahead else ''}{' and '.join(ahead)}; the sheet is {grid.sheet}"


def _write_sheet(grid: Grid, pictures: Mapping[tuple[int, int], Sequence[Path]]) -> Iterator[Event]:
    """The sheet, and what several pictures of a cell are. Raises InputError where there is no picture at all."""
    side = choose_cell_side(len(grid.rows) + 1, len(grid.columns) + 1)
    shown = {place: _join([images.open_small(path, side) for path in paths]) for place, paths in pictures.items()}
    cell = measure_cell([picture for picture in shown.values() if picture is not None], side)
    table = [[shown.get((row, column)) for column in range(len(grid.columns))] for row in range(len(grid.rows))]
    write_sheet(draw_sheet(table, grid.rows, grid.columns, cell), grid.sheet)
    yield PictureWritten(grid.sheet)
    several = max(pictures.values(), key=len, default=[])
    if len(several) > 1:
        yield Remark(f"in each cell, row by row: {', '.join(path.stem for path in several)}")
    yield Remark(f"the sheet is {grid.sheet}, and each cell's pictures are in a folder beside it")


def draw_sheet(
    table: Sequence[Sequence[Optional[Image.Image]]],
    rows: Sequence[str],
    columns: Sequence[str],
    cell: tuple[int, int],
) -> Image.Image:
    """Cells of (width, height) with their labels; a single row that is long goes on below."""
    if len(rows) > 1:
        return draw_grid(table, rows, columns, cell=cell)
    count = math.ceil(len(columns) / math.ceil(len(columns) / _WIDEST))
    starts = range(0, len(columns), count)
    pieces = [
        draw_grid([table[0][start : start + count]], None, columns[start : start + count], cell=cell)
        for start in starts
        if any(picture is not None for picture in table[0][start : start + count])
    ]
    return join_sheets(pieces, across=False)


def _join(pictures: Sequence[Image.Image]) -> Optional[Image.Image]:
    """A cell's pictures as one: side by side, about as many across as down."""
    if len(pictures) < 2:
        return pictures[0] if pictures else None
    columns = math.ceil(math.sqrt(len(pictures)))
    return draw_grid([pictures[start : start + columns] for start in range(0, len(pictures), columns)], gap=4)
