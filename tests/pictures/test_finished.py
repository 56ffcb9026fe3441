"""What stands under a picture's name: finished, missing, damaged, or something else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from jstyle.errors import InputError
from jstyle.pictures import finished, images
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
    about: Any = images.read_metadata(path)
    pixels = np.asarray(picture()).copy()
    pixels[3, 5, 1] ^= 1
    images.save_png(Image.fromarray(pixels), path, about)
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
    about: Any = images.read_metadata(path)
    images.save_png(picture(), path, {**about, "identity": "0" * 64})
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
