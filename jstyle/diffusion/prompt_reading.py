"""Prompts as `PromptSettings` want them read: with weights, and in as many chunks as they need.

Both are A1111's web UI's (`modules/sd_hijack_clip.py`, `modules/sd_emphasis.py`, "Original"): a chunk is 75 tokens
between the two ends, a weight multiplies what the text encoder gives of a token, and the chunk then gets its mean back.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Optional

import numpy as np

from jstyle.diffusion import prompts
from jstyle.diffusion.weighted_text import PLAIN, Piece, read_pieces
from jstyle.errors import InputError
from jstyle.networks import CLIPTextModel, Condition
from jstyle.networks.condition import join_conditions
from jstyle.runtime import jt
from jstyle.settings.prompts import PromptSettings

MOST_CHUNKS = 16
_NEAR = 20  # tokens that are moved to the next chunk at most, so that it begins behind a comma
_COMMA = ",</w>"


@dataclass
class Chunk:
    """Tokens between the ends of a text, and the weight of each."""

    ids: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)


def read_chunks(tokenizer: Any, prompt: str, reading: PromptSettings) -> list[Chunk]:
    """A prompt's chunks, at least one. What does not fit the only one of a prompt that is cut is told in a warning.

    Raises InputError as `read_pieces`, and for a prompt of over `MOST_CHUNKS`.
    """
    most = tokenizer.model_max_length - 2
    chunks: list[Chunk] = []
    for part in read_pieces(prompt, reading):
        units = list(_list_units(tokenizer, part))
        if reading.long_prompts == "cut":
            chunks.append(_cut(tokenizer, units, most))
        else:
            chunks += _divide(units, most, tokenizer.get_vocab().get(_COMMA))
    while len(chunks) > 1 and not chunks[-1].ids:
        chunks.pop()
    if len(chunks) > MOST_CHUNKS:
        raise InputError(
            f"a prompt of {len(chunks)} chunks of {most} tokens: at most {MOST_CHUNKS} are read, shorten it"
        )
    return chunks


def encode(
    tokenizer: Any,
    text_encoder: CLIPTextModel,
    texts: Sequence[str],
    reading: PromptSettings = PLAIN,
    skip: int = 0,
    penultimate: bool = False,
) -> Condition:
    """What a text encoder makes of the prompts, (prompts, tokens, hidden_size), all of one number of tokens; ``skip``
    and ``penultimate`` are those of `prompts.encode_ids`. The vector of a long text is that of its first chunk.

    Raises InputError as that and `read_chunks`.
    """
    if reading == PLAIN:
        with jt.no_grad():
            return prompts.encode(tokenizer, text_encoder, texts, skip, penultimate)
    chunks = [read_chunks(tokenizer, text, reading) for text in texts]
    encoded = [_encode_chunks(tokenizer, text_encoder, of_text, skip, penultimate) for of_text in chunks]
    lengthened = match_lengths([one.text for one in encoded])
    return join_conditions([replace(one, text=text) for one, text in zip(encoded, lengthened)])


def match_lengths(texts: Sequence[jt.Var]) -> list[jt.Var]:
    """Texts (prompts, tokens, hidden_size) of several numbers of tokens, each repeated to the least common multiple.

    Attention over keys that are all there equally often is attention over one of each, so what a text says stays the
    same whatever stands beside it.
    """
    length = math.lcm(*(text.shape[1] for text in texts))
    return [text if text.shape[1] == length else jt.concat([text] * (length // text.shape[1]), dim=1) for text in texts]


def _list_units(tokenizer: Any, pieces: Sequence[Piece]) -> Iterator[tuple[Sequence[int], float]]:
    """The tokens of each piece with its weight; those of a word of several vectors are one unit."""
    words = prompts.find_words(tokenizer)
    for piece in pieces:
        for first in tokenizer(piece.text, add_special_tokens=False, verbose=False).input_ids:
            yield words.get(first, (first,)), piece.weight


def _cut(tokenizer: Any, units: Sequence[tuple[Sequence[int], float]], most: int) -> Chunk:
    chunk = Chunk()
    for ids, weight in units:
        chunk.ids += ids
        chunk.weights += [weight] * len(ids)
    if len(chunk.ids) > most:
        prompts.warn_of_lost(tokenizer, chunk.ids[most:])
    return Chunk(chunk.ids[:most], chunk.weights[:most])


def _divide(units: Sequence[tuple[Sequence[int], float]], most: int, comma: Optional[int]) -> list[Chunk]:
    """Chunks of at most ``most`` tokens; one that is full ends at a comma where there is one near its end."""
    chunks, last_comma = [Chunk()], -1
    for ids, weight in units:
        chunk = chunks[-1]
        if len(chunk.ids) + len(ids) > most:
            is_near = list(ids) != [comma] and len(chunk.ids) == most and 0 <= most - last_comma <= _NEAR
            keep = last_comma + 1 if last_comma >= 0 and is_near else len(chunk.ids)
            chunks.append(Chunk(chunk.ids[keep:], chunk.weights[keep:]))
            del chunk.ids[keep:], chunk.weights[keep:]
            chunk, last_comma = chunks[-1], -1
        elif list(ids) == [comma]:
            last_comma = len(chunk.ids)
        chunk.ids += ids
        chunk.weights += [weight] * len(ids)
    return chunks


def _encode_chunks(
    tokenizer: Any, text_encoder: CLIPTextModel, chunks: Sequence[Chunk], skip: int, penultimate: bool
) -> Condition:
    """One text of (1, chunks * model_max_length, hidden_size)."""
    length = tokenizer.model_max_length
    rows = [[tokenizer.bos_token_id, *chunk.ids, tokenizer.eos_token_id] for chunk in chunks]
    padded = [row + [tokenizer.pad_token_id] * (length - len(row)) for row in rows]
    with jt.no_grad():
        condition = prompts.encode_ids(text_encoder, np.asarray(padded, np.int32), skip, penultimate)
    encoded = condition.text
    if any(weight != 1 for chunk in chunks for weight in chunk.weights):
        encoded = _weigh(encoded, chunks)
    vector = None if condition.pooled is None else condition.pooled[:1]
    return Condition(encoded.reshape(1, -1, encoded.shape[-1]), vector)


def _weigh(encoded: jt.Var, chunks: Sequence[Chunk]) -> jt.Var:
    """Every token times its weight, and each chunk's mean as it was."""
    vectors = np.array(encoded.numpy(), np.float64)  # (chunks, tokens, hidden_size)
    weights = np.ones((*vectors.shape[:2], 1))
    for row, chunk in enumerate(chunks):
        weights[row, 1 : 1 + len(chunk.weights), 0] = chunk.weights
    weighed = vectors * weights
    means = vectors.mean((1, 2), keepdims=True) / weighed.mean((1, 2), keepdims=True)
    return jt.array((weighed * means).astype(np.float32))
