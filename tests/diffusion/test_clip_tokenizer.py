"""The tokenizer as scripts call it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import jstyle
from jstyle.diffusion.prompts import token_ids
from jstyle.errors import InputError
from jstyle.runtime import jt
from tests.parity.networks import GOLDEN

TEXTS = ["a cat", "a very long story " * 30]


@pytest.mark.parametrize(("name", "kind"), [("pt", jt.Var), ("np", np.ndarray)])
def test_ids_come_as_arrays_of_the_kind_asked_for(name: str, kind: type) -> None:
    tokenizer = jstyle.CLIPTokenizer.from_pretrained(GOLDEN / "tokenizer_sd1")
    settings = {"padding": "max_length", "truncation": True, "max_length": tokenizer.model_max_length}
    encoded = tokenizer(TEXTS, return_tensors=name, **settings)
    assert isinstance(encoded.input_ids, kind) and isinstance(encoded["attention_mask"], kind)
    with pytest.warns(match="more than 77 tokens"):
        expected = token_ids(tokenizer, TEXTS)
    np.testing.assert_array_equal(np.asarray(encoded.input_ids), expected)
    padded = tokenizer.pad(
        {"input_ids": tokenizer(TEXTS[:1]).input_ids}, padding="max_length", max_length=77, return_tensors=name
    )
    np.testing.assert_array_equal(np.asarray(padded.input_ids), expected[:1])


def test_a_saved_tokenizer_reads_alike_and_a_wrong_place_is_named(tmp_path: Path) -> None:
    tokenizer = jstyle.CLIPTokenizer.from_pretrained("tiny", subfolder="tokenizer")
    tokenizer.save_pretrained(tmp_path)
    again = jstyle.CLIPTokenizer.from_pretrained(tmp_path)
    assert again("a house by the sea").input_ids == tokenizer("a house by the sea").input_ids
    with pytest.raises(InputError, match="the folder unet has no tokenizer_config.json; name its place"):
        jstyle.CLIPTokenizer.from_pretrained("tiny", subfolder="unet")
