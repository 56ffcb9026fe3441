"""Which of a style's reference pictures a recipe means, by name or by a rule."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import numpy as np
from PIL import Image

from jstyle.competition.dataset import Style
from jstyle.competition.settings import FinishSettings, SetSettings, StartSettings
from jstyle.metrics import hist
from jstyle.pictures import images
from jstyle.pictures.fitting import Frame
from jstyle.settings.messages import suggest

RULES = ("first", "random", "nearest")
"""How a reference may be chosen: the first by name, by the picture's seed, the one with the likest colours."""


def choose_reference(rule: str, references: Sequence[Image.Image], picture: Image.Image, seed: int) -> Image.Image:
    """The reference that a rule chooses for a picture of that seed."""
    if rule == "random":
        return references[random.Random(f"reference {seed}").randrange(len(references))]
    if rule == "nearest":
        colours = hist.histograms(np.asarray(picture), corrected=True)
        likeness = [
            hist.similarity(colours, hist.histograms(np.asarray(reference), corrected=True)) for reference in references
        ]
        return references[int(np.argmax(likeness))]
    return references[0]


def find_reference(name: str, style: Style, place: str) -> Path:
    """The style's reference with that file name or stem. Raises ValueError, one line that starts with ``place``."""
    for path in style.references:
        if name in (path.name, path.stem):
            return path
    there = suggest(name, [path.stem for path in style.references])
    raise ValueError(f"{place}: style {style.number} has no reference {name!r} ({there})")


def find_start_files(start: StartSettings, style: Style, place: str) -> list[Path]:
    """The pictures from whose mean a picture starts: references, or a file that is none. Raises ValueError."""
    if start.image == "mean":
        return list(style.references)
    try:
        return [find_reference(start.image, style, f"{place}: start.image")]
    except ValueError:
        if Path(start.image).is_file():
            return [Path(start.image)]
        raise


def describe_losses(references: Sequence[Path], size: tuple[int, int]) -> list[str]:
    """One line where references lose their sides at (width, height), else none."""
    return Frame(*size).describe_losses({str(path): images.measure_image(path) for path in references})


def find_finish_files(finish: FinishSettings, style: Style, place: str) -> list[Path]:
    """The references among which a finish chooses. Raises ValueError."""
    if finish.reference in RULES:
        return list(style.references)
    return [find_reference(finish.reference, style, f"{place}: finish.reference")]


def find_set_file(settings: SetSettings, style: Style, place: str) -> Optional[Path]:
    """The reference that a set takes after; None where that is the picture of the first prompt. Raises ValueError."""
    if settings.reference == "prompt":
        return None
    if settings.reference == "first":
        return style.references[0]
    return find_reference(settings.reference, style, f"{place}: set.reference")


def describe_set_file(settings: SetSettings, style: Style, path: Path) -> str:
    """What a set's reference picture shows, by the words of its file's name."""
    words = " ".join(re.findall(r"[^\W_]+", path.stem.lower()))
    return settings.text.format(name=words, style=style.number)
