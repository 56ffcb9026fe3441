"""Pictures of icons: what is sampled, said and drawn."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recipes.tiny.drawings import TECHNIQUES
from recipes.tiny.drawings.layers import FINE
from recipes.tiny.icons import (
    FAMILIES,
    GROUNDS,
    STYLES,
    IconScene,
    caption,
    is_held_out,
    read_nouns,
    render,
    sample_icon,
)
from recipes.tiny.icons.areas import find_areas, lay_out
from recipes.tiny.icons.cutouts import trim
from recipes.tiny.icons.grounds import choose_colour
from recipes.tiny.icons.placing import choose_place, put
from tests.recipes.tiny.cutouts import BLUE, GREEN, NOUNS, RED, draw_cutout, write_cutouts

CATALOGUE = {noun: STYLES for noun in read_nouns()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cutouts(tmp_path_factory.mktemp("icons") / "icons")


def sample(count: int, **options: object) -> list[IconScene]:
    rng = np.random.default_rng(3)
    return [sample_icon(rng, CATALOGUE, **options) for _ in range(count)]  # type: ignore[arg-type]


def test_no_word_is_of_two_icons() -> None:
    words = Counter(noun.word for nouns in read_nouns().values() for noun in nouns)
    assert [word for word, count in words.items() if count > 1] == []
    assert all(word == word.strip().lower() for word in words)


def test_things_have_their_article() -> None:
    nouns = {noun.word: noun.thing for several in read_nouns().values() for noun in several}
    assert [nouns[word] for word in ("apple", "milk", "scissors", "unicorn", "hourglass", "glass of milk")] == [
        "an apple",
        "milk",
        "scissors",
        "a unicorn",
        "an hourglass",
        "a glass of milk",
    ]


def test_a_tenth_of_the_pairs_is_held_out_and_never_sampled() -> None:
    pairs = [(noun, style) for noun in CATALOGUE for style in (*STYLES, *TECHNIQUES)]
    share = np.mean([is_held_out(*pair) for pair in pairs])
    assert abs(share - 0.1) < 4 * np.sqrt(0.09 / len(pairs))
    seen = sample(2000)
    assert not any(is_held_out(scene.noun, scene.style) for scene in seen)
    assert all(is_held_out(scene.noun, scene.style) for scene in sample(100, unseen=True))
    assert {scene.style for scene in seen} == {*STYLES, *TECHNIQUES} and {scene.ground for scene in seen} == {*GROUNDS}
    assert abs(np.mean([scene.technique is not None for scene in seen]) - 0.25) < 0.04


def test_only_icons_of_even_areas_are_drawn_anew() -> None:
    flat = {family.name for family in FAMILIES if family.flat}
    assert {scene.family for scene in sample(500) if scene.technique} == flat


def test_captions_say_what_is_there() -> None:
    rng = np.random.default_rng(0)
    scene = IconScene("red-apple", "glossy 3d", None, "snow", 1)
    said = [caption(scene, rng) for _ in range(400)]
    assert all("apple" in text for text in said)
    assert all("3d" in text for text in said if "glossy" in text)
    assert 0.02 < np.mean(["3d" not in text for text in said]) < 0.15
    assert 0.75 < np.mean(["in the snow" in text for text in said]) < 0.95
    assert any(text.startswith("an apple") for text in said) and not any("a apple" in text for text in said)
    drawn = IconScene("glass-of-milk", "flat icon", "woodcut", "plain", 1)
    assert all("milk" in text for text in (caption(drawn, rng) for _ in range(20)))
    assert any(text.startswith("a woodcut print of milk") for text in (caption(drawn, rng) for _ in range(400)))


@pytest.mark.parametrize("changes", [{"family": "soft"}, {"technique": "etching"}, {"ground": "moon"}])
def test_unknown_words_are_refused(changes: dict[str, str]) -> None:
    words = {"noun": "ant", "family": "flat icon", "technique": None, "ground": "plain", "seed": 0}
    with pytest.raises(ValueError, match=f"no {next(iter(changes))} "):
        IconScene(**{**words, **changes})  # type: ignore[arg-type]


def test_the_same_scene_is_the_same_picture_in_another_process(folder: Path, tmp_path: Path) -> None:
    scenes = [IconScene("ant", "twemoji icon", None, "sea", 7), IconScene("ant", "flat icon", "oil", "sea", 7)]
    code = (
        "import sys, numpy as np; from pathlib import Path; from recipes.tiny.icons import IconScene, render\n"
        f"scenes = {scenes!r}\n"
        "np.save(sys.argv[2], [render(scene, Path(sys.argv[1]), 64) for scene in scenes])"
    )
    saved = str(tmp_path / "found.npy")
    subprocess.run([sys.executable, "-c", code, folder, saved], check=True, env={**os.environ, "PYTHONHASHSEED": "12"})
    np.testing.assert_array_equal(np.load(saved), [render(scene, folder, 64) for scene in scenes])


@pytest.mark.parametrize("technique", [None, *TECHNIQUES])
def test_every_ground_and_technique_shows_the_icon(technique: str, folder: Path) -> None:
    """The ground alone, with an icon that is nowhere, is another picture."""
    for i, ground in enumerate(ground for ground in GROUNDS if not (technique and ground == "shaded")):
        picture = render(IconScene(NOUNS[i % len(NOUNS)], "flat icon", technique, ground, i), folder, 64)
        assert picture.shape == (64, 64, 3) and picture.dtype == np.uint8
        assert np.ptp(picture) > 60


@pytest.mark.parametrize("size", [0, 16, 100])
def test_other_sizes_are_refused(size: int, folder: Path) -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        render(IconScene("ant", "flat icon", None, "plain", 0), folder, size)


def test_icons_are_large_whole_and_upright() -> None:
    for seed in range(60):
        cutout = draw_cutout(*((200, 70), (120, 120), (60, 200))[seed % 3])
        scene = IconScene("ant", "flat icon", None, GROUNDS[seed % len(GROUNDS)], seed)
        placed = put(cutout, choose_place(scene, cutout.width / cutout.height), 128)
        alpha = np.asarray(placed)[..., 3] > 0
        rows, columns = np.nonzero(alpha.any(1))[0], np.nonzero(alpha.any(0))[0]
        assert rows[0] > 0 and rows[-1] < 127 and columns[0] > 0 and columns[-1] < 127
        assert 0.5 < max(np.ptp(rows), np.ptp(columns)) / 128 < 0.95
        red, green, blue = (find_middle(placed, colour) for colour in (RED, GREEN, BLUE))
        assert red[0] < min(green[0], blue[0]) and green[1] < blue[1]


def find_middle(placed: Image.Image, colour: tuple[int, int, int]) -> np.ndarray:
    """y and x of the middle of what has this colour."""
    pixels = np.asarray(placed).astype(int)
    return np.argwhere((np.abs(pixels[..., :3] - colour).sum(-1) < 12) & (pixels[..., 3] > 250)).mean(0)


def test_a_colour_is_chosen_on_which_the_icon_is_seen() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        edge = np.clip(rng.random(3) + 0.02 * rng.standard_normal((50, 3)), 0, 1)
        assert (np.linalg.norm(edge - choose_colour(rng, edge, False), axis=1) > 0.2).mean() > 0.8
        assert choose_colour(rng, np.zeros((50, 3)), True) @ (0.299, 0.587, 0.114) > 0.6


def test_black_ink_is_on_light_grounds(folder: Path) -> None:
    for i, ground in enumerate(GROUNDS):
        picture = render(IconScene("ant", "black ink icon", None, ground, i), folder, 64)
        corner = np.concatenate([picture[:4].reshape(-1, 3), picture[:, :4].reshape(-1, 3)]) / 255
        assert np.median(corner @ (0.299, 0.587, 0.114)) > 0.5, ground


def test_areas_are_the_icons_colours_without_rims() -> None:
    soft = draw_cutout(300, 300).resize((150, 150), Image.Resampling.BILINEAR).rotate(7, Image.Resampling.BICUBIC)
    placed = Image.new("RGBA", (384, 384))
    placed.paste(soft.resize((300, 300), Image.Resampling.BICUBIC), (40, 40))
    numbers, colours = find_areas(placed)
    inside = np.asarray(placed)[..., 3] > 127
    assert ((numbers != 255) == inside).all()
    gaps = np.linalg.norm(colours[:, None] - np.array([RED, GREEN, BLUE]) / 255, axis=2)
    assert (gaps.min(1)[numbers[inside]] < 0.12).mean() > 0.999  # the blended rims are 0.7% of it
    assert {int(gaps[:, i].argmin()) for i in range(3)} <= set(np.unique(numbers[inside]))


def test_the_areas_lie_between_what_is_behind_and_before() -> None:
    scene = IconScene("ant", "flat icon", "poster", "field", 2)
    placed = put(draw_cutout(), choose_place(scene, 0.6), FINE * 64)
    layers = lay_out(scene, placed)
    numbers = np.nonzero(layers.is_object)[0]
    assert numbers[0] > 0 and numbers[-1] < len(layers.colours) - 1 and (np.diff(numbers) == 1).all()
    assert layers.labels.max() < len(layers.colours) and layers.size == 64
    assert layers.inside.sum() > 0.8 * (np.asarray(placed)[..., 3] > 127).sum()


def test_a_cutout_is_trimmed_to_what_is_drawn() -> None:
    framed = Image.new("RGBA", (300, 300))
    framed.paste(draw_cutout(), (70, 41))
    assert trim(framed).size == draw_cutout().size
