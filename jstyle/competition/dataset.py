"""The competition's data: `<root>/NN/images/*` and `<root>/NN/prompt.json`, read and checked as a whole.

Everything that is odd is found before any work starts, all at once: errors, which stop a run, apart from remarks,
which do not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from PIL import Image

from jstyle.competition.findings import Findings
from jstyle.competition.names import find_objection, fold_case
from jstyle.errors import InputError
from jstyle.pictures import images

_STYLE = re.compile(r"[0-9]{2,}")
_MEANT_AS_STYLE = re.compile(r"[0-9]+")
_NAMED = 5  # of a list of strays, so many are named


@dataclass(frozen=True)
class Style:
    """One style: its number as the folder spells it ("07"), its reference pictures, its prompts in order."""

    number: str
    references: tuple[Path, ...]
    prompts: tuple[str, ...]


@dataclass(frozen=True)
class Dataset:
    """All styles, by rising number."""

    root: Path
    styles: tuple[Style, ...]

    @property
    def pictures(self) -> int:
        """How many pictures a submission holds."""
        return sum(len(style.prompts) for style in self.styles)


def read_dataset(root: Path) -> Dataset:
    """The data under ``root``. Raises InputError for anything that stops a run; `survey_dataset` lists everything."""
    dataset, findings = survey_dataset(root)
    findings.raise_errors()
    return dataset


def survey_dataset(root: Path, only: Optional[Sequence[str]] = None) -> tuple[Dataset, Findings]:
    """The data as far as it can be read, and everything that is odd about it.

    ``only`` names styles: the others are not looked at, and asking for one that is not there is an error.
    """
    root, findings = Path(root), Findings()
    folders = _find_style_folders(root, findings)
    if only is not None:
        for number in sorted(set(only) - {folder.name for folder in folders}):
            findings.errors.append(f"there is no style {number!r} in {str(root)!r}")
        folders = [folder for folder in folders if folder.name in only]
    styles = []
    for folder in folders:
        references = _find_references(folder, findings)
        styles.append(Style(folder.name, tuple(references), tuple(_read_prompts(folder, findings))))
    return Dataset(root, tuple(styles)), findings


def _find_style_folders(root: Path, findings: Findings) -> list[Path]:
    try:
        entries = sorted(root.iterdir())
    except OSError as error:
        findings.errors.append(f"cannot read the dataset {str(root)!r}: {error.strerror}")
        return []
    folders = [entry for entry in entries if entry.is_dir() and _STYLE.fullmatch(entry.name)]
    strays = [entry for entry in entries if entry not in folders]
    for entry in [stray for stray in strays if stray.is_dir() and _MEANT_AS_STYLE.fullmatch(stray.name)]:
        strays.remove(entry)
        findings.errors.append(f"{str(entry)!r}: a style's folder has two digits; rename it to {entry.name:0>2}")
    _remark_on_strays(root, strays, findings)
    if not folders:
        findings.errors.append(f"{str(root)!r} holds no style: folders 00, 01, ... are needed")
        return []
    folders.sort(key=lambda folder: (int(folder.name), folder.name))
    numbers = [int(folder.name) for folder in folders]
    for number in sorted({number for number in numbers if numbers.count(number) > 1}):
        spelt = " and ".join(repr(folder.name) for folder in folders if int(folder.name) == number)
        findings.errors.append(f"{str(root)!r}: {spelt} are the same style; keep one")
    _remark_on_gaps(str(root), "styles", numbers, findings)
    return folders


def _find_references(folder: Path, findings: Findings) -> list[Path]:
    """The style's pictures that can be read, by name."""
    place = folder / "images"
    try:
        entries = sorted(place.iterdir())
    except OSError as error:
        findings.errors.append(f"style {folder.name} has no pictures: cannot read {str(place)!r} ({error.strerror})")
        return []
    pictures = [entry for entry in entries if entry.suffix.lower() in images.SUFFIXES and entry.is_file()]
    pictures = [picture for picture in pictures if not picture.name.startswith(".")]
    _remark_on_strays(place, [entry for entry in entries if entry not in pictures], findings)
    readable = [picture for picture in pictures if _is_readable(picture, findings)]
    if not pictures:
        findings.errors.append(f"style {folder.name} has no pictures: {str(place)!r} is empty of them")
    return readable


def _is_readable(picture: Path, findings: Findings) -> bool:
    try:
        images.open_image(picture)
    except InputError as error:
        findings.errors.append(str(error))
        return False
    with Image.open(picture) as image:
        if image.mode != "RGB":
            findings.remarks.append(f"{str(picture)!r} is {image.mode}, not RGB; it is converted")
    return True


def _read_prompts(folder: Path, findings: Findings) -> list[str]:
    """The style's prompts, in the order of their numbers, as far as they are usable."""
    extra = [entry for entry in sorted(folder.iterdir()) if entry.name not in ("images", "prompt.json")]
    _remark_on_strays(folder, extra, findings)
    file = folder / "prompt.json"
    pairs = _read_pairs(file, findings)
    if pairs is None:
        return []
    if not pairs:
        findings.errors.append(f"{str(file)!r} lists no prompt")
    for key, prompt in pairs:
        if not (key.isascii() and key.isdigit()):
            findings.errors.append(f"{str(file)!r}: the key {key!r} is no number")
        if not isinstance(prompt, str):
            findings.errors.append(f"{str(file)!r}: prompt {key!r} is no text")
        elif find_objection(prompt):
            findings.errors.append(f"{str(file)!r}: {prompt!r} cannot be a file name: {find_objection(prompt)}")
    good = [(int(key), prompt) for key, prompt in pairs if key.isascii() and key.isdigit() and _is_usable(prompt)]
    _find_collisions(file, good, findings)
    _remark_on_gaps(str(file), "prompts", [number for number, _ in good], findings)
    return [prompt for _, prompt in sorted(good, key=lambda pair: pair[0])]


def _is_usable(prompt: Any) -> bool:
    return isinstance(prompt, str) and not find_objection(prompt)


def _read_pairs(file: Path, findings: Findings) -> Optional[list[tuple[str, Any]]]:
    """The pairs of a JSON object, duplicate keys and all; None where there is no such object."""
    try:
        text = file.read_text("utf-8-sig")
    except FileNotFoundError:
        findings.errors.append(f"style {file.parent.name} has no prompts: {str(file)!r} is missing")
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        findings.errors.append(f"cannot read {str(file)!r}: {reason}")
        return None
    try:
        pairs = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        findings.errors.append(f"{str(file)!r} is not JSON: {error}")
        return None
    if not isinstance(pairs, _Pairs):
        findings.errors.append(f'{str(file)!r} is no object of prompts like {{"0": "Dolphin"}}')
        return None
    return list(pairs)


class _Pairs(list):
    """A JSON object as its pairs, because a dict forgets duplicate keys."""


def _find_collisions(file: Path, prompts: Sequence[tuple[int, str]], findings: Findings) -> None:
    numbers = [number for number, _ in prompts]
    for number in sorted({number for number in numbers if numbers.count(number) > 1}):
        findings.errors.append(f"{str(file)!r}: two prompts have the number {number}")
    seen: dict[str, str] = {}
    for _, prompt in prompts:
        other = seen.get(fold_case(prompt))
        if other is None:
            seen[fold_case(prompt)] = prompt
            if "." in prompt:
                findings.remarks.append(f"{str(file)!r}: the scorer reads {prompt!r} up to its first dot")
        elif other == prompt:
            findings.errors.append(f"{str(file)!r}: {prompt!r} is listed twice and would be one file")
        else:
            findings.errors.append(f"{str(file)!r}: {other!r} and {prompt!r} are one file where case is ignored")


def _remark_on_gaps(place: str, what: str, numbers: Sequence[int], findings: Findings) -> None:
    missing = sorted(set(range(max(numbers, default=-1) + 1)) - set(numbers))
    if missing:
        findings.remarks.append(f"{place}: the numbering of the {what} has gaps ({_shorten(missing)})")


def _remark_on_strays(place: Path, strays: Sequence[Path], findings: Findings) -> None:
    if strays:
        names = _shorten([entry.name for entry in strays])
        findings.remarks.append(f"{str(place)!r} contains files that are not used: {names}")


def _shorten(items: Sequence[object]) -> str:
    more = f" and {len(items) - _NAMED} more" if len(items) > _NAMED else ""
    return ", ".join(map(str, items[:_NAMED])) + more
