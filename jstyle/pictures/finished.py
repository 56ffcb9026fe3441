"""Finished pictures on disk: each says what it is and carries the hash of its pixels, so that damage shows.

A picture holds its spec (`jstyle.pictures.spec`, or any frozen dataclass that says what a picture is), the
digest of it, the version of the code and the hash of its pixels. That is the whole state of a run: no journal could
disagree with it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Optional, Union

from PIL import Image

from jstyle.errors import InputError
from jstyle.files import make_folder, read_code_version
from jstyle.pictures import images, png_texts
from jstyle.pictures.a1111 import write_parameters
from jstyle.pictures.formats import ignore_remarks
from jstyle.settings.identity import digest, find_difference, identity
from jstyle.settings.reader import plain

State = Literal["finished", "missing", "damaged", "other"]

_NAMES = {"model.hash": "model, LoRA or words", "model.configuration": "configuration of the model"}
"""What people call fields of a spec that they never see."""

_HASH = re.compile("[0-9a-f]{64}")
_LONGEST_VALUE = 60  # characters of a value that is shown


def write_picture(picture: Image.Image, path: Path, spec: Any, *, overwrite: bool = True) -> str:
    """Write a picture whole or not at all, making its folder; returns the hash of its pixels.

    Raises InputError where it cannot be written, and, unless ``overwrite``, where another run has meanwhile put
    something else in its place.
    """
    if not overwrite:
        is_finished(path, spec, overwrite=False)
    make_folder(path.parent)
    about = describe_picture(picture, spec)
    png_texts.save_png(picture, path, about, write_parameters(spec, picture.size))
    return about["pixels"]


def describe_picture(picture: Image.Image, spec: Any) -> dict[str, Any]:
    """What the file of a picture says of it."""
    pixels = hash_pixels(picture)
    return {"spec": plain(spec), "identity": digest(spec), "code": read_code_version(), "pixels": pixels}


def note_spec(picture: Image.Image, spec: Any) -> None:
    """Write into a picture's ``info`` the texts that `write_picture` writes into its file."""
    picture.info[png_texts.METADATA_KEY] = json.dumps(describe_picture(picture, spec), ensure_ascii=False)
    picture.info[png_texts.PARAMETERS_KEY] = write_parameters(spec, picture.size)


def save_picture(picture: Image.Image, path: Union[str, Path], *, overwrite: bool = False) -> None:
    """Write a picture that a pipeline made as a PNG, whole or not at all, with what it was made of, as commands do.

    Raises InputError for a picture that does not say what it was made of, or was changed since, for another ending than
    .png, and, unless ``overwrite``, for a file that is there.
    """
    path = Path(path)
    text = picture.info.get(png_texts.METADATA_KEY)
    about = json.loads(text) if isinstance(text, str) else None
    if not isinstance(about, dict) or about.get("pixels") != hash_pixels(picture):
        state = "was changed since it was made" if about else "does not say what it was made of"
        raise InputError(f"the picture {state}, so its settings cannot be written: use its own save()")
    if path.suffix.lower() != ".png":
        raise InputError(f"{str(path)!r}: pictures are written as PNG: end its name in .png")
    if path.exists() and not overwrite:
        raise InputError(f"{str(path)!r} exists: choose another name, or overwrite=True")
    png_texts.save_png(picture, path, about, str(picture.info.get(png_texts.PARAMETERS_KEY, "")))


def read_state(path: Path, spec: Any) -> State:
    """What stands at ``path``: the picture of that spec, nothing, half a picture, or something else."""
    if not path.is_file():
        return "other" if path.exists() else "missing"
    about = read_intact(path)
    if about is None:
        return "damaged" if png_texts.read_metadata(path) is not None or _is_half_a_png(path) else "other"
    return "finished" if about.get("identity") == digest(spec) else "other"


def is_finished(path: Path, spec: Any, *, overwrite: bool) -> bool:
    """Whether the picture of that spec stands at ``path``, whole, so that a re-run can pass it over.

    Raises InputError, unless ``overwrite``, where something else stands there.
    """
    if path.exists() and not path.is_file():
        raise InputError(f"{str(path)!r} is no file: move it away, or choose another output")
    state = "missing" if overwrite else read_state(path, spec)
    if state == "other":
        raise InputError(f"{describe_other(path, spec)}; --overwrite makes it again, another --output keeps both")
    return state == "finished"


def describe_other(path: Path, spec: Any) -> str:
    """What stands at ``path`` in the place of the picture of that spec, in one line."""
    about = png_texts.read_metadata(path) or {}
    there = about.get("spec")
    if not isinstance(there, dict):
        return f"{str(path)!r} exists, but jstyle did not make it"
    wanted = identity(spec)
    difference = find_difference(wanted, keep_names(there, wanted))
    if difference is None:
        return f"{str(path)!r} was made by another version of the code"
    name, now, then = difference
    name = _NAMES.get(name, name)
    if all(isinstance(value, str) and _HASH.fullmatch(value) for value in (now, then)):
        return f"{str(path)!r} was made with another {name}"
    return f"{str(path)!r} was made with {name} = {_show(then)}, not {_show(now)}"


def read_intact(path: Path) -> Optional[dict[str, Any]]:
    """What `write_picture` said of a picture, or None where its pixels are not those that were written."""
    about = png_texts.read_metadata(path)
    if about is None:
        return None
    try:
        picture = images.open_image(path)
    except InputError:
        return None
    return about if about.get("pixels") == hash_pixels(picture) else None


def hash_pixels(picture: Image.Image) -> str:
    """SHA-256 over size and RGB values."""
    digest_of_pixels = hashlib.sha256(f"{picture.width}x{picture.height}".encode())
    digest_of_pixels.update(picture.convert("RGB").tobytes())
    return digest_of_pixels.hexdigest()


def keep_names(there: Any, wanted: Any) -> Any:
    """What is said there of the names that are wanted, at every level: the rest changes no result."""
    if isinstance(there, Mapping) and isinstance(wanted, Mapping):
        return {name: keep_names(value, wanted[name]) for name, value in there.items() if name in wanted}
    if isinstance(there, list) and isinstance(wanted, list) and len(there) == len(wanted):
        return [keep_names(one, other) for one, other in zip(there, wanted)]
    return there


def _show(value: Any) -> str:
    """A value as a line has room for it."""
    shown = repr(value)
    return shown if len(shown) <= _LONGEST_VALUE else f"{shown[:_LONGEST_VALUE]}..."


def _is_half_a_png(path: Path) -> bool:
    """Whether it was to be a PNG and is none."""
    with open(path, "rb") as file:
        start = file.read(len(png_texts.PNG_SIGNATURE))
    try:
        with ignore_remarks(), Image.open(path, formats=("PNG",)) as image:
            image.verify()
    except Exception:  # on damaged bytes Pillow's reader raises nearly anything
        return png_texts.PNG_SIGNATURE.startswith(start)
    return False
