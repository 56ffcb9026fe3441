"""Words that the embedded model was not taught are told, once, and no others."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from jstyle.errors import InputError, InputWarning
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.weights.hub import locate
from jstyle.weights.known_words import describe_unknown_words, read_words
from recipes.tiny.drawings import COLOURS, MONOCHROME, OBJECTS, SETTINGS, TECHNIQUES, caption, sample_scene


def test_the_list_holds_what_captions_say() -> None:
    known = read_words(locate("tiny"))
    assert known is not None
    rng = np.random.default_rng(5)
    captions = [caption(sample_scene(rng), rng) for _ in range(300)]
    names = [" ".join(map(str, names)) for names in (OBJECTS, COLOURS, MONOCHROME, SETTINGS, TECHNIQUES)]
    assert describe_unknown_words(captions, known) == ""
    assert "zebra" not in known and len(names) == 5


def test_unknown_words_are_named() -> None:
    known = {"a", "red", "house"}
    assert describe_unknown_words(["A Red house, 3 houses!"], known) == (
        "the model was not taught the words houses: they are drawn as anything"
    )
    assert describe_unknown_words(["a <ink_2> house"], known, ["<ink_2>"]) == ""
    assert "..." in describe_unknown_words(["b c d e f g h i j"], known)


def test_a_list_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    assert read_words(tmp_path) is None
    (tmp_path / "words.txt").write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"words.txt cannot be read"):
        read_words(tmp_path)


def test_a_pipeline_warns_of_what_its_model_does_not_know() -> None:
    pipe = StableDiffusionPipeline.from_pretrained("tiny")
    with pytest.warns(InputWarning, match="not taught the words zebra:"):
        pipe.denoiser("a zebra by the sea")
    pipe.vocabulary.learn("zebra", np.zeros((1, pipe.text_encoder.config.hidden_size), np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipe.denoiser(["a zebra by the sea", "a red house, watercolour"])
