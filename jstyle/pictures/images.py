"""Pictures: found, opened, turned into arrays and back, and written as PNG files.

An opened picture is always an upright 8-bit sRGB `PIL.Image`, and so is what a caller brings, once it is asked for its
pixels; an array is always float32 in [-1, 1] of shape (n, 3, height, width), the range the VAE works in.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import Any, Optional

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from jstyle.errors import InputError
from jstyle.files import replacing
from jstyle.pictures import colours
from jstyle.pictures.colours import UNKNOWN_SCALE, Tell
from jstyle.pictures.formats import HEAD, MOST_PIXELS, READABLE, SUFFIXES, check_pixels, choose_readers
from jstyle.settings.vocabulary import Fit

SHEET_MARK = {"kind": "contact sheet"}
"""What contact sheets say of themselves, so that none is taken for a picture."""

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SIGNATURES = (PNG_SIGNATURE, b"\xff\xd8\xff", b"RIFF")
_ORIENTATION, _LYING = 0x0112, (5, 6, 7, 8)  # in EXIF
_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262  # tags of TIFF; the second says what 0 means
METADATA_KEY = "jstyle"
"""The text of a PNG, or of a picture's ``info``, that says what it is."""

PARAMETERS_KEY = "parameters"
"""The text of a PNG that says it in A1111's form."""

_LONGEST_TEXT = 1 << 18  # characters
_EXIF, _USER_COMMENT, _UNICODE = 0x8769, 0x9286, b"UNICODE\0"


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
    sheets = [file for file in files if is_sheet(file)]
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
    with _complaints_about(path), ignore_remarks():
        readers = choose_readers(_read_head(path))
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
    with _complaints_about(path), ignore_remarks():
        readers = choose_readers(_read_head(path))
        with Image.open(path, formats=readers) as image:
            width, height = image.size
            is_turned = image.getexif().get(_ORIENTATION) in _LYING
    return (height, width) if is_turned else (width, height)


def open_small(path: Path, side: int) -> Image.Image:
    """The picture in a file, scaled down to at most ``side`` pixels, for looking at. Errors as of `open_image`."""
    picture = open_image(path)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return picture


def _read_head(path: Path) -> bytes:
    """How a picture's file begins. Raises InputError for what is no file, and an empty one."""
    if not path.is_file():
        path.stat()
        raise InputError(f"it is not a file: name a picture ({READABLE})")
    with open(path, "rb") as file:
        head = file.read(HEAD)
    if not head:
        raise InputError("it is empty (0 bytes)")
    return head


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


@contextmanager
def ignore_remarks() -> Iterator[None]:
    """Say nothing of what Pillow remarks on odd files; what matters arrives as an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _complaints_about(path: Path) -> Iterator[None]:
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
    """A picture that a caller brings, as `open_image` would open it. Raises InputError for pixels without a scale."""
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


def save_png(
    image: Image.Image, path: Path, metadata: Optional[Mapping[str, object]] = None, parameters: str = ""
) -> None:
    """Write a PNG whole or not at all, with `metadata` as JSON in its text chunk "jstyle", and `parameters`, which
    other programs read, in the one of that name.

    The same picture and metadata always give the same bytes. Values may be anything JSON knows, and paths.

    Raises:
        InputError: the file cannot be written; nothing is left behind.
    """
    with replacing(Path(path)) as part, open(part, "xb") as file:
        image.save(file, "PNG", pnginfo=_write_texts(metadata or {}, parameters))


def _write_texts(metadata: Mapping[str, object], parameters: str) -> PngInfo:
    text = json.dumps(metadata, ensure_ascii=False, default=_plain)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # a file name with undecodable bytes; escaped, it survives
        text = json.dumps(metadata, default=_plain)
    texts = PngInfo()
    texts.add_text(METADATA_KEY, text)  # becomes an iTXt chunk where Latin-1 does not suffice
    if parameters:
        texts.add_text(PARAMETERS_KEY, parameters)
    return texts


def _plain(value: object) -> str:
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be stored in a PNG's metadata")


def read_metadata(path: Path) -> Optional[dict[str, object]]:
    """The settings `save_png` stored, or None where there is no file, no such text, or a damaged PNG."""
    return _read_metadata(path, whole=True)


def read_texts(path: Path) -> tuple[str, str]:
    """What a picture says of itself: our own text, and that of A1111's web UI and others; "" for what is not there.

    A JPEG or WebP has the latter as EXIF's comment. Raises InputError, one line, for other kinds of files, a damaged
    one, and one that says more than settings can be.
    """
    with _complaints_about(path), ignore_remarks():
        head = _read_head(path)
        try:
            with Image.open(path, formats=("PNG", "JPEG", "WEBP")) as image:
                texts = [image.info.get(key) for key in (METADATA_KEY, PARAMETERS_KEY)]
                texts[1] = texts[1] or _read_comment(image)
        except UnidentifiedImageError:
            if head.startswith(_SIGNATURES):
                raise InputError("it is damaged: its settings cannot be read") from None
            raise InputError("it is no PNG, JPEG or WebP, which alone say their settings") from None
        for key, text in zip((METADATA_KEY, PARAMETERS_KEY), texts):
            if not text and re.search(rb"(?:tEXt|zTXt|iTXt)" + key.encode(), head):
                raise InputError(f"its settings are spoilt: the text {key!r} in it cannot be read")
    ours, theirs = (text if isinstance(text, str) else "" for text in texts)
    if max(len(ours), len(theirs)) > _LONGEST_TEXT:
        raise InputError(f"{str(path)!r}: its settings are longer than {_LONGEST_TEXT >> 10} KiB")
    return ours, theirs


def _read_comment(image: Image.Image) -> str:
    """EXIF's user comment, where it is in Unicode: big-endian UTF-16, as A1111's web UI has piexif write it."""
    comment = image.getexif().get_ifd(_EXIF).get(_USER_COMMENT)
    if not isinstance(comment, bytes) or not comment.startswith(_UNICODE) or len(comment) > 2 * _LONGEST_TEXT:
        return ""
    return comment[len(_UNICODE) :].decode("utf-16-be", "replace")


def is_sheet(path: Path) -> bool:
    """Whether a file says that it is one of our contact sheets (`jstyle.pictures.sheets.write_sheet`)."""
    return (_read_metadata(path, whole=False) or {}).get("kind") == SHEET_MARK["kind"]


def read_identity(path: Path) -> str:
    """The digest of what a picture of ours says that it is; nothing of any other. Its pixels are not looked at."""
    identity = (_read_metadata(path, whole=False) or {}).get("identity")
    return identity if isinstance(identity, str) else ""


def is_ours(path: Path) -> bool:
    """Whether a file says that jstyle made it."""
    return _read_metadata(path, whole=False) is not None


def _read_metadata(path: Path, *, whole: bool) -> Optional[dict[str, object]]:
    """``whole`` looks at every checksum, else no further than the pixels."""
    if not path.is_file():  # a pipe would be waited for
        return None
    try:
        with ignore_remarks(), Image.open(path, formats=("PNG",)) as image:
            text = image.info[METADATA_KEY]
            if whole:
                image.verify()
        metadata = json.loads(text)
    except Exception:  # on damaged bytes Pillow's reader raises nearly anything
        return None
    return metadata if isinstance(metadata, dict) else None
