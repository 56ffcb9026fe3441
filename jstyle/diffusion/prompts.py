"""From prompts to what the UNet's cross-attention reads."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from itertools import count, takewhile
from typing import Any

import numpy as np

from jstyle.errors import InputError, InputWarning
from jstyle.networks import CLIPTextModel, Condition
from jstyle.runtime import jt
from jstyle.settings.messages import show

_SHOWN = 100  # characters of what is not read
_NOTED = "jstyle_words"  # an attribute of a tokenizer

Span = tuple[int, int]
"""Characters of a text, from the first to the one behind the last."""


def token_ids(tokenizer: Any, prompts: Sequence[str]) -> np.ndarray:
    """The ids of the prompts, (prompts, model_max_length) int32, padded with the token that the tokenizer's files name.

    A word of several vectors becomes the tokens of all, see ``find_words``. A prompt that is too long is cut, with a
    warning that shows what was lost.
    """
    length, words = tokenizer.model_max_length, find_words(tokenizer)
    rows = []
    for prompt in prompts:
        ids = [token for first in tokenizer(prompt, verbose=False).input_ids for token in words.get(first, (first,))]
        if len(ids) > length:
            warn_of_lost(tokenizer, ids[length - 1 : -1])
            ids = [*ids[: length - 1], ids[-1]]
        rows.append(ids + [tokenizer.pad_token_id] * (length - len(ids)))
    return np.asarray(rows, np.int32)


def warn_of_lost(tokenizer: Any, ids: Sequence[int]) -> None:
    """Say which tokens of a prompt that is too long are not read."""
    lost = tokenizer.decode(ids)
    shown = repr(lost[:_SHOWN]) + (f" and {len(lost) - _SHOWN} more characters" if len(lost) > _SHOWN else "")
    line = f"a prompt has more than {tokenizer.model_max_length} tokens; this part is not read: {shown}"
    warnings.warn(line, InputWarning, stacklevel=3)


def locate_tokens(tokenizer: Any, prompt: str) -> tuple[list[int], list[Span]]:
    """The ids of a prompt as `token_ids` gives them, both ends but no padding, and which characters each was read from.

    The ends were read from none, a span of length 0.
    """
    length, words = tokenizer.model_max_length, find_words(tokenizer)
    read = tokenizer(prompt, return_offsets_mapping=True, verbose=False)
    located = [
        (token, span)
        for first, span in zip(read.input_ids, read.offset_mapping)
        for token in words.get(first, (first,))
    ]
    if len(located) > length:
        located = [*located[: length - 1], located[-1]]
    return [token for token, _ in located], [(start, stop) for _, (start, stop) in located]


def find_words(tokenizer: Any) -> Mapping[int, Sequence[int]]:
    """The tokenizer's words of several vectors: the first token's id, and the ids of all.

    Those that were learnt here are noted, see ``note_words``. Those in the files of a tokenizer that diffusers has
    saved are known by their names alone: ``<a>``, ``<a>_1``, ``<a>_2``, ...
    """
    noted = getattr(tokenizer, _NOTED, None)
    if noted is not None:
        return noted
    added, words = tokenizer.get_added_vocab(), {}
    for token, first in added.items():
        more = [added[name] for name in takewhile(added.__contains__, (f"{token}_{i}" for i in count(1)))]
        if more:
            words[first] = [first, *more]
    return words


def note_words(tokenizer: Any, words: Mapping[int, Sequence[int]]) -> None:
    """Have the tokenizer's words of several vectors be these."""
    setattr(tokenizer, _NOTED, dict(words))


def encode(
    tokenizer: Any, text_encoder: CLIPTextModel, prompts: Sequence[str], skip: int = 0, penultimate: bool = False
) -> Condition:
    """What a text encoder makes of the prompts, in its own length; the rest as of `encode_ids`."""
    return encode_ids(text_encoder, token_ids(tokenizer, prompts), skip, penultimate)


def encode_ids(text_encoder: CLIPTextModel, ids: np.ndarray, skip: int = 0, penultimate: bool = False) -> Condition:
    """What a text encoder makes of token ids (texts, tokens), without its last ``skip`` layers.

    The text is (texts, tokens, hidden_size): after the last norm, or, as SDXL reads it, ``penultimate``: what comes out
    of the layer before the last one that runs, not normed. A text encoder with a projection gives a vector of each
    text besides. Gradients pass where they are asked for. Raises InputError for more layers than there are.
    """
    layers = text_encoder.config.num_hidden_layers
    most = layers - 1 if penultimate else layers
    if isinstance(skip, bool) or not isinstance(skip, int) or not 0 <= skip <= most:
        raise InputError(f"clip_skip must be a whole number from 0 to {most}, not {show(skip)}")
    output = text_encoder(jt.array(ids), output_hidden_states=penultimate or skip > 0)
    if penultimate:
        text = output.hidden_states[-2 - skip]
    elif skip:
        text = text_encoder.text_model.final_layer_norm(output.hidden_states[-1 - skip])
    else:
        text = output.last_hidden_state
    return Condition(text, getattr(output, "text_embeds", None))
