"""The files of a Style Aligned run: one PNG a picture, the references' pictures, and a contact sheet."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Dict, List, Mapping, Sequence

from jstyle.pictures.outputs import Finished
from PIL import Image

from jstyle.errors import InputError
from jstyle.pictures import images
from style_align.request import Made, Target
from style_align.settings import StyleAlignSettings
from style_align.trajectory import Trajectory, load_trajectory

SHEET = "contact_sheet.png"
SHEET_COLUMNS = 5
# How many go together, where features lie and what files are called do not change what a picture is meant to be.
_WITHOUT_MEANING = frozenset({"batch_size", "features", "model"})


class Job:
    """Which pictures there are, where each goes, and which are finished.

    ``references`` are descriptions, one a reference, and ``starts`` the hashes of the pictures to start from.
    ``metadata`` (settings and model) goes into every PNG, and decides whether a picture that is there is the one that
    would be made.
    """

    def __init__(
        self,
        folder: Path,
        targets: Sequence[Target],
        references: Sequence[Mapping[str, object]],
        metadata: Mapping[str, object],
        starts: Sequence[str] = (),
    ) -> None:
        self.targets = list(targets)
        self._folder = folder
        self._references = [dict(one) for one in references]
        self._metadata = dict(metadata)
        self._starts = list(starts)

    def path(self, target: int) -> Path:
        """Its number and the first words of its text."""
        return self._folder / f"{target + 1:02d}_{_slug(self.targets[target].prompt)}.png"

    def reference_paths(self) -> List[Path]:
        """reference.png, and numbers from the second on."""
        names = ["reference" if i == 0 else f"reference_{i + 1}" for i in range(len(self._references))]
        return [self._folder / f"{name}.png" for name in names]

    def unfinished(self, *, overwrite: bool, whole: bool) -> List[int]:
        """The targets still to be made; the output folder is made too.

        ``whole``: all or none, for sets whose pictures depend on each other. Raises InputError, unless ``overwrite``,
        when a picture's file is there but is something else.
        """
        finished = Finished(self._folder, overwrite=overwrite, ignored=_WITHOUT_MEANING)
        own = [finished.has(self.path(i), self._described(i)) for i in range(len(self.targets))]
        theirs = [finished.has(path, self._reference_described(i)) for i, path in enumerate(self.reference_paths())]
        if whole and not all([*own, *theirs]):
            return list(range(len(own)))
        return [i for i, is_finished in enumerate(own) if not is_finished]

    def save(self, target: int, done: Made) -> str:
        """Write a result. Returns what went wrong with it, if anything."""
        if done.image is None:
            return f"{self.path(target)}: {done.error}"
        images.save_png(done.image, self.path(target), self._described(target))
        return ""

    def save_references(self, pictures: Sequence[Image.Image]) -> None:
        """Write the references' pictures."""
        for number, (picture, path) in enumerate(zip(pictures, self.reference_paths())):
            images.save_png(picture, path, self._reference_described(number))

    def save_contact_sheet(self) -> None:
        """References, then targets, with their texts."""
        entries = [(path, str(told.get("prompt", path.stem))) for path, told in self._labelled_references()]
        entries += [(self.path(i), target.prompt) for i, target in enumerate(self.targets)]
        made = [(images.open_image(path), label) for path, label in entries if path.is_file()]
        width, height = cell = images.labelled_cell([image for image, _ in made])
        columns = max(1, min(SHEET_COLUMNS, len(made), 8 * SHEET_COLUMNS * height // width))
        rows = [made[i : i + columns] for i in range(0, len(made), columns)]
        sheets = [
            images.grid([[image for image, _ in row]], None, [label for _, label in row], cell=cell) for row in rows
        ]
        sheet = Image.new("RGB", (max(one.width for one in sheets), sum(one.height for one in sheets)), "white")
        top = 0
        for one in sheets:
            sheet.paste(one, (0, top))
            top += one.height
        images.save_png(sheet, self._folder / SHEET)

    def _labelled_references(self) -> List[tuple]:
        return list(zip(self.reference_paths(), self._references))

    def _described(self, target: int) -> Dict[str, object]:
        one = self.targets[target]
        start = self._starts[target] if self._starts else None
        return {
            "method": "Style Aligned",
            **self._metadata,
            "prompt": one.prompt,
            "seed": one.seed,
            "image_hash": start,
            "references": self._references,
        }

    def _reference_described(self, number: int) -> Dict[str, object]:
        return {"method": "Style Aligned, reference", **self._metadata, "references": [self._references[number]]}


def described_settings(settings: StyleAlignSettings, *, image: bool) -> Dict[str, object]:
    """The settings as they act: what the preset decides is spelt out. ``image``: whether the reference is a picture."""
    told = {**asdict(settings), **asdict(settings.sharing(image))}
    told.update(preset=settings.chosen_preset(image), guidance=settings.guidance_scale(image))
    return {**told, "offset": settings.steps_ahead}


def save_reference(trajectory: Trajectory, file: Path, *, overwrite: bool) -> None:
    """Store a reference for later runs; the same one that is there already is left alone.

    Raises InputError, unless ``overwrite``, when something else is there.
    """
    if file.exists() and not overwrite:
        there = load_trajectory(file)
        same = (there.prompt, there.negative_prompt, dict(there.about)) == (
            trajectory.prompt,
            trajectory.negative_prompt,
            dict(trajectory.about),
        )
        if not same or there.latents.shape != trajectory.latents.shape or (there.latents != trajectory.latents).any():
            raise InputError(f"{str(file)!r} is there and another reference; --overwrite replaces it")
        return
    trajectory.save(file)


def _slug(text: str) -> str:
    """The first words of a text as a part of a file name."""
    words = re.findall(r"\w+", text.lower())
    return "_".join(words)[:40].strip("_") or "picture"
