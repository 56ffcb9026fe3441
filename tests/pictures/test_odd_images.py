"""Pictures of every odd kind are opened rightly, and damaged ones refused in one clear line."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jstyle.errors import InputError
from jstyle.pictures import colours, images

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def two_pixels(mode: str, first: Any, second: Any) -> Image.Image:
    image = Image.new(mode, (2, 1), first)
    image.putpixel((1, 0), second)
    return image


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, interlace: int = 0) -> bytes:
    """A PNG built by hand, for the kinds Pillow does not write."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    data = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def palette_with_transparency() -> bytes:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    return encoded(image, transparency=bytes([255, 0]))


def rotated_by_exif() -> bytes:
    """Red left and blue right as stored; orientation 6 shows it a quarter turn clockwise: red on top."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(two_pixels("RGB", RED, BLUE), exif=exif)


def animation() -> bytes:
    frames = [Image.new("RGB", (2, 1), colour) for colour in (RED, BLUE)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


def two_views() -> bytes:
    views = [Image.new("RGB", (16, 8), colour) for colour in (RED, BLUE)]
    return encoded(views[0], "MPO", save_all=True, append_images=views[1:])


def with_broken_exif() -> bytes:
    return encoded(Image.new("RGB", (2, 1), RED), exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff\x01\x02")


grey16 = np.array([[0x8000, 0xFFFF]], np.uint16)
GREY = (128, 128, 128)
RGB16 = b"\0" + struct.pack(">6H", 0xFFFF, 0, 0, 0, 0, 0xFFFF)
LA = two_pixels("LA", (0, 255), (0, 0))
RGBA = two_pixels("RGBA", (255, 0, 0, 255), (0, 0, 255, 0))
HALF_CLEAR = two_pixels("RGBA", (0, 0, 255, 128), (255, 0, 0, 255))
RED_BLUE = two_pixels("RGB", RED, BLUE)

# name -> (the file, its pixels row by row, tolerance)
ODD: dict[str, tuple[bytes, list[list[tuple[int, int, int]]], int]] = {
    "rgb.png": (encoded(RED_BLUE), [[RED, BLUE]], 0),
    "grey16.png": (encoded(Image.fromarray(grey16)), [[GREY, WHITE]], 0),
    "grey16.tiff": (encoded(Image.fromarray(grey16), "TIFF"), [[GREY, WHITE]], 0),
    "grey16.pgm": (b"P5 2 1 65535\n" + grey16.astype(">u2").tobytes(), [[GREY, WHITE]], 0),
    "rgb16.png": (png(2, 1, 16, 2, RGB16), [[RED, BLUE]], 0),
    "interlaced.png": (png(2, 1, 8, 2, b"\0\xff\0\0" + b"\0\0\0\xff", interlace=1), [[RED, BLUE]], 0),
    "one_bit.png": (encoded(two_pixels("1", 0, 1)), [[BLACK, WHITE]], 0),
    "grey.png": (encoded(two_pixels("L", 7, 200)), [[(7, 7, 7), (200, 200, 200)]], 0),
    "palette.png": (encoded(RED_BLUE.quantize(2)), [[RED, BLUE]], 0),
    "palette_transparent.png": (palette_with_transparency(), [[RED, WHITE]], 0),
    "rgb_transparent.png": (encoded(RED_BLUE, transparency=BLUE), [[RED, WHITE]], 0),
    "grey_alpha.png": (encoded(LA), [[BLACK, WHITE]], 0),
    "alpha.png": (encoded(RGBA), [[RED, WHITE]], 0),
    "half_clear.png": (encoded(HALF_CLEAR), [[(127, 127, 255), RED]], 0),
    "alpha.webp": (encoded(RGBA, "WEBP", lossless=True), [[RED, WHITE]], 0),
    "exif.png": (rotated_by_exif(), [[RED], [BLUE]], 0),
    "broken_exif.png": (with_broken_exif(), [[RED, RED]], 0),
    "animated.gif": (animation(), [[RED, RED]], 0),
    "plain.webp": (encoded(RED_BLUE, "WEBP", lossless=True), [[RED, BLUE]], 0),
    "plain.bmp": (encoded(RED_BLUE, "BMP"), [[RED, BLUE]], 0),
    "plain.tiff": (encoded(RED_BLUE, "TIFF", compression="tiff_lzw"), [[RED, BLUE]], 0),
    "plain.ppm": (encoded(RED_BLUE, "PPM"), [[RED, BLUE]], 0),
    "plain.avif": (encoded(Image.new("RGB", (16, 16), RED), "AVIF"), [[RED] * 16] * 16, 8),
    "cmyk.jpg": (encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"), [[RED] * 8] * 8, 8),
    "cmyk.tiff": (encoded(two_pixels("CMYK", (0, 0, 0, 255), (0, 0, 0, 0)), "TIFF"), [[BLACK, WHITE]], 0),
    "grey.jpg": (encoded(Image.new("L", (8, 8), 90), "JPEG"), [[(90, 90, 90)] * 8] * 8, 2),
    "one_pixel.png": (encoded(Image.new("RGB", (1, 1), GREEN)), [[GREEN]], 0),
    "elongated.png": (encoded(Image.new("RGB", (1, 2000), GREEN)), [[GREEN]] * 2000, 0),
    "two_views.mpo": (two_views(), [[RED] * 16] * 8, 2),
    "jpeg_named.png": (encoded(Image.new("L", (8, 8), 90), "JPEG"), [[(90, 90, 90)] * 8] * 8, 2),
    "no_suffix": (encoded(RED_BLUE), [[RED, BLUE]], 0),
    "图 é.png": (encoded(RED_BLUE), [[RED, BLUE]], 0),
    "new\nline.png": (encoded(RED_BLUE), [[RED, BLUE]], 0),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_picture_is_opened_rightly(name: str, tmp_path: Path) -> None:
    data, rows, tolerance = ODD[name]
    (tmp_path / name).write_bytes(data)
    opened = images.open_image(tmp_path / name)
    assert opened.mode == "RGB"
    found, expected = np.asarray(opened, np.int32), np.array(rows)
    assert found.shape == expected.shape
    assert abs(found - expected).max() <= tolerance


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_in_a_jpeg(orientation: int, tmp_path: Path) -> None:
    upright = Image.new("RGB", (32, 16), BLACK)
    upright.paste(RED, (0, 0, 8, 8))  # a mark in the upper left corner
    turn = Image.Transpose
    stored = {2: turn.FLIP_LEFT_RIGHT, 3: turn.ROTATE_180, 4: turn.FLIP_TOP_BOTTOM, 5: turn.TRANSPOSE,
              6: turn.ROTATE_90, 7: turn.TRANSVERSE, 8: turn.ROTATE_270}  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = upright.transpose(stored[orientation]) if orientation > 1 else upright
    turned.save(tmp_path / "a.jpg", quality=95, exif=exif)
    opened = images.open_image(tmp_path / "a.jpg")
    assert opened.size == upright.size
    assert abs(np.asarray(opened, np.int32) - np.asarray(upright, np.int32)).mean() < 4


def bomb() -> bytes:
    """A small file that promises 400 million pixels."""
    return png(20_000, 20_000, 1, 0, b"\0")


def text_bomb() -> bytes:
    """A small file with a text of 50 MB in it."""
    whole = encoded(RED_BLUE)
    return whole[:33] + chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(50_000_000))) + whole[33:]


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))

# name -> (the file, what its complaint says)
DAMAGED: dict[str, tuple[bytes, str]] = {
    "empty.png": (b"", "is empty (0 bytes)"),
    "text.png": (b"this is no picture\n", "no readable picture"),
    "zeros.jpg": (bytes(1000), "no readable picture"),
    "header_only.png": (encoded(NOISE)[:8], "no readable picture"),
    "truncated.png": (encoded(NOISE)[:2000], "truncated"),
    "truncated.jpg": (encoded(NOISE, "JPEG")[:800], "truncated"),
    "truncated.webp": (encoded(NOISE, "WEBP")[:400], "cannot read"),
    "truncated.gif": (encoded(NOISE, "GIF")[:1200], "truncated"),
    "truncated.tiff": (encoded(NOISE, "TIFF")[:3000], "cannot read"),
    "truncated.bmp": (encoded(NOISE, "BMP")[:900], "truncated"),
    "truncated.ppm": (encoded(NOISE, "PPM")[:900], "truncated"),
    "bad_data.png": (png(9, 9, 8, 2, b"\0\1\2"), "cannot read"),
    "bad_checksum.png": (
        encoded(NOISE).replace(b"IHDR\0\0\0\x40", b"IHDR\0\0\0\x41", 1),
        "no readable picture",
    ),
    "no_pixels.png": (png(0, 0, 8, 2, b""), "no readable picture"),
    "large.png": (png(10_000, 10_000, 1, 0, b"\0"), "cannot read"),  # of this size Pillow warns
    "bomb.png": (bomb(), "400 million pixels, and at most 179 million are read: scale it down first"),
    "postscript.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no readable picture"),
    "float.tiff": (encoded(Image.new("F", (2, 2), 0.5), "TIFF"), "no known scale"),
    "deep.tiff": (encoded(Image.new("I", (2, 2), -70_000), "TIFF"), "no known scale"),
    "new\nline.png": (b"no picture", "no readable picture"),
    "text_bomb.png": (text_bomb(), "cannot read"),
}


def complaint(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        images.open_image(path)
    message = str(caught.value)
    assert message.isprintable(), "one line, whatever the file is called"
    assert repr(path.name)[1:-1] in message
    return message


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_picture_is_one_clear_line(name: str, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    data, expected = DAMAGED[name]
    (tmp_path / name).write_bytes(data)
    assert expected in complaint(tmp_path / name)
    assert not recwarn.list


def folder_named(path: Path) -> None:
    path.mkdir()


def broken_link(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere.png")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def nothing(path: Path) -> None:
    """No file at all."""


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (folder_named, "is not a file: name a picture"),
        (broken_link, "No such file or directory"),
        (link_to_itself, "Too many levels of symbolic links"),
        (pipe, "is not a file"),
        (nothing, "No such file or directory"),
    ],
)
def test_what_is_no_file_is_one_clear_line(make: Callable[[Path], None], expected: str, tmp_path: Path) -> None:
    make(tmp_path / "x.png")
    assert expected in complaint(tmp_path / "x.png")


def test_a_forbidden_file_and_an_overlong_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "File name too long" in complaint(tmp_path / ("x" * 300))
    path = tmp_path / "x.png"
    path.write_bytes(encoded(RED_BLUE))

    def forbidden(*_: object, **__: object) -> None:  # permissions themselves do not bind root
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Image, "open", forbidden)
    assert "cannot read" in complaint(path) and "Permission denied" in complaint(path)


def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b.png")
    assert images.find_images([tmp_path]) == [tmp_path / "a.png", tmp_path / "b.png"]
    assert "is not a file" in complaint(tmp_path / "b.png")


def test_grey_of_32_bits_has_no_known_scale_whatever_its_numbers_are(tmp_path: Path) -> None:
    for top in (255, 60_000, 100_000):
        values = np.linspace(0, top, 24).reshape(4, 6).astype(np.int32)
        Image.fromarray(values).save(tmp_path / "grey.tif")
        assert "32-bit pixels have no known scale" in complaint(tmp_path / "grey.tif")


@pytest.mark.parametrize("mode", ["La", "RGBa"])
def test_opacity_that_is_multiplied_in_is_taken_out(mode: str) -> None:
    plain = Image.new(mode.upper(), (4, 4), (200, 128) if mode == "La" else (200, 100, 50, 128))
    expected = np.asarray(colours.to_rgb(plain, print), int)
    assert np.abs(np.asarray(colours.to_rgb(plain.convert(mode), print), int) - expected).max() <= 1
