"""Pictures, captions and batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jstyle import StableDiffusionPipeline
from jstyle.errors import InputError
from jstyle.events import exhaust
from jstyle.pictures import images
from jstyle.runtime import jt
from jstyle.training.teaching import captioned, examples, tuning
from jstyle.training.teaching.lora.settings import LoraSettings
from jstyle.training.teaching.textual_inversion import train as textual_inversion
from jstyle.training.teaching.textual_inversion.settings import TextualInversionSettings
from tests.training.teaching.small import GOLDEN, pictures, settings


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(str(GOLDEN / "diffusers_folder"))


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("wheat_field.png", "wheat field"),
        ("Tree_.PNG", "tree"),
        ("IMG-0042 (1).jpg", "img 0042 1"),
        ("Café.webp", "café"),
    ],
)
def test_a_files_name_in_words(file: str, name: str) -> None:
    assert examples.name_in_words(Path("x.y") / file) == name


def test_a_text_beside_a_picture_goes_before_its_name(tmp_path: Path) -> None:
    files = images.find_images([pictures(tmp_path)])
    assert examples.read_names(files) == ["old house", "a cone of ice cream", "wheat field"]
    (tmp_path / "ice-cream.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"ice-cream.txt is not UTF-8"):
        examples.read_names(files)


def test_captions_of_a_new_word() -> None:
    def said(**changes: object) -> list:
        given = TextualInversionSettings(**{"data": (Path("."),), "output": Path("."), "token": "<ink>", **changes})  # type: ignore[arg-type]
        return textual_inversion.draw_captions(given, ["wheat field", "old house"], 3)

    assert said(captions="name") == ["a wheat field in the style of <ink>", "an old house in the style of <ink>"]
    assert said(prompt="{token} {name}") == ["<ink> wheat field", "<ink> old house"]
    assert all("<ink>" in one and "wheat" not in one for one in said() + said(kind="object"))
    assert said() == said() and len({tuple(said(kind=kind)) for kind in ("style", "object")}) == 2
    with pytest.raises(InputError, match="in braces may stand name, article, token"):
        said(prompt="{token} {nmae}")


def test_posteriors_are_what_the_vae_says(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    files = images.find_images([pictures(tmp_path)])
    opened = [images.open_image(file) for file in files]
    moments = examples.encode_moments(pipe, [images.fit(one, 32, 24) for one in opened], flip=True)
    assert moments.mean.shape == (6, 4, 6, 8)
    mirrored = [
        images.fit(picture, 32, 24).transpose(Image.Transpose.FLIP_LEFT_RIGHT) for picture in opened
    ]  # after cropping
    wanted = pipe.encode_images(jt.array(images.to_array(mirrored))).numpy()
    assert np.allclose(moments.mean[3:], wanted, atol=1e-6)
    draws = np.stack([moments.draw(np.array([1]), np.random.default_rng(i)) for i in range(400)])[:, 0]
    assert np.abs(draws.mean(axis=0) - moments.mean[1]).max() < 0.3 * moments.deviation[1].max()
    assert np.allclose(draws.std(axis=0).mean(), moments.deviation[1].mean(), rtol=0.05)


def test_every_epoch_shows_each_picture_once_and_flips_half(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    given = settings("lora", pictures(tmp_path), tmp_path, batch=1)
    shown = tuning.encode_pictures(pipe, given, images.find_images(given.data))
    shown.moments.deviation[:] = 0
    which, mirrored = [], []
    for index in range(300):
        (one,), latent = tuning.draw_batch(shown, given, index)
        which.append(one)
        ends = [np.abs(latent[0] - shown.moments.mean[i]).max() for i in (one, one + 3)]
        assert min(ends) == 0
        mirrored.append(ends[1] == 0)
    assert all(sorted(which[i : i + 3]) == [0, 1, 2] for i in range(0, 300, 3))
    assert 0.4 < np.mean(mirrored) < 0.6


def test_the_class_counts_as_it_should(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    """A mean over both halves, so weighted, is the sum of the means."""
    given = settings("dreambooth", pictures(tmp_path / "data"), tmp_path / "out")
    batch = exhaust(captioned.prepare_lessons(pipe, given)).make_batch(0)
    assert batch.latents.shape == (4, 4, 8, 8) and list(batch.captions[2:]) == ["a painting"] * 2
    errors = np.array([1.0, 3.0, 10.0, 20.0])
    assert np.isclose((errors * batch.weights).mean(), errors[:2].mean() + 0.5 * errors[2:].mean())


def test_captions_are_left_out_as_often_as_asked(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    given = settings("lora", pictures(tmp_path), tmp_path, caption_dropout=0.3)
    taught = exhaust(captioned.prepare_lessons(pipe, given))
    said = [caption for index in range(200) for caption in taught.make_batch(index).captions]
    assert 0.25 < np.mean([caption == "" for caption in said]) < 0.35
    assert set(said) - {""} == {"old house in s7", "wheat field in s7", "a cone of ice cream in s7"}


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        (TextualInversionSettings, {"vectors": 0}, "vectors must be from 1 to 70"),
        (TextualInversionSettings, {"prompt": "a painting"}, r"must contain \{token\}"),
        (LoraSettings, {"rank": 0}, "rank must be from 1 to 100000"),
        (LoraSettings, {"dropout": 1.0}, "dropout must be from 0 to below 1"),
        (LoraSettings, {"caption_dropout": 1.5}, "caption_dropout must be from 0 to 1"),
        (LoraSettings, {"batch": 0}, "batch must be from 1 to 100000"),
        (LoraSettings, {"data": ()}, "data must name"),
    ],
)
def test_settings_that_make_no_sense(kind: type, changes: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        kind(**{"data": (Path("."),), "output": Path("."), **changes})
