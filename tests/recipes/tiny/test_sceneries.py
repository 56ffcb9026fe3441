"""Sceneries: each place in each technique, the same each time, and words that say it."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from recipes.tiny.drawings import TECHNIQUES
from recipes.tiny.sceneries import SCENERIES, Scenery, caption, is_held_out, render, sample_scenery
from recipes.tiny.sceneries.scenery import WORDS


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_every_place_is_drawn_in_every_technique(technique: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for i, place in enumerate(SCENERIES):
            picture = render(Scenery(place, technique, i), 64)
            assert picture.shape == (64, 64, 3) and picture.dtype == np.uint8 and np.ptp(picture) > 40
            np.testing.assert_array_equal(render(Scenery(place, technique, i), 64), picture)


def test_places_look_different_and_seeds_vary_them() -> None:
    shown = {place: np.stack([render(Scenery(place, "poster", i), 32) for i in range(3)]) for place in SCENERIES}
    middles = {place: np.float64(pictures).mean(0) for place, pictures in shown.items()}
    for one in SCENERIES:
        assert len(np.unique(shown[one].reshape(3, -1), axis=0)) == 3, one
        assert all(np.abs(middles[one] - middles[other]).mean() > 8 for other in SCENERIES if other != one), one


def test_held_out_pairs_are_not_sampled_and_all_others_are() -> None:
    rng = np.random.default_rng(0)
    seen = {(scene.place, scene.technique) for scene in (sample_scenery(rng) for _ in range(4000))}
    assert seen == {(p, t) for p in SCENERIES for t in TECHNIQUES if not is_held_out(p, t)}
    assert {place for place, _ in seen} == set(SCENERIES) and {technique for _, technique in seen} == set(TECHNIQUES)


def test_captions_name_the_place() -> None:
    rng = np.random.default_rng(0)
    for place in SCENERIES:
        said = [caption(Scenery(place, "woodcut", 0), rng) for _ in range(60)]
        words = [word.split(" ", 1)[-1] for word in WORDS[place]]
        assert all(any(word in text for word in words) for text in said), place
        assert 0 < sum("woodcut" not in text for text in said) < 20


def test_unknown_words_are_refused() -> None:
    with pytest.raises(ValueError, match="no place 'moon'"):
        Scenery("moon", "oil", 0)
