"""A submission: exactly `<root>/NN/<Prompt>.png`, checked, and packed so that the same pictures give the same zip."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Optional

from PIL import Image

from jstyle.competition.dataset import Dataset
from jstyle.competition.findings import Findings
from jstyle.errors import InputError
from jstyle.files import make_folder, replacing

_TIMESTAMP = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold
_REGULAR_FILE = 0o100644 << 16


def picture_name(style: str, prompt: str) -> str:
    """The file of a picture below the submission's folder."""
    return f"{style}/{prompt}.png"


def list_pictures(dataset: Dataset) -> list[str]:
    """The files of a submission, in the order of styles and prompts."""
    return [picture_name(style.number, prompt) for style in dataset.styles for prompt in style.prompts]


def check_pictures(
    root: Path, dataset: Dataset, *, size: Optional[tuple[int, int]] = None, partial: bool = False
) -> Findings:
    """Everything that is wrong with a submission's folder: missing and surplus files, sizes, formats, damage.

    ``size`` is the (width, height) that all pictures must have; by default any, but one. ``partial`` looks at the
    folders of the dataset's styles alone.
    """
    root, findings = Path(root), Findings()
    names = list_pictures(dataset)
    present = _list_files(root, findings)
    if partial:
        numbers = {style.number for style in dataset.styles}
        present = {name for name in present if name.split("/")[0] in numbers}
    findings.add_errors([f"{name!r} is missing" for name in names if name not in present])
    surplus = sorted(present - set(names))
    findings.add_errors([f"{name!r} does not belong there: the scorer opens every file" for name in surplus])
    damaged = Findings()
    sizes: dict[tuple[int, int], str] = {}
    for name in names:
        if name in present:
            measured = _measure_picture(root / name, name, damaged)
            if measured is not None:
                sizes.setdefault(measured, name)
    findings.add_errors(damaged.errors)
    wanted = size or next(iter(sizes), None)
    others = [measured for measured in sizes if measured != wanted]
    findings.add_errors([_describe_size(sizes[other], other, wanted) for other in others if wanted is not None])
    return findings


def _describe_size(name: str, size: tuple[int, int], wanted: tuple[int, int]) -> str:
    shown = f"{size[0]}x{size[1]}, not {wanted[0]}x{wanted[1]}"
    return f"{name!r} is {shown}: all pictures must be of one size"


def pack_pictures(root: Path, dataset: Dataset, archive: Path, *, folder: str = "") -> None:
    """Write the submission's pictures into a zip, whole or not at all.

    Order, timestamps and attributes are fixed, so the bytes depend on the pictures' files and names alone.
    ``folder`` is put before every name. Raises InputError where a picture or the zip's place is missing.
    """
    archive = Path(archive)
    prefix = f"{folder.strip('/')}/" if folder.strip("/") else ""
    make_folder(archive.parent)
    # PNGs are compressed already
    with replacing(archive) as part, zipfile.ZipFile(part, "x", zipfile.ZIP_STORED) as out:
        for name in list_pictures(dataset):
            entry = zipfile.ZipInfo(prefix + name, _TIMESTAMP)
            entry.external_attr = _REGULAR_FILE
            entry.create_system = 3  # Unix, on every system
            out.writestr(entry, _read(Path(root) / name))


def _read(picture: Path) -> bytes:
    try:
        return picture.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {str(picture)!r}: {error.strerror}; generate it again") from error


def _list_files(root: Path, findings: Findings) -> set[str]:
    """Every file by its path below ``root``, with slashes; folders that hold nothing count too."""
    if not root.is_dir():
        findings.errors.append(f"there is no folder {str(root)!r}")
        return set()
    names = set()
    for entry in root.rglob("*"):
        name = entry.relative_to(root).as_posix()
        if not entry.is_dir():
            names.add(name)
        elif not any(entry.iterdir()):
            names.add(f"{name}/")
    return names


def _measure_picture(path: Path, name: str, findings: Findings) -> Optional[tuple[int, int]]:
    """Its size, or None where it is no whole RGB PNG."""
    try:
        with Image.open(path, formats=("PNG",)) as image:
            image.load()
            mode, size = image.mode, image.size
    except Exception as error:  # on damaged bytes Pillow's readers raise nearly anything
        findings.errors.append(f"{name!r} is no whole PNG ({' '.join(str(error).split())[:80]})")
        return None
    if mode != "RGB":
        findings.errors.append(f"{name!r} is {mode}, not RGB")
    return size
