"""`style-align --from PICTURE`: a set's picture comes back with its references, its start, and the rest of its set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jstyle.cli.main import main
from jstyle.errors import InputError
from jstyle.pictures import images, png_texts
from tests.parity.networks import GOLDEN

SMALL = ["--model", str(GOLDEN / "diffusers_folder"), "--steps", "2", "--width", "32", "--height", "32"]
TEXTS = ["a boat", "a house", "a tree"]


def draw(out: Path, *words: str) -> None:
    main(["style-align", *words, "--output", str(out)])


def come_back(picture: Path, *words: str) -> bool:
    """Whether the picture that comes from it is the same."""
    folder = picture.parent / f"again_{picture.stem}"
    draw(folder, "--from", str(picture), *words)
    made = {png_texts.read_identity(path): path for path in folder.glob("[0-9]*.png")}
    again = made.get(png_texts.read_identity(picture))
    return again is not None and images.open_image(again).tobytes() == images.open_image(picture).tobytes()


def refuse(picture: Path, *words: str) -> str:
    with pytest.raises(InputError) as caught:
        draw(picture.parent / "refused", "--from", str(picture), *words)
    assert not (picture.parent / "refused").exists()
    return str(caught.value)


@pytest.fixture
def photo(tmp_path: Path) -> str:
    pixels = np.random.default_rng(2).integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


def test_behind_a_text_comes_one_picture_alone(tmp_path: Path) -> None:
    draw(tmp_path, *SMALL, "--prompt", *TEXTS, "--style_text", "ink", "--seed", "5")
    first, second, third = (tmp_path / f"0{n}_{text.replace(' ', '_')}_ink.png" for n, text in enumerate(TEXTS, 1))
    assert come_back(second)
    said = refuse(third)
    assert "it was picture 2 behind the reference of its set" in said and "'a tree, ink' as the last" in said
    assert come_back(third, "--prompt", "a house, ink", "a tree, ink")
    assert "it is the reference of a set: give --prompt for pictures in its style" in refuse(first)
    draw(tmp_path / "more", "--from", str(first), "--prompt", "a house, ink")
    assert png_texts.read_identity(tmp_path / "more" / "reference.png") == png_texts.read_identity(first)
    assert png_texts.read_identity(tmp_path / "more" / "01_a_house_ink.png") == png_texts.read_identity(second)


def test_of_several_references_all_come_back(tmp_path: Path, photo: str) -> None:
    saved = str(tmp_path / "reference.safetensors")
    draw(tmp_path / "a", *SMALL, "--prompt", *TEXTS[:2], "--save_reference", saved)
    texts = ["--reference_prompt", "ink", "oil", "--reference_weights", "3", "1"]
    draw(tmp_path, *SMALL, "--prompt", "a hill", *texts, "--seed", "4")
    assert come_back(tmp_path / "01_a_hill.png")
    mixed = ["--reference", saved, "--reference_image", photo, "--reference_prompt", "noise", "--seed", "8"]
    draw(tmp_path, *SMALL, "--prompt", "a mill", "a lake", *mixed, "--reference_weights", "1", "2", "--overwrite")
    assert come_back(tmp_path / "02_a_lake.png"), "files do not count on"
    Path(saved).unlink()
    assert f"made with the reference '{saved}', which is not there" in refuse(tmp_path / "02_a_lake.png")


def test_a_set_that_is_one_batch_comes_back_whole(tmp_path: Path, photo: str) -> None:
    sharing = ["--preset", "full_attention", "--image", photo]
    draw(tmp_path, *SMALL, "--prompt", *TEXTS, *sharing)
    assert come_back(tmp_path / "03_a_tree.png")
