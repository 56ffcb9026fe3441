"""Pictures: found, opened, fitted, turned into arrays and back.

An opened picture is always an upright 8-bit sRGB `PIL.Image`, and so is what a caller brings, once it is asked for its
pixels; an array is always float32 in [-1, 1] of shape (n, 3, height, width), the range the VAE works in.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from jstyle.errors import InputError
from jstyle.pictures import colours, png_texts
from jstyle.pictures.colours import UNKNOWN_SCALE, Tell
from jstyle.pictures.formats import (
    READABLE,
    SUFFIXES,
    check_pixels,
    choose_readers,
    complaints_about,
    ignore_remarks,
    read_head,
)
from jstyle.settings.vocabulary import Fit

_ORIENTATION, _LYING = 0x0112, (5, 6, 7, 8)  # in EXIF
_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262  # tags of TIFF; the second says what 0 means


def find_images(paths: Sequence[Path], tell: Tell = warnings.warn) -> list[Path]:
    """Files as they are given, folders as the pictures directly in them, sorted by name; each path once.

    Inside a folder, hidden files, sub-folders and files without one of `SUFFIXES` are passed over. A file
    that is named outright is kept whatever its ending: its bytes decide when it is opened. Contact sheets of ours are
    passed over wherever they are named, and ``tell`` hears of them.

    Raises:
        InputError: a path is missing or unreadable, or there is no picture.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        try:
            if path.is_dir():
                files += _pictures_in(path)
            else:
                path.stat()
                files.append(path)
        except OSError as error:
            raise InputError(f"cannot read {str(path)!r}: {error.strerror}") from error
    files = list(dict.fromkeys(files))
    sheets = [file for file in files if png_texts.is_sheet(file)]
    if sheets:
        shown = f"{str(sheets[0])!r}" + (f" and {len(sheets) - 1} more" if len(sheets) > 1 else "")
        if len(sheets) == len(files):
            raise InputError(f"{shown}: contact sheets of jstyle; name the pictures themselves")
        tell(f"contact sheets are passed over: {shown}")
    return [file for file in files if file not in sheets]


def _pictures_in(folder: Path) -> list[Path]:
    pictures = list_pictures(sorted(folder.iterdir()))
    if not pictures:
        raise InputError(f"the folder {str(folder)!r} holds no picture ({READABLE})")
    return pictures


def list_pictures(entries: Sequence[Path]) -> list[Path]:
    """The pictures among a folder's entries, by their endings; hidden files and sub-folders are none."""
    named = [entry for entry in entries if entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".")]
    return [entry for entry in named if not entry.is_dir()]


def open_image(path: Path, tell: Tell = warnings.warn) -> Image.Image:
    """The picture in a file as an eye sees it on white: upright 8-bit RGB in the colours of sRGB (`colours.to_rgb`).

    What the file is, its content says. Of an animation or several pages the first is taken. ``tell`` is given a line
    for that, and for a colour profile that cannot be used.

    Raises:
        InputError: one line that names the file and says what is wrong with it, such as more pixels than are read.
    """
    path = Path(path)
    with complaints_about(path), ignore_remarks():
        readers = choose_readers(read_head(path))
        remarks: list[str] = []
        with Image.open(path, formats=readers) as image:
            check_pixels(*image.size)
            _require_known_scale(image)
            _keep_exact_transparency(image)
            image.load()
            picture = colours.to_rgb(image, remarks.append)
            picture = ImageOps.invert(picture) if _is_negative(image) else picture
        with suppress(Exception), Image.open(path, formats=readers) as image:  # the first was read: that suffices
            if image.is_animated and image.format != "MPO":  # it holds a photograph's other views  # type: ignore
                remarks.append(f"it has several {'pages' if image.format == 'TIFF' else 'frames'}; the first is taken")
    for remark in remarks:
        tell(f"{str(path)!r}: {remark}")
    return picture


def is_transparent(path: Path) -> bool:
    """Whether white is seen through any pixel of the picture in a file. Errors as of `open_image`."""
    with complaints_about(path), ignore_remarks(), Image.open(path, formats=choose_readers(read_head(path))) as image:
        return colours.is_transparent(image)


def _require_known_scale(image: Image.Image) -> None:
    """Raise InputError for a grey TIFF of 32 bits, which Pillow opens as it does other files' 16 bits."""
    tags: Any = getattr(image, "tag_v2", {})
    if image.format == "TIFF" and 32 in tuple(tags.get(_BITS_PER_SAMPLE, ())):
        raise InputError(UNKNOWN_SCALE)


def _is_negative(image: Image.Image) -> bool:
    """Whether it is a grey TIFF of 16 bits in which 0 is white: Pillow 13.0 turns over those of 8 bits alone."""
    tags: Any = getattr(image, "tag_v2", {})
    return image.format == "TIFF" and image.mode.startswith("I;16") and tags.get(_PHOTOMETRIC) == 0


def measure_image(path: Path) -> tuple[int, int]:
    """(width, height) of the picture in a file as `open_image` would open it; nothing is decoded. Errors as there."""
    with complaints_about(path), ignore_remarks():
        readers = choose_readers(read_head(path))
        with Image.open(path, formats=readers) as image:
            width, height = image.size
            is_turned = image.getexif().get(_ORIENTATION) in _LYING
    return (height, width) if is_turned else (width, height)


def open_small(path: Path, side: int) -> Image.Image:
    """The picture in a file, scaled down to at most ``side`` pixels, for looking at. Errors as of `open_image`."""
    picture = open_image(path)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return picture


def _keep_exact_transparency(image: Image.Image) -> None:
    """Bring a PNG's transparent value to the scale of its pixels: Pillow scales those to 8 bits, but not the value.

    Seen in Pillow 13.0; of 16 bits a channel, the upper eight decide.
    """
    clear = image.info.get("transparency")
    tiles: Any = getattr(image, "tile", None)
    raw = tiles[0][3] if tiles else None
    if image.format == "PNG" and clear is not None:
        if raw in ("L;2", "L;4") and isinstance(clear, int):
            image.info["transparency"] = clear * (85 if raw == "L;2" else 17)
        elif raw == "RGB;16B" and isinstance(clear, tuple):
            image.info["transparency"] = tuple(value >> 8 for value in clear)


def fit(image: Image.Image, width: int, height: int, how: Fit = "crop") -> Image.Image:
    """The picture, of any kind, as RGB of (width, height) pixels, resized by Lanczos.

    crop and keep take the largest centred part with that aspect: for a square this is StyleID's own preparation, the
    centre square of the shorter side. stretch gives up the aspect. pad keeps all of the picture, in the middle, and
    goes on mirrored at its edges.
    """
    image = require_rgb(image)
    if how == "stretch":
        return image.resize((width, height), Image.Resampling.LANCZOS)
    if how == "pad":
        return _pad(image, width, height)
    crop_width = max(1, min(image.width, round(image.height * width / height)))
    crop_height = max(1, min(image.height, round(image.width * height / width)))
    left = round((image.width - crop_width) / 2)
    top = round((image.height - crop_height) / 2)
    part = image.crop((left, top, left + crop_width, top + crop_height))
    return part.resize((width, height), Image.Resampling.LANCZOS)


def _pad(image: Image.Image, width: int, height: int) -> Image.Image:
    scale = min(width / image.width, height / image.height)
    inner = min(width, max(1, round(image.width * scale))), min(height, max(1, round(image.height * scale)))
    pixels = np.asarray(image.resize(inner, Image.Resampling.LANCZOS))
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    border = (top, height - inner[1] - top), (left, width - inner[0] - left), (0, 0)
    return Image.fromarray(np.pad(pixels, border, mode="symmetric"))


def require_rgb(image: Image.Image) -> Image.Image:
    """A picture that a caller brings, as `open_image` would open it. Raises InputError for
    anything else, and for pixels without a scale."""
    if not isinstance(image, Image.Image):
        raise InputError(f"a picture must be PIL's, such as PIL.Image.open(file), not {type(image).__name__}")
    if image.mode == "RGB" and not image.info:
        return image
    return colours.to_rgb(image, warnings.warn)


def to_array(images: Sequence[Image.Image]) -> np.ndarray:
    """Pictures of one size, of any kind, as float32 (n, 3, height, width) in [-1, 1].

    Raises:
        InputError: there is no picture, or they differ in size.
    """
    pixels = _stack([require_rgb(image) for image in images])  # (n, height, width, 3)
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1.0)


def to_mask(images: Sequence[Image.Image]) -> np.ndarray:
    """Masks of one size as float32 (n, 1, height, width), 1 where the picture is at least half white.

    Raises:
        InputError: there is no mask, or they differ in size.
    """
    pixels = _stack([require_rgb(image).convert("L") for image in images])  # (n, height, width)
    return (pixels[:, None] >= 127.5).astype(np.float32)


def _stack(images: Sequence[Image.Image]) -> np.ndarray:
    sizes = sorted({image.size for image in images})
    if len(sizes) != 1:
        shown = ", ".join(f"{width}x{height}" for width, height in sizes) or "none at all"
        raise InputError(f"pictures of one size are needed, not {shown}")
    return np.stack([np.asarray(image) for image in images])


def to_images(array: np.ndarray) -> list[Image.Image]:
    """RGB pictures from (n, 3, height, width) in [-1, 1]; values outside are clipped.

    Raises:
        InputError: a value is not finite.
    """
    if not np.isfinite(array).all():
        raise InputError("the network's output is not finite (NaN or infinity): use dtype float32")
    pixels = np.rint((np.clip(array, -1.0, 1.0) + 1.0) * 127.5).astype(np.uint8)
    return [Image.fromarray(np.ascontiguousarray(picture.transpose(1, 2, 0))) for picture in pixels]
