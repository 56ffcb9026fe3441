"""Token ids against transformers', for both ways to pad, and from the files that old and new versions write."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tokenizers

from jstyle.diffusion.prompts import find_words, token_ids
from jstyle.diffusion.tokenizer import load_tokenizer
from jstyle.errors import InputError
from tests.parity.networks import GOLDEN, golden

FLAVOURS = ["sd1", "sd2"]


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.filterwarnings("ignore:a prompt has more than")
def test_token_ids(flavour: str) -> None:
    recorded = golden(f"tokens_{flavour}")
    ids = token_ids(load_tokenizer(GOLDEN / f"tokenizer_{flavour}"), [str(text) for text in recorded["texts"]])
    for name, ours, theirs in zip(recorded["names"], ids, recorded["input_ids"]):
        assert np.array_equal(ours, theirs), name


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_version_of_transformers_reads_all_scripts_alike(flavour: str) -> None:
    """transformers 4 has other ids for most of these texts."""
    recorded = golden("tokens_scripts")
    texts = [str(text) for text in recorded["texts"]]
    for text, ours, theirs in zip(
        texts, token_ids(load_tokenizer(GOLDEN / f"tokenizer_{flavour}"), texts), recorded[flavour]
    ):
        assert np.array_equal(ours, theirs), text


def test_the_pad_token_is_the_files_own() -> None:
    ends = [token_ids(load_tokenizer(GOLDEN / f"tokenizer_{flavour}"), [""])[0, -1] for flavour in FLAVOURS]
    assert ends[0] != 0  # <|endoftext|>
    assert ends[1] == 0  # "!"


def test_what_a_long_prompt_loses_is_said() -> None:
    with pytest.warns(UserWarning, match="a prompt has more than 77 tokens"):
        token_ids(load_tokenizer(GOLDEN / "tokenizer_sd1"), ["a very long story " * 40])


def test_tokenizer_json_alone_is_enough(tmp_path: Path) -> None:
    """New versions of transformers write nothing else."""
    folder = GOLDEN / "diffusers_folder" / "tokenizer"
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(folder / name, tmp_path / name)
    text = ["a river at night"]
    assert np.array_equal(token_ids(load_tokenizer(tmp_path), text), token_ids(load_tokenizer(folder), text))


def test_the_library_that_jdiffusion_stands_on_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """tokenizers 0.13 has no tokens that know whether they are special, transformers 4.26 one way to list them."""
    folder, text = GOLDEN / "diffusers_folder" / "tokenizer", ["a river at night"]
    ids, added = token_ids(load_tokenizer(folder), text), tokenizers.AddedToken

    def add(content: str, *, single_word: bool, lstrip: bool, rstrip: bool, normalized: bool) -> Any:
        return added(content, single_word=single_word, lstrip=lstrip, rstrip=rstrip, normalized=normalized)

    monkeypatch.setattr(tokenizers, "AddedToken", add)
    assert np.array_equal(token_ids(load_tokenizer(folder), text), ids)
    assert find_words(SimpleNamespace(get_added_vocab=lambda: {"<a>": 5, "<b>": 6, "<a>_1": 7})) == {5: [5, 7]}


@pytest.mark.parametrize("name", ["vocab.json", "merges.txt"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(GOLDEN / "tokenizer_sd1", tmp_path / "tokenizer"))
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"{name} is missing"):
        load_tokenizer(folder)


def test_a_damaged_vocabulary_is_one_line(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(GOLDEN / "tokenizer_sd1", tmp_path / "tokenizer"))
    (folder / "vocab.json").write_text(json.dumps({"a": 0})[:-3])
    with pytest.raises(InputError, match="cannot be read") as caught:
        load_tokenizer(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("length", [None, 1e30, 100])
def test_a_tokenizer_without_a_length_has_the_text_encoders(tmp_path: Path, length: Any) -> None:
    folder = change(tmp_path, "tokenizer_config.json", {"model_max_length": length})
    assert token_ids(load_tokenizer(folder), ["a river"]).shape == (1, 77)
    assert token_ids(load_tokenizer(folder, 64), ["a river"]).shape == (1, 64)


def change(tmp_path: Path, file: str, changes: dict[str, Any]) -> Path:
    """A copy of a tokenizer with other values in one of its files; None takes them out."""
    folder = Path(shutil.copytree(GOLDEN / "diffusers_folder" / "tokenizer", tmp_path / "tokenizer"))
    content = {**json.loads((folder / file).read_text("utf-8")), **changes}
    (folder / file).write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
    if file in ("vocab.json", "merges.txt"):
        (folder / "tokenizer.json").unlink()
    return folder


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("vocab.json", {"a</w>": "5"}, "vocab.json: a token's id must be a whole number from 0 to"),
        ("vocab.json", {"a</w>": 10**9}, "vocab.json: a token's id must be a whole number from 0 to"),
        ("vocab.json", {"<|endoftext|>": None}, "the vocabulary lacks '<|startoftext|>' or '<|endoftext|>'"),
        ("tokenizer.json", {"model": None}, "tokenizer.json: model must hold a vocabulary and merges"),
        ("tokenizer.json", {"added_tokens": [5]}, "tokenizer.json: added_tokens must be a list of tokens"),
        ("tokenizer.json", {"added_tokens": [{"id": -1, "content": "a"}]}, "tokenizer.json: a token's id must be"),
        (
            "tokenizer_config.json",
            {"model_max_length": "77"},
            "model_max_length must be at least 3",
        ),
        (
            "tokenizer_config.json",
            {"model_max_length": 0},
            "model_max_length must be at least 3",
        ),
        (
            "tokenizer_config.json",
            {"added_tokens_decoder": {"0": 5}},
            "a token must be a text, not 5",
        ),
        ("special_tokens_map.json", {"pad_token": ["!"]}, "pad_token: a token must be a text, not ['!']"),
        (
            "special_tokens_map.json",
            {"pad_token": {"content": "!", "lstrip": 1}},
            "flags of a token must be",
        ),
    ],
)
def test_what_is_no_tokenizer_is_one_line(tmp_path: Path, file: str, changes: dict[str, Any], message: str) -> None:
    folder = change(tmp_path, file, changes)
    with pytest.raises(InputError) as caught:
        load_tokenizer(folder)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("lines", ["a", "a b c", "a \udc80", "a zzz"])
def test_merges_that_are_none_are_one_line(tmp_path: Path, lines: str) -> None:
    folder = Path(shutil.copytree(GOLDEN / "tokenizer_sd1", tmp_path / "tokenizer"))
    (folder / "merges.txt").write_bytes(f"#version: 0.2\n{lines}\n".encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError) as caught:
        load_tokenizer(folder)
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)
