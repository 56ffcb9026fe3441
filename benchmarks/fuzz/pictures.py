"""Pictures of every format, and what our own say of themselves, spoilt: python -m benchmarks.fuzz.pictures"""

from __future__ import annotations

import io
import json
import random
import struct
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from benchmarks.fuzz import trials
from jstyle.errors import InputError
from jstyle.pictures import images, png_texts
from jstyle.pictures.finished import describe_other, read_state, write_picture
from jstyle.pictures.fitting import Frame
from jstyle.pictures.spec import ModelIdentity, PromptedPicture

SPEC = PromptedPicture(ModelIdentity("hash", "configuration"), 32, 24, "a river", 4, 2.0, 0)
PIXELS = np.random.default_rng(0).integers(0, 256, (24, 32, 4), np.uint8)
RGBA = Image.fromarray(PIXELS)
RGB = RGBA.convert("RGB")
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 12_000, 100_000)
NAMES = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"iCCP", b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"acTL", b"fcTL")
VALUES: list[Any] = [None, True, [], {}, "", "x" * 5000, 10**400, -1, 0.5, float("nan"), "\x1b[2J", [[[]]], {"a": {}}]


def encode(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """The file of a picture, of two frames where ``save_all`` asks for several."""
    picture = picture.copy()  # writing JPEG leaves settings on a picture that TIFF's writer stumbles over
    more = {"append_images": [picture.transpose(Image.Transpose.ROTATE_180)]} if options.get("save_all") else {}
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options, **more)
    return buffer.getvalue()


def list_samples() -> Iterator[bytes]:
    """Good files: every format that is read, and kinds of PNG, JPEG and WebP beside."""
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    about = {"exif": exif.tobytes(), "icc_profile": profile}
    frames = {"save_all": True}
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        picture = Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257) if mode == "I;16" else RGBA.convert(mode)
        yield encode(picture, "PNG")
    yield encode(RGB, "PNG", transparency=(1, 2, 3), **about)
    yield encode(RGB.quantize(9), "PNG", transparency=bytes(range(9)))
    yield encode(RGB, "PNG", **frames)
    for options in ({}, {"progressive": True}, about):
        yield encode(RGB, "JPEG", **options)
    yield encode(RGB.convert("CMYK"), "JPEG")
    yield encode(RGB, "MPO", **frames)
    for options in ({"lossless": True}, {"quality": 40, **about}, frames):
        yield encode(RGBA, "WEBP", **options)
    for kind in ("GIF", "TIFF", "AVIF"):
        yield encode(RGB, kind, **frames)
    yield encode(RGB, "TIFF", compression="tiff_lzw")
    for kind in ("BMP", "PPM"):
        yield encode(RGB, kind)


def write_own() -> bytes:
    """A finished picture."""
    with tempfile.TemporaryDirectory() as place:
        write_picture(RGB, Path(place) / "a.png", SPEC)
        return (Path(place) / "a.png").read_bytes()


SAMPLES = list(list_samples())
OWN = write_own()
STARTS = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")


def draw(chance: random.Random) -> bytes:
    """A file after some accidents, or a PNG that tells something forged; most PNGs have right checksums again."""
    way = chance.random()
    if way < 0.3:
        return write_chunks(forge_chunks(chance, list(read_chunks(OWN))))
    content = chance.choice([*SAMPLES, OWN])
    if content.startswith(png_texts.PNG_SIGNATURE) and way < 0.65:
        return write_chunks(spoil_chunks(chance, list(read_chunks(content))))
    if way > 0.98:
        content = chance.choice(STARTS) + content[chance.randrange(len(content)) :]
    return spoil_bytes(chance, content)


def read(content: bytes) -> None:
    """Open the file as a picture and as a finished one; every complaint is one line, every picture upright RGB."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "a.png"
        path.write_bytes(content)
        png_texts.is_sheet(path)
        if read_state(path, SPEC) == "other":
            trials.fail_lines([describe_other(path, SPEC)], 1)
        told: list[str] = []
        try:
            picture = images.open_image(path, told.append)
        except InputError as error:
            if read_state(path, SPEC) == "finished":
                raise ValueError("pixels that cannot be read count as finished") from error
            raise
        finally:
            trials.fail_lines(told, 2)
        if picture.mode != "RGB" or picture.info:
            raise ValueError(f"a picture of {picture.mode} that says {list(picture.info)}")
        Frame(16, 16, "keep").fit(picture)


def read_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a PNG: their names and bodies."""
    place = len(png_texts.PNG_SIGNATURE)
    while place + 8 <= len(content):
        size = int.from_bytes(content[place : place + 4], "big")
        yield content[place + 4 : place + 8], content[place + 8 : place + 8 + size]
        place += 12 + size


def write_chunks(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """A PNG of these chunks, with right checksums."""
    parts = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    ]
    return png_texts.PNG_SIGNATURE + b"".join(parts)


def spoil_chunks(chance: random.Random, chunks: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The chunks after one to three accidents that checksums do not show."""
    for _ in range(chance.randint(1, 3)):
        number, way = chance.randrange(len(chunks)), chance.randrange(6)
        name, body = chunks[number]
        if way == 0:
            chunks[number] = name, spoil_bytes(chance, body)
        elif way == 1:
            chunks[number] = chance.choice(NAMES), body
        elif way == 2:
            chunks.insert(chance.randrange(len(chunks)), (chance.choice(NAMES), spoil_bytes(chance, body)))
        elif way == 3 and len(chunks) > 1:
            del chunks[number]
        elif way == 4:
            sizes = struct.pack(">II", chance.choice(NUMBERS), chance.choice(NUMBERS))
            kind = bytes(chance.choice((0, 1, 2, 3, 4, 6, 8, 16)) for _ in range(5))
            chunks[0] = b"IHDR", chance.choice((sizes + kind, sizes + chunks[0][1][8:]))
        else:
            chance.shuffle(chunks)
    return chunks


def forge_chunks(chance: random.Random, chunks: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """A finished picture that tells something else, in a chunk of any kind, or whose pixels are others."""
    number = next(i for i, (name, _) in enumerate(chunks) if name == b"tEXt")
    about = json.loads(chunks[number][1].split(b"\0", 1)[1])
    way = chance.randrange(5)
    if way == 0:
        place = next(i for i, (name, _) in enumerate(chunks) if name == b"IDAT")
        chunks[place] = b"IDAT", spoil_bytes(chance, chunks[place][1])
        return chunks
    if way == 1:
        about[chance.choice(list(about))] = chance.choice(VALUES)
    elif way == 2:
        spec = about["spec"]
        inner = spec["model"] if chance.random() < 0.3 else spec
        inner[chance.choice(list(inner))] = chance.choice(VALUES)
        about["identity"] = chance.choice((about["identity"], "0" * 64))
    text = json.dumps(about)
    if way == 3:
        text = chance.choice(
            ("[" * 100_000, '{"a":' * 5000, "9" * 5000, '{"spec": ' + text * 3, "\ufeff", "1e999", text[:-9])
        )
    if way == 4:
        text += " " * chance.choice((10**5, 2 * 10**6, 2 * 10**7))
    chunks[number] = chance.choice((write_text, write_packed, write_international))(text.encode("latin-1", "replace"))
    return chunks * (1 if chance.random() < 0.95 else 3)


def write_text(text: bytes) -> tuple[bytes, bytes]:
    """A chunk of plain text."""
    return b"tEXt", b"jstyle\0" + text


def write_packed(text: bytes) -> tuple[bytes, bytes]:
    """A chunk of packed text."""
    return b"zTXt", b"jstyle\0\0" + zlib.compress(text, 1)


def write_international(text: bytes) -> tuple[bytes, bytes]:
    """A chunk of packed UTF-8."""
    return b"iTXt", b"jstyle\0\1\0\0\0" + zlib.compress(text, 1)


def spoil_bytes(chance: random.Random, content: bytes) -> bytes:
    """The bytes after one to four accidents, most of them near the beginning, where headers are."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        reach = len(data) if chance.random() < 0.5 else min(len(data), 64)
        place, way = chance.randrange(reach + 1), chance.randrange(5)
        if way == 0:
            data[place : place + 1] = bytes([chance.randrange(256)])
        elif way == 1:
            number = chance.choice(NUMBERS)
            size, order = chance.choice((1, 2, 4)), chance.choice("<>")
            kind = {1: "B", 2: "H", 4: "I"}[size]
            data[place : place + size] = struct.pack(order + kind, number % 256**size)
        elif way == 2:
            del data[place : place + chance.choice((1, 3, 50, 10**9))]
        elif way == 3:
            data[place:place] = data[place : place + chance.choice((1, 8, 100))] * chance.choice((1, 2, 30))
        else:
            other = chance.choice(SAMPLES)
            data[place:] = other[min(place, len(other)) :]
    return bytes(data)


if __name__ == "__main__":
    sys.exit(trials.main(__doc__, draw, read))
