"""The competition's data: `<root>/NN/images/*` and `<root>/NN/prompt.json`, read and checked as a whole.

Everything that is odd is found before any work starts and told in one list: errors, which stop a run, apart
from remarks, which do not.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from PIL import Image

from jstyle.competition.names import folded, objection
from jstyle.errors import InputError
from jstyle.pictures import images

_STYLE = re.compile(r"[0-9]{2,}")
_MEANT_AS_STYLE = re.compile(r"[0-9]+")
_NAMED = 5  # of a list of strays, so many are named


@dataclass(frozen=True)
class Style:
    """One style: its number as the folder spells it ("07"), its reference pictures, its prompts in order."""

    number: str
    references: Tuple[Path, ...]
    prompts: Tuple[str, ...]


@dataclass(frozen=True)
class Dataset:
    """All styles, by rising number."""

    root: Path
    styles: Tuple[Style, ...]

    @property
    def pictures(self) -> int:
        """How many pictures a submission holds."""
        return sum(len(style.prompts) for style in self.styles)


@dataclass
class Findings:
    """What is odd. Each entry is one line that names the place."""

    errors: List[str] = field(default_factory=list)
    remarks: List[str] = field(default_factory=list)

    def lines(self) -> List[str]:
        """All of it, the errors first."""
        return [f"error: {line}" for line in self.errors] + [f"remark: {line}" for line in self.remarks]

    def raise_errors(self) -> None:
        """Raises InputError, with the first error and the number of the others, where there is one."""
        if self.errors:
            others = f" (and {len(self.errors) - 1} more)" if len(self.errors) > 1 else ""
            raise InputError(f"{self.errors[0]}{others}")


def read(root: Path) -> Dataset:
    """The data under ``root``. Raises InputError for anything that stops a run; `survey` tells everything."""
    dataset, findings = survey(root)
    findings.raise_errors()
    return dataset


def survey(root: Path, only: Optional[Sequence[str]] = None) -> Tuple[Dataset, Findings]:
    """The data as far as it can be read, and everything that is odd about it.

    ``only`` names styles: the others are not looked at, and asking for one that is not there is an error.
    """
    root, findings = Path(root), Findings()
    folders = _style_folders(root, findings)
    if only is not None:
        for number in sorted(set(only) - {folder.name for folder in folders}):
            findings.errors.append(f"there is no style {number!r} in {str(root)!r}")
        folders = [folder for folder in folders if folder.name in only]
    styles = []
    for folder in folders:
        references = _references(folder, findings)
        styles.append(Style(folder.name, tuple(references), tuple(_prompts(folder, findings))))
    return Dataset(root, tuple(styles)), findings


def _style_folders(root: Path, findings: Findings) -> List[Path]:
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


def _references(folder: Path, findings: Findings) -> List[Path]:
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


def _prompts(folder: Path, findings: Findings) -> List[str]:
    """The style's prompts, in the order of their numbers, as far as they are usable."""
    extra = [entry for entry in sorted(folder.iterdir()) if entry.name not in ("images", "prompt.json")]
    _remark_on_strays(folder, extra, findings)
    file = folder / "prompt.json"
    listed = _read_flat(file, findings)
    if listed is None:
        return []
    if not listed:
        findings.errors.append(f"{str(file)!r} lists no prompt")
    for key, prompt in listed:
        if not (key.isascii() and key.isdigit()):
            findings.errors.append(f"{str(file)!r}: the key {key!r} is no number")
        if not isinstance(prompt, str):
            findings.errors.append(f"{str(file)!r}: prompt {key!r} is no text")
        elif objection(prompt):
            findings.errors.append(f"{str(file)!r}: {prompt!r} cannot be a file name: {objection(prompt)}")
    good = [(int(key), prompt) for key, prompt in listed if key.isascii() and key.isdigit() and _usable(prompt)]
    _find_collisions(file, good, findings)
    _remark_on_gaps(str(file), "prompts", [number for number, _ in good], findings)
    return [prompt for _, prompt in sorted(good, key=lambda pair: pair[0])]


def _usable(prompt: Any) -> bool:
    return isinstance(prompt, str) and not objection(prompt)


def _read_flat(file: Path, findings: Findings) -> Optional[List[Tuple[str, Any]]]:
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


def _find_collisions(file: Path, prompts: Sequence[Tuple[int, str]], findings: Findings) -> None:
    numbers = [number for number, _ in prompts]
    for number in sorted({number for number in numbers if numbers.count(number) > 1}):
        findings.errors.append(f"{str(file)!r}: two prompts have the number {number}")
    seen: Dict[str, str] = {}
    for _, prompt in prompts:
        other = seen.get(folded(prompt))
        if other is None:
            seen[folded(prompt)] = prompt
            if "." in prompt:
                findings.remarks.append(f"{str(file)!r}: the scorer reads {prompt!r} up to its first dot")
        elif other == prompt:
            findings.errors.append(f"{str(file)!r}: {prompt!r} is listed twice and would be one file")
        else:
            findings.errors.append(f"{str(file)!r}: {other!r} and {prompt!r} are one file where case is ignored")


def _remark_on_gaps(place: str, what: str, numbers: Sequence[int], findings: Findings) -> None:
    missing = sorted(set(range(max(numbers, default=-1) + 1)) - set(numbers))
    if missing:
        findings.remarks.append(f"{place}: the numbering of the {what} has gaps ({_shortened(missing)})")


def _remark_on_strays(place: Path, strays: Sequence[Path], findings: Findings) -> None:
    if strays:
        names = _shortened([entry.name for entry in strays])
        findings.remarks.append(f"{str(place)!r} holds what is not used: {names}")


def _shortened(items: Sequence[object]) -> str:
    more = f" and {len(items) - _NAMED} more" if len(items) > _NAMED else ""
    return ", ".join(map(str, items[:_NAMED])) + more
