"""What stands under a picture's name: finished, missing, damaged, or something else."""

from __future__ import annotations

import os
import shutil
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from benchmarks.fuzz.pictures import read_chunks, write_chunks
from jstyle.errors import InputError
from jstyle.pictures import finished, images, png_texts
from jstyle.pictures.finished import describe_other, hash_pixels, is_finished, read_intact, read_state, write_picture
from jstyle.pictures.spec import ModelIdentity, PairSubject, PictureSpec
from jstyle.settings.fields import free


@dataclass(frozen=True)
class ToySettings:
    strength: float = 0.5
    layers: Optional[tuple[int, ...]] = None
    batch_size: int = free(1, because="toys are alike")


MODEL = ModelIdentity("weights", "configuration", name="tiny")
SPEC = PictureSpec("toy", MODEL, ToySettings(), PairSubject("content", "style", "a.png", "b.png"))


def picture(seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 24, 3), np.uint8))


def changed(**changes: Any) -> PictureSpec:
    return replace(SPEC, settings=ToySettings(**changes))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "picture.png"


def test_what_is_written_is_finished_and_holds_its_pixels(path: Path) -> None:
    assert read_state(path, SPEC) == "missing" and not is_finished(path, SPEC, overwrite=False)
    pixels = write_picture(picture(), path, SPEC)
    assert read_state(path, SPEC) == "finished" and is_finished(path, SPEC, overwrite=False)
    assert np.array_equal(np.asarray(images.open_image(path)), np.asarray(picture()))
    about: Any = read_intact(path)
    assert about["pixels"] == pixels == hash_pixels(picture()) and about["spec"]["settings"]["strength"] == 0.5
    assert not is_finished(path, SPEC, overwrite=True)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def forge(whole: bytes, spoil: Callable[[bytes], bytes]) -> bytes:
    """A PNG with other packed pixels and right checksums."""
    chunks = list(read_chunks(whole))
    packed = b"".join(body for name, body in chunks if name == b"IDAT")
    start = next(i for i, (name, _) in enumerate(chunks) if name == b"IDAT")
    rest = [chunk for chunk in chunks if chunk[0] != b"IDAT"]
    return write_chunks([*rest[:start], (b"IDAT", spoil(packed)), *rest[start:]])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda packed: b"\x12" * len(packed),
        lambda packed: packed[: len(packed) // 2],
        lambda packed: packed[:50] + bytes([packed[50] ^ 255]) + packed[51:],
        lambda packed: packed[:-4] + bytes(4),
        lambda packed: b"",
        lambda packed: zlib.compress(zlib.decompress(packed)[:300]),
        lambda packed: zlib.compress(b"\x09" + zlib.decompress(packed)[1:]),
        lambda packed: zlib.compress(bytes(len(zlib.decompress(packed)))),
    ],
    ids=["noise", "half", "a byte", "checksum", "nothing", "few rows", "no such filter", "others"],
)
def test_only_pixels_that_decode_to_what_was_written_are_finished(path: Path, spoil: Callable[[bytes], bytes]) -> None:
    write_picture(picture(), path, SPEC)
    whole = path.read_bytes()
    path.write_bytes(forge(whole, lambda packed: packed))
    assert read_state(path, SPEC) == "finished"
    path.write_bytes(forge(whole, spoil))
    assert read_state(path, SPEC) == "damaged" and not is_finished(path, SPEC, overwrite=False)


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_packed_text_takes_no_memory(path: Path, kind: bytes) -> None:
    """20 MB of blanks behind what a picture says of itself, in some kilobytes."""
    write_picture(picture(), path, SPEC)
    chunks = list(read_chunks(path.read_bytes()))
    number, text = next((i, body.partition(b"\0")[2]) for i, (name, body) in enumerate(chunks) if name == b"tEXt")
    head = b"jstyle\0\0" if kind == b"zTXt" else b"jstyle\0\1\0\0\0"
    chunks[number] = kind, head + zlib.compress(text + b" " * 20_000_000)
    path.write_bytes(write_chunks(chunks))
    tracemalloc.start()
    assert read_state(path, SPEC) in ("damaged", "other") and png_texts.read_metadata(path) is None
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_a_long_value_is_told_in_a_line(path: Path) -> None:
    write_picture(picture(), path, replace(SPEC, method="a\n" * 5000))
    line = describe_other(path, SPEC)
    assert line.isprintable() and len(line) < len(str(path)) + 200


@pytest.mark.parametrize(
    "same",
    [
        changed(batch_size=7),
        replace(SPEC, model=replace(MODEL, name="a folder")),
        replace(SPEC, subject=replace(SPEC.subject, content_file="moved.png")),
    ],
)
def test_what_changes_no_picture_does_not_count(path: Path, same: PictureSpec) -> None:
    write_picture(picture(), path, SPEC)
    assert read_state(path, same) == "finished"


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (changed(strength=0.75), "settings.strength = 0.5, not 0.75"),
        (changed(layers=(6, 7)), "settings.layers = None, not [6, 7]"),
        (replace(SPEC, model=replace(MODEL, precision="bf16")), "model.precision = 'fp32', not 'bf16'"),
        (replace(SPEC, subject=replace(SPEC.subject, style="other")), "subject.style = 'style', not 'other'"),
        (replace(SPEC, method="game"), "method = 'toy', not 'game'"),
    ],
)
def test_a_picture_of_another_spec_is_refused_with_what_differs(path: Path, other: PictureSpec, said: str) -> None:
    write_picture(picture(), path, SPEC)
    before = path.read_bytes()
    assert read_state(path, other) == "other"
    with pytest.raises(InputError) as caught:
        is_finished(path, other, overwrite=False)
    assert f"was made with {said}; --overwrite" in str(caught.value) and "\n" not in str(caught.value)
    assert path.read_bytes() == before and not is_finished(path, other, overwrite=True)


def test_every_cut_of_a_picture_is_damaged(path: Path) -> None:
    """What is lost may be a copy's: pictures are written whole."""
    write_picture(picture(), path, SPEC)
    whole = path.read_bytes()
    for length in (1, 4, 20, len(whole) // 2, len(whole) - 20):
        path.write_bytes(whole[:length])
        assert read_state(path, SPEC) == "damaged", length
        assert not is_finished(path, SPEC, overwrite=False)
    path.write_bytes(b"")
    assert read_state(path, SPEC) == "damaged"


def test_other_pixels_under_a_whole_picture_s_words_are_damage(path: Path) -> None:
    write_picture(picture(), path, SPEC)
    about: Any = png_texts.read_metadata(path)
    pixels = np.asarray(picture()).copy()
    pixels[3, 5, 1] ^= 1
    png_texts.save_png(Image.fromarray(pixels), path, about)
    assert read_intact(path) is None and read_state(path, SPEC) == "damaged"


def test_somebody_s_file_is_never_taken_for_damage(path: Path) -> None:
    path.parent.mkdir()
    foreign = PngImagePlugin.PngInfo()
    foreign.add_text("parameters", "a boat")
    picture().save(path, pnginfo=foreign)
    assert read_state(path, SPEC) == "other"
    path.write_bytes(b"notes")
    assert read_state(path, SPEC) == "other"
    assert "exists, but jstyle did not make it" in describe_other(path, SPEC)


def test_a_picture_whose_words_were_changed_is_not_the_one_that_they_name(path: Path) -> None:
    """The digest decides, so a spec alone that fits is not enough."""
    write_picture(picture(), path, SPEC)
    about: Any = png_texts.read_metadata(path)
    png_texts.save_png(picture(), path, {**about, "identity": "0" * 64})
    assert read_state(path, SPEC) == "other"
    assert describe_other(path, SPEC).endswith("was made by another version of the code")


def test_a_size_belongs_to_the_pixels() -> None:
    assert hash_pixels(Image.new("RGB", (2, 8))) != hash_pixels(Image.new("RGB", (8, 2)))


def test_nothing_is_left_where_a_picture_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="cannot make the folder") as caught:
        write_picture(picture(), tmp_path / "file" / "picture.png", SPEC)
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(finished, "read_code_version", lambda: "1+abc")
    assert write_picture(picture(), tmp_path / "a.png", SPEC) == write_picture(picture(), tmp_path / "b.png", SPEC)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_what_is_no_file_is_nothing_that_was_made(path: Path) -> None:
    """A pipe in a picture's place would be waited for, a folder cannot be written over: not even when asked."""
    path.parent.mkdir()
    for make in (os.mkfifo, os.mkdir):
        make(path)
        for overwrite in (False, True):
            with pytest.raises(InputError, match="is no file: move it away"):
                is_finished(path, SPEC, overwrite=overwrite)
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_what_another_run_has_put_there_meanwhile_is_not_written_over(path: Path) -> None:
    write_picture(picture(), path, changed(strength=0.9))
    with pytest.raises(InputError, match="was made with settings.strength = 0.9"):
        write_picture(picture(), path, SPEC, overwrite=False)
    write_picture(picture(), path, SPEC)
    write_picture(picture(), path, SPEC, overwrite=False)
