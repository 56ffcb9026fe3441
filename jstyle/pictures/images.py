"""Pictures: found, opened, cropped, turned into arrays and back, and written as PNG files.

An opened picture is always an upright 8-bit RGB `PIL.Image`; an array is always float32 in [-1, 1] of
shape (n, 3, height, width), the range the VAE works in.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Optional

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from jstyle.errors import InputError
from jstyle.files import replacing

SUFFIXES = frozenset(
    [".png", ".jpg", ".jpeg", ".jfif", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".pbm"]
)
"""File name endings (lower case) by which a picture is recognised inside a folder."""

# Only these readers are offered a file: others of Pillow's start outside programs (EPS calls Ghostscript).
_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "BMP", "TIFF", "GIF", "PPM")
_READABLE = "PNG, JPEG, WebP, AVIF, BMP, TIFF, GIF or PPM"
_METADATA_KEY = "jstyle"


def find_images(paths: Sequence[Path]) -> list[Path]:
    """Files as they are given, folders as the pictures directly in them, sorted by name; each path once.

    Inside a folder, hidden files, sub-folders and files without one of `SUFFIXES` are passed over. A file
    that is named outright is kept whatever its ending: its bytes decide when it is opened.

    Raises:
        InputError: a path is missing or unreadable, or a folder holds no picture.
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
    return list(dict.fromkeys(files))


def _pictures_in(folder: Path) -> list[Path]:
    names = sorted(entry for entry in folder.iterdir() if entry.suffix.lower() in SUFFIXES)
    pictures = [entry for entry in names if not entry.name.startswith(".") and not entry.is_dir()]
    if not pictures:
        raise InputError(f"the folder {str(folder)!r} holds no picture ({_READABLE})")
    return pictures


def open_image(path: Path) -> Image.Image:
    """The picture in a file as RGB, turned upright by its EXIF orientation.

    16-bit grey is scaled to 8 bits, transparency is laid on white, of an animation the first frame is
    taken, and an embedded colour profile is ignored.

    Raises:
        InputError: one line that names the file and says what is wrong with it.
    """
    path = Path(path)
    with _complaints_about(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on odd files; what matters arrives as an error
        if not path.is_file():
            path.stat()
            raise InputError(f"{str(path)!r} is not a file: name a picture ({_READABLE})")
        if path.stat().st_size == 0:
            raise InputError(f"{str(path)!r} is empty (0 bytes)")
        with Image.open(path, formats=_FORMATS) as image:
            image.load()
            return _to_rgb(_turn_upright(image))


@contextmanager
def _complaints_about(path: Path) -> Iterator[None]:
    """Turns whatever a reader raises into one InputError line."""
    shown = repr(str(path))
    try:
        yield
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise InputError(f"{shown} has more than {limit} million pixels: scale it down first") from error
    except UnidentifiedImageError as error:
        raise InputError(f"{shown} is no readable picture ({_READABLE})") from error
    except Exception as error:  # on damaged bytes Pillow's readers raise nearly anything
        if isinstance(error, OSError) and error.strerror:
            raise InputError(f"cannot read {shown}: {error.strerror}") from error
        detail = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"cannot read {shown}: {detail}") from error


def _turn_upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # the pixels were read: a damaged EXIF block alone is no reason to refuse them
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        return _from_deep_grey(image)
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(opaque, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """16-bit grey, scaled: Pillow's own conversion clips everything above 255 to white."""
    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > 65535:
        raise ValueError("its 32-bit pixels have no known scale; save it with 8 or 16 bits")
    return Image.fromarray(np.rint(values / 257.0).astype(np.uint8)).convert("RGB")


def fit(image: Image.Image, width: int, height: int) -> Image.Image:
    """The largest centred part with the wanted aspect, resized by Lanczos to (width, height) pixels.

    For a square this is StyleID's own preparation: the centre square of the shorter side, then Lanczos.
    """
    crop_width = max(1, min(image.width, round(image.height * width / height)))
    crop_height = max(1, min(image.height, round(image.width * height / width)))
    left = round((image.width - crop_width) / 2)
    top = round((image.height - crop_height) / 2)
    part = image.crop((left, top, left + crop_width, top + crop_height))
    return part.resize((width, height), Image.Resampling.LANCZOS)


def to_array(images: Sequence[Image.Image]) -> np.ndarray:
    """RGB pictures of one size as float32 (n, 3, height, width) in [-1, 1].

    Raises:
        InputError: there is no picture, or they differ in size.
    """
    pixels = _stack([image.convert("RGB") for image in images])  # (n, height, width, 3)
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1.0)


def to_mask(images: Sequence[Image.Image]) -> np.ndarray:
    """Masks of one size as float32 (n, 1, height, width), 1 where the picture is at least half white.

    Raises:
        InputError: there is no mask, or they differ in size.
    """
    pixels = _stack([image.convert("L") for image in images])  # (n, height, width)
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


def save_png(image: Image.Image, path: Path, metadata: Optional[Mapping[str, object]] = None) -> None:
    """Write a PNG whole or not at all, with `metadata` as JSON in its text chunk "jstyle".

    The same picture and metadata always give the same bytes. Values may be anything JSON knows, and paths.

    Raises:
        InputError: the file cannot be written; nothing is left behind.
    """
    with replacing(Path(path)) as part, open(part, "xb") as file:
        image.save(file, "PNG", pnginfo=_text_chunk(metadata or {}))


def _text_chunk(metadata: Mapping[str, object]) -> PngInfo:
    text = json.dumps(metadata, ensure_ascii=False, default=_plain)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # a file name with undecodable bytes; escaped, it survives
        text = json.dumps(metadata, default=_plain)
    chunk = PngInfo()
    chunk.add_text(_METADATA_KEY, text)  # becomes an iTXt chunk where Latin-1 does not suffice
    return chunk


def _plain(value: object) -> str:
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be stored in a PNG's metadata")


def read_metadata(path: Path) -> Optional[dict[str, object]]:
    """The settings `save_png` stored, or None where there is no file, no such text, or a damaged PNG."""
    try:
        with Image.open(path, formats=("PNG",)) as image:
            text = image.info[_METADATA_KEY]
            image.verify()
        metadata = json.loads(text)
    except Exception:  # on damaged bytes Pillow's reader raises nearly anything
        return None
    return metadata if isinstance(metadata, dict) else None
