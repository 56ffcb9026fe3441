"""The tokenizer's files are read by transformers, and say every text."""

from __future__ import annotations

from pathlib import Path

import pytest

from jstyle.diffusion import prompts
from jstyle.diffusion.tokenizer import load_tokenizer
from recipes.tiny import pictures, tokenizer
from recipes.tiny.settings import PictureSettings


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory):
    scenes = pictures.scenes(PictureSettings(count=500), Path())
    folder = tmp_path_factory.mktemp("words") / "tokenizer"
    tokenizer.train(pictures.write_captions(scenes, 0, 0), 900, folder)
    assert sorted(file.name for file in folder.iterdir()) == [
        "merges.txt",
        "special_tokens_map.json",
        "tokenizer_config.json",
        "vocab.json",
    ]
    return load_tokenizer(folder)


@pytest.mark.parametrize("text", ["a red house by the sea, watercolour", "zebra & naïve 汉字 42?", "it's a poster"])
def test_it_says_every_text(text: str, words) -> None:
    ids = words(text).input_ids
    assert ids[0] == words.bos_token_id and ids[-1] == words.eos_token_id
    said = words.decode(ids, skip_special_tokens=True)
    assert said.replace(" ", "") == text.replace(" ", "")


def test_the_captions_words_are_one_token_each(words) -> None:
    for word in ("house", "watercolour", "mushroom", "stained", "glass", "background"):
        assert len(words(word).input_ids) == 3, word


def test_what_ends_a_word_is_another_token(words) -> None:
    assert words("a b").input_ids != words("ab").input_ids


def test_it_pads_as_stable_diffusion_2_does(words, tmp_path: Path) -> None:
    assert len(words) <= 900
    ids = prompts.token_ids(words, ["a red house"])
    assert ids.shape == (1, 77)
    assert (ids[0, 6:] == 0).all() and words.convert_ids_to_tokens(0) == "!"
