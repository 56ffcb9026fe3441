"""Which files are read as pictures, told by their content, how large they may be before anything is decoded, and what
is said of those that cannot be read.
"""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Optional

from PIL import Image, UnidentifiedImageError

from jstyle.errors import InputError

READERS = ("PNG", "JPEG", "WEBP", "AVIF", "BMP", "TIFF", "GIF", "PPM")
"""Pillow's readers that a file is offered to: others of them start outside programs (EPS calls Ghostscript)."""

PLUGINS = {"HEIF": ("pillow_heif", "register_heif_opener"), "JXL": ("pillow_jxl", "")}
"""Readers of the extra ``pictures``: the module that brings each, and what of it to call."""

READABLE = "PNG, JPEG, WebP, AVIF, BMP, TIFF, GIF or PPM; HEIC and JPEG XL with the extra 'pictures'"
SUFFIXES = frozenset(
    [".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".gif"]
    + [".ppm", ".pgm", ".pbm", ".heic", ".heif", ".hif", ".jxl"]
)
"""File name endings (lower case) by which a picture is recognised inside a folder."""

MOST_PIXELS = 178_956_970
"""Of a picture that is read: what 512 MiB of RGB hold, Pillow's own limit."""

HEAD = 1 << 16  # bytes, within which a file says what it is and, where Pillow would look too late, how large

_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_JXL_CONTAINER = b"\x00\x00\x00\x0cJXL \r\n\x87\n"
_JXL_CODESTREAM = b"\xff\x0a"
_JXL_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


def read_head(path: Path) -> bytes:
    """How a picture's file begins. Raises InputError for what is no file, and an empty one."""
    if not path.is_file():
        path.stat()
        raise InputError(f"it is not a file: name a picture ({READABLE})")
    with open(path, "rb") as file:
        head = file.read(HEAD)
    if not head:
        raise InputError("it is empty (0 bytes)")
    return head


@contextmanager
def ignore_remarks() -> Iterator[None]:
    """Say nothing of what Pillow remarks on odd files; what matters arrives as an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def complaints_about(path: Path) -> Iterator[None]:
    """Turns whatever a reader raises into one InputError line."""
    shown = repr(str(path))
    try:
        yield
    except InputError as error:
        raise InputError(f"{shown}: {error}") from error
    except Image.DecompressionBombError as error:
        count = re.search(r"\d+", str(error))
        promised = f"{int(count[0]) / 1e6:.0f} million" if count else "more"
        most = f"at most {MOST_PIXELS / 1e6:.0f} million are read"
        raise InputError(f"{shown}: {promised} pixels, and {most}: scale it down first") from error
    except UnidentifiedImageError as error:
        raise InputError(f"{shown} is no readable picture ({READABLE})") from error
    except Exception as error:  # on damaged bytes Pillow's readers raise nearly anything
        if isinstance(error, OSError) and error.strerror:
            raise InputError(f"cannot read {shown}: {error.strerror}") from error
        detail = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"cannot read {shown}: {detail}") from error


def choose_readers(head: bytes) -> tuple[str, ...]:
    """The readers for a file that begins so. Raises InputError where one is needed that is not installed."""
    name = find_plugin(head)
    if name is None:
        return READERS
    module, register = PLUGINS[name]
    try:
        plugin = importlib.import_module(module)
    except ImportError:
        kind = "HEIC" if name == "HEIF" else "JPEG XL"
        raise InputError(f"{kind} is read by the extra 'pictures': pip install 'jstyle[pictures]'") from None
    if register:
        getattr(plugin, register)()
    if name == "JXL":  # its reader decodes before Pillow can look at the size
        size = read_jxl_size(head)
        if size is None:
            raise InputError("it does not say how large it is; save it as PNG")
        check_pixels(*size)
    return (name,)


def find_plugin(head: bytes) -> Optional[str]:
    """The name in `PLUGINS` of the reader that such a file needs, if any."""
    if head.startswith((_JXL_CODESTREAM, _JXL_CONTAINER)):
        return "JXL"
    brands = re.findall(b"....", head[8 : int.from_bytes(head[:4], "big")], re.DOTALL) if head[4:8] == b"ftyp" else []
    if b"avif" in brands or b"avis" in brands:
        return None
    return "HEIF" if any(brand in _HEIF_BRANDS for brand in brands) else None


def check_pixels(width: int, height: int) -> None:
    """Raise InputError for a size of more pixels than are read."""
    if width * height > MOST_PIXELS:
        raise InputError(
            f"{width}x{height} are {width * height / 1e6:.0f} million pixels, "
            f"and at most {MOST_PIXELS / 1e6:.0f} million are read: scale it down first"
        )


def read_jxl_size(head: bytes) -> Optional[tuple[int, int]]:
    """(width, height) that a JPEG XL file promises (ISO/IEC 18181-1, SizeHeader); None where it cannot be told."""
    start = 0 if head.startswith(_JXL_CODESTREAM) else _find_codestream(head)
    if start is None or head[start : start + 2] != _JXL_CODESTREAM:
        return None
    bits = int.from_bytes(head[start + 2 : start + 14].ljust(12, b"\0"), "little")

    def take(count: int) -> int:
        nonlocal bits
        value, bits = bits & ((1 << count) - 1), bits >> count
        return value

    is_small = take(1)

    def take_side() -> int:
        return (take(5) + 1) * 8 if is_small else take((9, 13, 18, 30)[take(2)]) + 1

    height, ratio = take_side(), take(3)
    if ratio == 0:
        return take_side(), height
    numerator, denominator = _JXL_RATIOS[ratio - 1]
    return height * numerator // denominator, height


def _find_codestream(head: bytes) -> Optional[int]:
    """Where the codestream begins in a container, a row of boxes."""
    place = 0
    while place + 8 <= len(head):
        size, kind = int.from_bytes(head[place : place + 4], "big"), head[place + 4 : place + 8]
        body = place + (16 if size == 1 else 8)
        if kind in (b"jxlc", b"jxlp"):
            return body + (4 if kind == b"jxlp" else 0)
        size = int.from_bytes(head[place + 8 : place + 16], "big") if size == 1 else size
        if size < 8:
            return None
        place += size
    return None
