"""The drawings: the same each time, each technique and each object like no other, captions that say what is there."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recipes.tiny import drawings
from recipes.tiny.drawings import (
    COLOURS,
    MONOCHROME,
    OBJECTS,
    PLACES,
    SETTINGS,
    TECHNIQUES,
    WORKS,
    Scene,
    caption,
    draw_mask,
    is_held_out,
    render,
    sample_scene,
)

PAIRS = list(itertools.product(OBJECTS, TECHNIQUES))


def test_the_same_scene_is_the_same_picture_in_another_process(tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    command = [sys.executable, "-m", "recipes.tiny.drawings", "--size", "32", "--seed", "5", "--output", str(path)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": "12"})
    np.testing.assert_array_equal(np.asarray(Image.open(path)), drawings.draw_sheet(seed=5, size=32))


def test_drawing_another_scene_first_changes_nothing() -> None:
    scene = Scene("boat", "green", "sea", "oil", 7)
    first = render(scene, 64)
    for technique in TECHNIQUES:
        render(Scene("cat", "red", "night", technique, 8), 64)
    np.testing.assert_array_equal(render(scene, 64), first)


def test_the_modules_need_no_jittor() -> None:
    code = "import sys; sys.argv[0] = '-m'; import recipes.tiny.drawings; assert 'jittor' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_every_object_and_setting_is_drawn_in_every_technique(technique: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for i, (name, setting) in enumerate(itertools.product(OBJECTS, SETTINGS)):
            picture = render(Scene(name, COLOURS[i % len(COLOURS)], setting, technique, i), 32)
            assert picture.shape == (32, 32, 3) and picture.dtype == np.uint8
            assert np.ptp(picture) > 60


@pytest.mark.parametrize("size", [96, 160])
def test_a_larger_picture_shows_the_same(size: int) -> None:
    scene = Scene("house", "red", "field", "poster", 3)
    reduced = Image.fromarray(render(scene, size)).resize((32, 32), Image.Resampling.BOX)
    gap = np.asarray(reduced, float) - np.asarray(Image.fromarray(render(scene, 128)).reduce(4), float)
    assert np.abs(gap).mean() < 6


@pytest.mark.parametrize("size", [0, 16, 100])
def test_other_sizes_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        render(Scene("house", "red", "field", "poster", 3), size)


def test_unknown_words_are_refused() -> None:
    with pytest.raises(ValueError, match="no colour 'beige'"):
        Scene("house", "beige", "field", "poster", 3)


def test_seeds_give_other_layouts_and_techniques_keep_them() -> None:
    scenes = [Scene("duck", "blue", "snow", "mosaic", seed) for seed in range(50)]
    assert len({scene.layout for scene in scenes}) == 50
    assert all(scene.redraw("neon").layout == scene.layout for scene in scenes)
    np.testing.assert_array_equal(draw_mask(scenes[0]), draw_mask(scenes[0].redraw("neon")))


@pytest.mark.parametrize("name", OBJECTS)
def test_objects_are_large_and_within_the_picture(name: str) -> None:
    for seed in range(20):
        mask = draw_mask(Scene(name, "red", "plain", "poster", seed)) > 0.5
        rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
        assert 0.45 < max(np.ptp(rows), np.ptp(columns)) / 128 < 0.92
        assert columns[0] > 0 and columns[-1] < 127 and rows[0] > 0 and rows[-1] < 127


def test_silhouettes_differ() -> None:
    shapes = {name: [_centred(name, seed) for seed in range(4)] for name in OBJECTS}
    for one, other in itertools.combinations(OBJECTS, 2):
        overlaps = [(a & b).sum() / (a | b).sum() for a in shapes[one] for b in shapes[other]]
        assert np.mean(overlaps) < 0.72, (one, other)


def _centred(name: str, seed: int) -> np.ndarray:
    """The object's silhouette, its longer side 64 pixels, in the middle."""
    mask = draw_mask(Scene(name, "red", "plain", "poster", seed)) > 0.5
    box = Image.fromarray(mask).getbbox()
    assert box is not None
    scale = 64 / max(box[2] - box[0], box[3] - box[1])
    wide, high = round((box[2] - box[0]) * scale), round((box[3] - box[1]) * scale)
    shape = Image.new("L", (64, 64))
    cut = Image.fromarray((mask * 255).astype(np.uint8)).crop(box).resize((wide, high))
    shape.paste(cut, ((64 - wide) // 2, (64 - high) // 2))
    return np.asarray(shape) > 127


def test_techniques_are_told_apart_by_colours_and_gradients() -> None:
    """By the nearest centre, as scenes of one technique vary (Mahalanobis)."""
    rng = np.random.default_rng(0)
    known = np.array([[_features(sample_scene(rng, technique=t)) for _ in range(25)] for t in TECHNIQUES])
    within = np.mean([np.cov(one.T) for one in known], axis=0)
    whitened = np.linalg.inv(np.linalg.cholesky(within + 1e-3 * np.diag(np.diag(within)))).T
    seen = np.array([[_features(sample_scene(rng, technique=t)) for _ in range(8)] for t in TECHNIQUES])
    gap = (seen @ whitened)[:, :, None] - known.mean(1) @ whitened
    right = (gap**2).sum(-1).argmin(-1) == np.arange(len(TECHNIQUES))[:, None]
    assert right.mean() >= 0.95 and right.mean(1).min() >= 0.7


def _features(scene: Scene) -> np.ndarray:
    """Means, deviations, extremes of colours, and how strong gradients are over one, two and eight pixels."""
    picture = render(scene).astype(np.float32) / 255
    grey, colour = picture.mean(-1), np.ptp(picture, axis=-1)
    steps = [np.abs(grey[:, k:] - grey[:, :-k]).mean() for k in (1, 2, 4, 8)]
    steps += [np.abs(grey[k:] - grey[:-k]).mean() for k in (1, 2, 4, 8)]
    levels = [*np.quantile(grey, (0.05, 0.25, 0.5, 0.75, 0.95)), *np.quantile(colour, (0.25, 0.5, 0.75))]
    even = [(np.abs(np.diff(grey)) < 1 / 255).mean(), grey[:3].mean(), grey[:3].std(), grey.std()]
    return np.array([*picture.mean((0, 1)), *steps, *levels, *even, colour.mean(), colour.std()])


def test_one_pair_in_ten_is_held_out_and_every_word_is_among_them() -> None:
    kept = [pair for pair in PAIRS if is_held_out(*pair)]
    assert 0.08 < len(kept) / len(PAIRS) < 0.12
    assert {name for name, _ in kept} == set(OBJECTS)
    assert {technique for _, technique in kept} == set(TECHNIQUES)


def test_training_never_sees_held_out_pairs() -> None:
    rng = np.random.default_rng(1)
    seen = {(s.object, s.technique) for s in (sample_scene(rng) for _ in range(3000))}
    unseen = {(s.object, s.technique) for s in (sample_scene(rng, unseen=True) for _ in range(400))}
    assert seen == {pair for pair in PAIRS if not is_held_out(*pair)}
    assert unseen == {pair for pair in PAIRS if is_held_out(*pair)}


def test_given_words_are_kept() -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        scene = sample_scene(rng, object="cat", colour="white", setting="snow")
        assert (scene.object, scene.colour, scene.setting) == ("cat", "white", "snow")
    pair = next(pair for pair in PAIRS if is_held_out(*pair))
    with pytest.raises(ValueError, match="in training"):
        sample_scene(rng, object=pair[0], technique=pair[1])


def test_captions_name_what_is_there_and_nothing_else() -> None:
    rng = np.random.default_rng(3)
    said = {"colour": 0, "setting": 0}
    for _ in range(1000):
        scene = sample_scene(rng)
        text = caption(scene, rng)
        words = f" {text} ".replace(",", "")
        assert scene.object in text
        assert scene.technique in text or any(work in text for work in WORKS[scene.technique])
        assert {c for c in COLOURS if f" {c} " in words} <= {scene.colour}
        assert {s for s in SETTINGS if PLACES[s] in text} <= {scene.setting}
        assert scene.technique not in MONOCHROME or scene.colour not in text
        said["colour"] += scene.colour in text
        said["setting"] += PLACES[scene.setting] in text
    assert 700 < said["colour"] < 900 and 700 < said["setting"] < 900


def test_captions_come_in_several_forms() -> None:
    scene, rng = Scene("star", "orange", "sea", "watercolour", 0), np.random.default_rng(4)
    texts = {caption(scene, rng) for _ in range(200)}
    assert {"an orange star by the sea, watercolour", "a watercolour of an orange star by the sea"} <= texts
    assert len(texts) > 20
