"""From prompts to what the UNet's cross-attention reads."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from itertools import count, takewhile
from typing import Any

import numpy as np

from jstyle.errors import InputWarning
from jstyle.networks import CLIPTextModel
from jstyle.runtime import jt


def token_ids(tokenizer: Any, prompts: Sequence[str]) -> np.ndarray:
    """The ids of the prompts, (prompts, model_max_length) int32, padded with the token that the tokenizer's files name.

    A prompt that is too long is cut, with a warning that shows what was lost. Learnt words are first written out, see
    ``write_out_words``.
    """
    length = tokenizer.model_max_length
    prompts = [write_out_words(tokenizer, prompt) for prompt in prompts]
    for prompt in prompts:
        ids = tokenizer(prompt, verbose=False).input_ids
        if len(ids) > length:
            lost = tokenizer.decode(ids[length - 1 : -1])
            line = f"a prompt has more than {length} tokens; this part is not read: {lost!r}"
            warnings.warn(line, InputWarning, stacklevel=2)
    batch = tokenizer(list(prompts), padding="max_length", truncation=True, max_length=length)
    return np.asarray(batch.input_ids, np.int32)


def write_out_words(tokenizer: Any, prompt: str) -> str:
    """The prompt with each added token ``<a>`` followed by its ``<a>_1``, ``<a>_2``, ..., if any, as in diffusers."""
    added = tokenizer.added_tokens_encoder
    for token in [name for name in added if f"{name}_1" in added and name in prompt]:
        numbered = (f"{token}_{i}" for i in count(1))
        word = " ".join([token, *takewhile(added.__contains__, numbered)])
        prompt = re.sub(re.escape(token) + r"(?!_\d)", lambda _, word=word: word, prompt)
    return prompt


def encode(tokenizer: Any, text_encoder: CLIPTextModel, prompts: Sequence[str]) -> jt.Var:
    """What the UNet reads of the prompts, (prompts, tokens, hidden_size)."""
    with jt.no_grad():
        return text_encoder(jt.array(token_ids(tokenizer, prompts)))
