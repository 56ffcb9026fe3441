"""Token ids against transformers', for both ways to pad, and from the files that old and new versions write."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from jstyle.diffusion.prompts import load_tokenizer, token_ids
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
