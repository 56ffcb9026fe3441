"""What a file is, its content says; its size is known before anything is decoded; extras are named where they miss."""

from __future__ import annotations

import io
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jstyle.errors import InputError
from jstyle.pictures import formats, images

JXL_STARTS = {
    "ff0a090700138802005402b59f200000": (60, 40),
    "ff0a4f060013880200e802b59f200000": (64, 64),
    "ff0ac70700138802002402b59f200000": (64, 32),
    "ff0a0090010013880200b000b59f2000": (1, 1),
    "ff0a7a3e1c00138802008860f507d093": (3000, 2000),
    "ff0a8000560e001388020008811fc4c0": (300, 17),
    "ff0aba211d00138802008c908bca3058": (1920, 1080),
}
"""How files begin that pillow-jxl-plugin 1.3.8 (libjxl) wrote, and the sizes of the pictures that it was given."""

CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0\0\0\x14ftypjxl \0\0\0\0jxl "


def heif_start(*brands: bytes) -> bytes:
    body = b"ftyp" + brands[0] + bytes(4) + b"".join(brands)
    return struct.pack(">I", len(body) + 4) + body


@pytest.mark.parametrize(("start", "size"), list(JXL_STARTS.items()))
def test_the_size_of_a_jpeg_xl_is_read_before_it_is_decoded(start: str, size: tuple[int, int]) -> None:
    codestream = bytes.fromhex(start)
    assert formats.read_jxl_size(codestream) == size
    assert formats.read_jxl_size(CONTAINER + b"\0\0\0\x18jxlp\0\0\0\0" + codestream) == size
    exif = struct.pack(">I", 20) + b"Exif" + bytes(12)
    assert formats.read_jxl_size(CONTAINER + exif + b"\0\0\0\0jxlc" + codestream) == size
    assert formats.read_jxl_size(CONTAINER + exif) is None


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (heif_start(b"heic"), "HEIC"),
        (heif_start(b"mif1", b"heic"), "HEIC"),
        (CONTAINER, "JPEG XL"),
        (b"\xff\x0a", "JPEG XL"),
    ],
)
def test_without_the_extra_one_line_names_it(
    start: bytes, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, _ in formats.PLUGINS.values():
        monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    (tmp_path / "photo.png").write_bytes(start + bytes(100))
    with pytest.raises(InputError) as caught:
        images.open_image(tmp_path / "photo.png")
    expected = (
        f"{str(tmp_path / 'photo.png')!r}: {kind} is read by the extra 'pictures': pip install 'jstyle[pictures]'"
    )
    assert str(caught.value) == expected


def test_avif_needs_no_extra() -> None:
    assert formats.choose_readers(heif_start(b"avif", b"mif1", b"miaf")) == formats.READERS


def test_a_picture_of_an_extra_is_found_in_a_folder(tmp_path: Path) -> None:
    for name in ("a.heic", "b.HEIF", "c.jxl", "d.apng"):
        (tmp_path / name).touch()
    assert [path.name for path in images.find_images([tmp_path])] == ["a.heic", "b.HEIF", "c.jxl", "d.apng"]


def test_too_many_pixels_are_told_with_their_size() -> None:
    formats.check_pixels(16_000, 11_000)
    with pytest.raises(InputError, match="20000x10000 are 200 million pixels, and at most 179 million are read"):
        formats.check_pixels(20_000, 10_000)


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(("module", "kind"), [("pillow_heif", "HEIF"), ("pillow_jxl", "JXL")])
def test_pictures_of_the_extras_are_upright_and_whole(module: str, kind: str, tmp_path: Path) -> None:
    """The readers differ: one turns the pixels and takes the tag away, the other leaves both."""
    plugin = pytest.importorskip(module)
    if kind == "HEIF":
        plugin.register_heif_opener()
    stored = Image.new("RGB", (64, 32), "blue")
    stored.paste("red", (0, 0, 32, 32))
    exif = Image.Exif()
    exif[0x0112] = 6  # red on top
    (tmp_path / "a.png").write_bytes(saved(stored, kind, exif=exif.tobytes()))
    found = np.asarray(images.open_image(tmp_path / "a.png"), np.int16)
    assert found.shape == (64, 32, 3)
    assert np.abs(found[4:28] - [255, 0, 0]).max() < 40 and np.abs(found[36:60] - [0, 0, 255]).max() < 40
