"""What a picture's file says of itself: pictures written as PNG with texts, and the texts of others read.

A file comes from anybody: what is damaged, or says more than settings can be, is told in a line or passed over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Optional

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from jstyle.errors import InputError
from jstyle.files import replacing
from jstyle.pictures.formats import complaints_about, ignore_remarks, read_head

SHEET_MARK = {"kind": "contact sheet"}
"""What contact sheets say of themselves, so that none is taken for a picture."""

METADATA_KEY = "jstyle"
"""The text of a PNG, or of a picture's ``info``, that says what it is."""

PARAMETERS_KEY = "parameters"
"""The text of a PNG that says it in A1111's form."""

_LONGEST_TEXT = 1 << 18  # characters
_EXIF, _USER_COMMENT, _UNICODE = 0x8769, 0x9286, b"UNICODE\0"

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SIGNATURES = (PNG_SIGNATURE, b"\xff\xd8\xff", b"RIFF")


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
    with complaints_about(path), ignore_remarks():
        head = read_head(path)
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
