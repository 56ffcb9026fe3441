"""The competition's data: `<root>/NN/images/*` and `<root>/NN/prompt.json`, read and checked as a whole.

Everything that is odd is found before any work starts, all at once: errors, which stop a run, apart from remarks,
which do not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Optional

from PIL import Image

from jstyle.competition.findings import NAMED, Findings
from jstyle.competition.names import find_objection, fold_case
from jstyle.errors import InputError
from jstyle.pictures import images
from jstyle.settings.json_files import read_json
from jstyle.settings.messages import show, suggest

_STYLE = re.compile(r"[0-9]{2,}")
_MEANT_AS_STYLE = re.compile(r"[0-9]+")
_NUMBER = re.compile(r"[0-9]{1,9}")


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
        there = [folder.name for folder in folders]
        for number in sorted(set(only) - set(there)):
            findings.errors.append(f"there is no style {number!r} in {str(root)!r} ({suggest(number, there)})")
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
    spellings: dict[int, list[str]] = {}
    for folder in folders:
        spellings.setdefault(int(folder.name), []).append(repr(folder.name))
    same = [" and ".join(spelt) for spelt in spellings.values() if len(spelt) > 1]
    findings.add_errors([f"{str(root)!r}: {spelt} are the same style; keep one" for spelt in same])
    _remark_on_gaps(str(root), "styles", list(spellings), findings)
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
    if not pictures:
        findings.errors.append(f"style {folder.name} has no pictures: {str(place)!r} is empty of them")
    return _keep_readable(pictures, findings)


def _keep_readable(pictures: Sequence[Path], findings: Findings) -> list[Path]:
    """The pictures less those that cannot be read, of which the findings say why."""
    readable, errors, remarks = [], [], []
    for picture in pictures:
        try:
            images.open_image(picture)
        except InputError as error:
            errors.append(str(error))
            continue
        readable.append(picture)
        with Image.open(picture) as image:
            if image.mode != "RGB":
                remarks.append(f"{str(picture)!r} is {image.mode}, not RGB; it is converted")
    findings.add_errors(errors)
    findings.add_remarks(remarks)
    return readable


def _read_prompts(folder: Path, findings: Findings) -> list[str]:
    """The style's prompts, in the order of their numbers, as far as they are usable."""
    extra = [entry for entry in sorted(folder.iterdir()) if entry.name not in ("images", "prompt.json")]
    _remark_on_strays(folder, extra, findings)
    file = folder / "prompt.json"
    listed = _read_list(file, findings)
    if listed is None:
        return []
    if not listed:
        findings.errors.append(f"{str(file)!r} lists no prompt")
    no_texts = {key for key, prompt in listed.items() if not isinstance(prompt, str)}
    objections = {key: find_objection(prompt) for key, prompt in listed.items() if key not in no_texts}
    no_numbers = [key for key in listed if not _NUMBER.fullmatch(key)]
    findings.add_errors([f"{str(file)!r}: the key {show(key)} is no number (0, 1, 2, ...)" for key in no_numbers])
    findings.add_errors([f"{str(file)!r}: prompt {show(key)} is no text" for key in listed if key in no_texts])
    findings.add_errors(
        [
            f"{str(file)!r}: {show(listed[key])} cannot be a file name: {objection}"
            for key, objection in objections.items()
            if objection
        ]
    )
    usable = [key for key, objection in objections.items() if _NUMBER.fullmatch(key) and not objection]
    good = [(int(key), listed[key]) for key in usable]
    _find_collisions(file, good, findings)
    _remark_on_gaps(str(file), "prompts", [number for number, _ in good], findings)
    return [prompt for _, prompt in sorted(good, key=lambda pair: pair[0])]


def _read_list(file: Path, findings: Findings) -> Optional[Mapping[str, Any]]:
    """A JSON object as it stands there; None where there is no such object."""
    try:
        listed = read_json(file)
    except InputError as error:
        missing = f"style {file.parent.name} has no prompts: {str(file)!r} is missing"
        findings.errors.append(missing if isinstance(error.__cause__, FileNotFoundError) else str(error))
        return None
    if not isinstance(listed, dict):
        findings.errors.append(f'{str(file)!r} is no object of prompts like {{"0": "Dolphin"}}')
        return None
    return listed


def _find_collisions(file: Path, prompts: Sequence[tuple[int, str]], findings: Findings) -> None:
    times = Counter(number for number, _ in prompts)
    twice = sorted(number for number, count in times.items() if count > 1)
    findings.add_errors([f"{str(file)!r}: two prompts have the number {number}" for number in twice])
    seen: dict[str, str] = {}
    errors, dotted = [], []
    for _, prompt in prompts:
        other = seen.get(fold_case(prompt))
        if other is None:
            seen[fold_case(prompt)] = prompt
            dotted += [prompt] if "." in prompt else []
        elif other == prompt:
            errors.append(f"{str(file)!r}: {show(prompt)} is listed twice and would be one file")
        else:
            errors.append(f"{str(file)!r}: {show(other)} and {show(prompt)} are one file where case is ignored")
    findings.add_errors(errors)
    findings.add_remarks([f"{str(file)!r}: the scorer reads {show(prompt)} up to its first dot" for prompt in dotted])


def _remark_on_gaps(place: str, what: str, numbers: Sequence[int], findings: Findings) -> None:
    """Numbers may be huge: what is missing is counted, and its first ones are named."""
    there = sorted(set(numbers))
    missing = there[-1] + 1 - len(there) if there else 0
    if missing:
        gaps = chain.from_iterable(range(before + 1, after) for before, after in zip([-1, *there], there))
        shown = _shorten(list(islice(gaps, NAMED)), missing)
        findings.remarks.append(f"{place}: the numbering of the {what} has gaps ({shown})")


def _remark_on_strays(place: Path, strays: Sequence[Path], findings: Findings) -> None:
    if strays:
        names = _shorten([entry.name for entry in strays[:NAMED]], len(strays))
        findings.remarks.append(f"{str(place)!r} contains files that are not used: {names}")


def _shorten(first: Sequence[object], count: int) -> str:
    """The first of so many things."""
    more = f" and {count - NAMED} more" if count > NAMED else ""
    return ", ".join(map(str, first)) + more
