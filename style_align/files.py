"""The files of a set: a PNG a picture, the references' pictures, and a contact sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Optional

from PIL import Image

from jstyle.events import Event
from jstyle.methods.pairs import publish
from jstyle.pictures import images
from jstyle.pictures.finished import is_finished, read_state
from jstyle.pictures.sheets import choose_cell_side, draw_grid, join_sheets, measure_cell, write_sheet
from jstyle.pictures.spec import ControlSubject, ModelIdentity, PictureSpec
from jstyle.settings.control import ControlSettings
from jstyle.settings.fields import free, later
from jstyle.settings.name_patterns import shorten
from style_align.settings import StyleAlignSettings

SHEET = "contact_sheet.png"
SHEET_COLUMNS = 5


@dataclass(frozen=True)
class Companion:
    """Another picture of the set, by the hash of what it starts from."""

    prompt: str
    seed: int
    start: Optional[str] = None
    start_file: str = free("", because="the hash stands for it")


@dataclass(frozen=True)
class ReferenceSubject:
    """A reference: generated from its seed, or by the hash of its file - a picture, or a saved reference."""

    prompt: str
    seed: Optional[int] = None
    file: Optional[str] = None
    companions: tuple[Companion, ...] = ()
    """As those of `SetSubject`."""

    picture_file: str = free("", because="the hash stands for it")
    saved_file: str = free("", because="the hash stands for it")


@dataclass(frozen=True)
class SetSubject:
    """A picture of a set; ``start`` is the hash of the picture that it starts from."""

    prompt: str
    seed: int
    references: tuple[ReferenceSubject, ...]
    weights: Optional[tuple[float, ...]] = None
    start: Optional[str] = None
    companions: tuple[Companion, ...] = ()
    """All pictures of the set but the reference, where they attend to each other; else a picture depends on none."""

    controls: tuple[ControlSubject, ...] = later(())
    """What steers it, and never the references."""

    start_file: str = free("", because="the hash stands for it")


class SetFiles:
    """Which pictures there are, where each goes, what each is, and which are finished; ``wanted`` were asked for.

    ``settings`` are those that act (`StyleAlignSettings.fill`). Targets come first, then references; where
    ``begins_set`` the only reference is the first of the pictures that were asked for, and is called so.
    ``overwrite`` makes all of them again.
    """

    def __init__(
        self,
        folder: Path,
        method: str,
        model: ModelIdentity,
        settings: StyleAlignSettings,
        targets: Sequence[SetSubject],
        references: Sequence[ReferenceSubject],
        *,
        begins_set: bool = False,
        overwrite: bool = False,
    ) -> None:
        self.overwrite = overwrite
        texts = [subject.prompt for subject in ([*references, *targets] if begins_set else targets)]
        pictures = [folder / f"{number:02d}_{shorten(text)}.png" for number, text in enumerate(texts, 1)]
        names = [f"reference{f'_{i}' if i > 1 else ''}.png" for i in range(1, len(references) + 1)]
        self.wanted = pictures
        self.references = pictures[:1] if begins_set else [folder / name for name in names]
        self.targets = pictures[1:] if begins_set else pictures
        self._folder = folder
        target = PictureSpec(method, model, settings, None)
        reference = replace(target, settings=replace(settings, controls=ControlSettings()))
        companions: tuple[Companion, ...] = ()
        if settings.sharing.full_attention_share:
            companions = tuple(
                Companion(target.prompt, target.seed, target.start, target.start_file) for target in targets
            )
        self._specs = {
            path: replace(spec, subject=replace(subject, companions=companions))
            for paths, spec, subjects in ((self.targets, target, targets), (self.references, reference, references))
            for path, subject in zip(paths, subjects)
        }

    def spec(self, path: Path) -> PictureSpec:
        """What the picture at a path of this set is."""
        return self._specs[path]

    def list_unfinished(self, *, whole: bool) -> set[Path]:
        """The pictures still to be made. ``whole``: all or none, for sets whose pictures depend on each other.

        Raises InputError, unless all are made again, where a picture's file is something else.
        """
        unfinished = {
            path for path, spec in self._specs.items() if not is_finished(path, spec, overwrite=self.overwrite)
        }
        return set(self._specs) if whole and unfinished else unfinished

    def list_finished(self, unfinished: AbstractSet[Path]) -> list[Path]:
        """The pictures, references first, that are not among the ``unfinished`` ones."""
        return [path for path in (*self.references, *self.targets) if path not in unfinished]

    def write(self, path: Path, picture: Optional[Image.Image]) -> Event:
        """Write a picture, None where it is not finite, and say what became of it.

        Raises InputError, unless all are made again, where another run has meanwhile put something else there.
        """
        return publish(picture, path, self._specs[path], overwrite=self.overwrite)

    def write_sheet(self) -> None:
        """Write references, then targets, with their texts, as far as they are finished. Without any: no sheet."""
        paths = [
            path for path in (*self.references, *self.targets) if read_state(path, self._specs[path]) == "finished"
        ]
        if not paths:
            return
        columns = max(SHEET_COLUMNS, math.ceil(math.sqrt(len(paths))))
        side = choose_cell_side(columns, columns)
        labelled = [(images.open_small(path, side), self._specs[path].subject.prompt) for path in paths]
        width, height = cell = measure_cell([picture for picture, _ in labelled], side)
        columns = max(1, min(columns, len(labelled), 8 * columns * height // width))
        rows = [labelled[start : start + columns] for start in range(0, len(labelled), columns)]
        strips = [
            draw_grid([[picture for picture, _ in row]], None, [label for _, label in row], cell=cell) for row in rows
        ]
        write_sheet(join_sheets(strips, across=False), self._folder / SHEET)
