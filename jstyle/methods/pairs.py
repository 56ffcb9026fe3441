"""Contents in styles: what such a method looks like from outside, and the run that makes a file of every pair.

A method that puts a content into a style brings its settings and a class; the command over contents x styles, the
re-run that skips what is finished, the contact sheet and the finish of a recipe's picture come from here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Optional, Protocol, Union

import numpy as np
from PIL import Image

from jstyle.errors import InputError
from jstyle.events import Evaluated, Event, Failure, PictureFound, PictureWritten, Planned, Remark, closing
from jstyle.files import check_output, fit_name, hash_files
from jstyle.methods.table import Method, PairInputs
from jstyle.pictures import images, png_texts
from jstyle.pictures.finished import is_finished, read_state, write_picture
from jstyle.pictures.fitting import Frame, Size
from jstyle.pictures.sheets import check_sheet, choose_cell_side, draw_table, measure_cell, write_sheet
from jstyle.pictures.spec import ControlSubject, ModelIdentity, PairSubject, PictureSpec, identify_model
from jstyle.pipelines.opening import open_pipeline
from jstyle.settings.identity import digest
from jstyle.settings.paths import choose_folder, describe_output, names_picture
from jstyle.table import load_attribute

SHEET = "contact_sheet.png"
NOT_FINITE = "the result is not finite (NaN or infinity)"

LEAST_SIDE = 256
"""Pixels: what smaller models are asked for too, as attention has no detail to swap below."""

Pair = tuple[int, int]
"""(content, style), both counted from 0."""


@dataclass(frozen=True)
class Stylised:
    """One result: which content in which style, and the picture, or what went wrong with it."""

    content: int
    style: int
    image: Optional[Image.Image]
    error: str = ""

    @classmethod
    def from_array(cls, content: int, style: int, array: np.ndarray) -> Stylised:
        """A result from the autoencoder's picture (1, 3, height, width)."""
        if np.isfinite(array).all():
            return cls(content, style, images.to_images(array)[0])
        return cls(content, style, None, NOT_FINITE)


def publish(
    picture: Optional[Image.Image], path: Path, spec: PictureSpec, *, overwrite: bool, error: str = NOT_FINITE
) -> Event:
    """Write a picture as a run's file, and say what became of it: with None in its place there is an ``error``.

    Raises InputError, unless ``overwrite``, where another run has meanwhile put something else there.
    """
    if picture is None:
        return Failure(str(path), error)
    write_picture(picture, path, spec, overwrite=overwrite)
    return PictureWritten(path)


class PairMethod(Protocol):
    """A method on pictures: built from a loaded pipeline and its settings, which it may refuse with InputError."""

    def __init__(self, pipe: Any, settings: Any) -> None: ...

    def stylise_pairs(
        self,
        contents: Sequence[Image.Image],
        styles: Sequence[Image.Image],
        pairs: Optional[Collection[Pair]] = None,
    ) -> Iterator[Union[Evaluated, Stylised]]:
        """Every pair, all of them by default, as soon as it is done, with `Evaluated` after each step."""
        ...


StylisePairs = Callable[[Any, Collection[Pair]], Iterator[Union[Evaluated, Stylised]]]
"""(pipe, pairs) -> the pairs' pictures, with `Evaluated` after each step."""


def stylise_one(method: PairMethod, content: Image.Image, style: Image.Image) -> Image.Image:
    """The content in the style. Raises InputError where the result is not finite."""
    return take_picture(method.stylise_pairs([content], [style]))


def take_picture(events: Iterator[Union[Evaluated, Stylised]]) -> Image.Image:
    """The first picture of a run. Raises InputError where it is not finite."""
    with closing(events):
        result = next(event for event in events if isinstance(event, Stylised))
    if result.image is None:
        raise InputError(result.error)
    return result.image


def fill_size(settings: Any, pipe: Any) -> Any:
    """The settings with a width and a height: where none is set, the model's own size, and at least `LEAST_SIDE`."""
    side = max(pipe.size, LEAST_SIDE)
    return replace(settings, width=settings.width or side, height=settings.height or side)


def list_pairs(contents: int, styles: int) -> list[Pair]:
    """Every (content, style), style by style."""
    return [(content, style) for style in range(styles) for content in range(contents)]


def split_batches(
    items: Sequence[int], size: int, kind: Callable[[int], Hashable] = lambda item: None
) -> Iterator[list[int]]:
    """The items in pieces of at most ``size``, each of one kind, such as the shape of pictures."""
    kinds: dict[Hashable, list[int]] = {}
    for item in items:
        kinds.setdefault(kind(item), []).append(item)
    for alike in kinds.values():
        for start in range(0, len(alike), size):
            yield alike[start : start + size]


def run_pairs(method: Method, inputs: PairInputs, settings: Any, model: Any) -> Iterator[Event]:
    """Every content in every style, a file each, and a contact sheet; what is finished is skipped.

    ``model`` is of the kind that the method names; it is loaded where there is anything to make. Raises InputError
    where nothing can be made, or where a pair's file is something else.
    """
    inputs.check_settings(settings)
    check_output(inputs.folder)
    counting, make = load_attribute(model.counting).from_settings(model), load_attribute(method.stylise or "")
    if method.fill is not None:
        settings = load_attribute(method.fill)(settings, counting)
    frame = counting.make_frame(settings.width, settings.height, settings.fit)
    contents = yield from open_pictures(inputs.content, frame, inputs.folder)
    styles = yield from open_pictures(inputs.style, frame)
    identity = identify_model(model, counting)
    controls: Sequence[tuple[ControlSubject, ...]] = ()
    shown: dict[str, Any] = {}
    if method.steer is not None:
        steered = yield from load_attribute(method.steer)(inputs, settings, model, counting, list(contents))
        controls, shown = steered.subjects, {"maps": steered.maps}
    files = PairFiles(
        inputs.output,
        method.name,
        settings,
        identity,
        list(contents),
        list(styles),
        controls=controls,
        overwrite=inputs.overwrite,
    )
    pictures = list(contents.values()), list(styles.values())
    pairs = files.list_unfinished()
    if method.settle is not None and pairs:
        settings, line = load_attribute(method.settle)(counting, settings, pairs, **inputs.arguments())
        yield from [Remark(line)] if line else []

    def stylise(pipe: Any, pairs: Collection[Pair]) -> Iterator[Union[Evaluated, Stylised]]:
        return make(pipe, settings, **inputs.arguments()).stylise_pairs(*pictures, pairs, **shown)

    yield from write_pairs(files, pairs, stylise, counting, load=lambda: open_pipeline(model))
    files.write_sheet(*pictures)
    yield Remark(describe_output(inputs.output))


def write_pairs(
    files: PairFiles,
    pairs: Collection[Pair],
    stylise: StylisePairs,
    pipe: Any,
    *,
    load: Optional[Callable[[], Any]] = None,
) -> Iterator[Event]:
    """Make these pairs, a file each; those that are one picture, as of files with the same content, are made once.

    Where ``pipe`` is a `CountingPipeline`, ``load`` gives the pipeline that makes pictures.
    """
    from jstyle.pipelines.cost import count_evaluations

    groups = files.group_equal(pairs)
    evaluations = count_evaluations(lambda counting: stylise(counting, groups.keys()), pipe)
    yield from (PictureFound(files.path(pair)) for pair in files.pairs if pair not in pairs)
    yield Planned(len(files.pairs), len(files.pairs) - len(pairs), evaluations)
    with closing(stylise(load() if load else pipe, groups.keys()) if groups else ()) as events:
        for event in events:
            if isinstance(event, Stylised):
                yield from (files.write(event, pair) for pair in groups[event.content, event.style])
            else:
                yield event


def open_pictures(
    paths: Sequence[Path], frame: Frame, results: Optional[Path] = None
) -> Generator[Union[Failure, Remark], None, dict[Path, Image.Image]]:
    """Open the pictures of files and folders; returns them by path, as a frame fits them.

    One is in memory at its full size. Where the folder ``results`` is among the paths, pictures that were made there
    before are passed over, or each run would go on from the last one's. Yields those that cannot be read, and what a
    person should know of the others, such as sides that are cut. Raises InputError when no picture is left.
    """
    pictures: dict[Path, Image.Image] = {}
    sizes: dict[str, Size] = {}
    failures = []
    remarks: list[str] = []
    found = images.find_images(paths, remarks.append)
    made = [] if results is None else find_results(found, paths, results)
    if made:
        remarks.append(f"{len(made)} pictures that were made in {str(results)!r} are passed over: {str(made[0])!r} ...")
    if len(made) == len(found):
        raise InputError(f"all pictures in {str(results)!r} were made there; choose another --output")
    for path in [path for path in found if path not in made]:
        try:
            picture = images.open_image(path, remarks.append)
            sizes[str(path)], pictures[path] = picture.size, frame.fit(picture)
        except InputError as error:
            failures.append(Failure(str(path), str(error)))
    if not pictures:
        first = failures[0].reason
        raise InputError(first if len(failures) == 1 else f"none of the pictures can be read: {first}")
    yield from failures
    yield from map(Remark, [*remarks, *frame.describe_losses(sizes)])
    return pictures


def find_results(found: Sequence[Path], paths: Sequence[Path], results: Path) -> list[Path]:
    """Those of the pictures of a folder of results that were made there; one that is named outright is meant."""
    folder, named = results.resolve(), set(map(Path, paths))
    inside = [path for path in found if path not in named and path.parent.resolve() == folder]
    return [path for path in inside if png_texts.is_ours(path)]


class PairFiles:
    """Which pairs there are, where each one's picture goes, and which are finished."""

    def __init__(
        self,
        output: Path,
        method: str,
        settings: Any,
        model: ModelIdentity,
        contents: Sequence[Path],
        styles: Sequence[Path],
        hashes: Optional[dict[Path, str]] = None,
        places: Optional[dict[Path, Path]] = None,
        *,
        controls: Sequence[tuple[ControlSubject, ...]] = (),
        overwrite: bool = False,
    ) -> None:
        """``output`` is the folder of all pairs, or the file of the only one, which then has no contact sheet.
        ``hashes`` and ``places`` are given for paths that stand for more than one file: their digest, and the folder
        in which these lie. ``controls`` are what steers each content. ``overwrite`` makes all anew. Raises InputError
        for a file of several.
        """
        self.overwrite = overwrite
        self.pairs = list_pairs(len(contents), len(styles))
        self._file = output if names_picture(output) else None
        if self._file is not None and len(self.pairs) != 1:
            raise InputError(
                f"{str(output)!r} is one file, and there are {len(self.pairs)} pairs: name a folder as output"
            )
        self._folder = choose_folder(output)
        self._common = PictureSpec(method, model, settings, None)
        self._paths = list(contents), list(styles)
        self._names = name_uniquely(contents), name_uniquely(styles)
        stems = [f"{self._names[0][content]}_stylized_{self._names[1][style]}" for content, style in self.pairs]
        self._stems = dict(zip(self.pairs, number_repeated(stems)))
        self._places = places or {}
        self._controls = controls or [()] * len(contents)
        self._hashes = {path: (hashes or {}).get(path) or hash_files([path]) for path in [*contents, *styles]}

    def path(self, pair: Pair) -> Path:
        """CONTENT_stylized_STYLE.png, by the stems of both, and a number where that is another pair's name; or the file
        that was named.
        """
        return self._file or self._folder / fit_name(self._stems[pair], ".png")

    def spec(self, pair: Pair) -> PictureSpec:
        """What a pair's picture is."""
        content, style = self._paths[0][pair[0]], self._paths[1][pair[1]]
        places = [str(self._places.get(path, path)) for path in (content, style)]
        subject = PairSubject(self._hashes[content], self._hashes[style], *places, controls=self._controls[pair[0]])
        return replace(self._common, subject=subject)

    def list_unfinished(self) -> list[Pair]:
        """The pairs still to be made. Raises InputError, unless all are made again, where a file is something else."""
        if not self.overwrite and self._file is None:
            check_sheet(self._folder / SHEET)
        return [
            pair for pair in self.pairs if not is_finished(self.path(pair), self.spec(pair), overwrite=self.overwrite)
        ]

    def group_equal(self, pairs: Collection[Pair]) -> dict[Pair, list[Pair]]:
        """The pairs whose pictures are one and the same, by the first of them."""
        groups: dict[str, list[Pair]] = {}
        for pair in pairs:
            groups.setdefault(digest(self.spec(pair)), []).append(pair)
        return {group[0]: group for group in groups.values()}

    def write(self, result: Stylised, pair: Pair) -> Event:
        """Write a result as a pair's file, and say what became of it.

        Raises InputError, unless all are made again, where another run has meanwhile put something else there.
        """
        return publish(result.image, self.path(pair), self.spec(pair), overwrite=self.overwrite, error=result.error)

    def write_sheet(self, contents: Sequence[Image.Image], styles: Sequence[Image.Image]) -> None:
        """Contents down, styles across, with the originals in the first column and row."""
        if self._file is not None:
            return
        side = choose_cell_side(len(contents) + 1, len(styles) + 1)
        made = {pair: images.open_small(self.path(pair), side) for pair in self.pairs if self._is_finished(pair)}
        rows: list[list[Optional[Image.Image]]] = [[None, *styles]]
        for row, content in enumerate(contents):
            rows.append([content, *(made.get((row, column)) for column in range(len(styles)))])
        cell = measure_cell(list(made.values()), side)
        sheet = draw_table(rows, ["", *self._names[0]], ["", *self._names[1]], cell)
        write_sheet(sheet, self._folder / SHEET)

    def _is_finished(self, pair: Pair) -> bool:
        return read_state(self.path(pair), self.spec(pair)) == "finished"


def name_uniquely(paths: Sequence[Path]) -> list[str]:
    """The stems, with the folder's name, then a number, where two are the same."""
    stems = [path.stem for path in paths]
    return number_repeated(
        f"{path.parent.name}_{path.stem}" if stems.count(path.stem) > 1 and path.parent.name else path.stem
        for path in paths
    )


def number_repeated(names: Iterable[str]) -> list[str]:
    """The names, with a number behind each that was there before."""
    uniques: dict[str, None] = {}
    for name in names:
        unique, number = name, 2
        while unique in uniques:
            unique, number = f"{name}_{number}", number + 1
        uniques[unique] = None
    return list(uniques)
