"""Prompts to what the UNet's cross-attention reads."""

from __future__ import annotations

import os
import re
import warnings
from itertools import count, takewhile
from pathlib import Path
from typing import Any, Sequence

import numpy as np

from jstyle.errors import InputError
from jstyle.networks import CLIPTextModel
from jstyle.runtime import jt


def load_tokenizer(folder: Path) -> Any:
    """transformers' CLIP tokenizer with the pad token and length its files say.

    Raises InputError when the folder is not a tokenizer's.
    """
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")  # it misses PyTorch, which nobody needs here
    from transformers import CLIPTokenizer  # takes a second to import; only pipelines need it

    names = ["tokenizer.json"] if (folder / "tokenizer.json").is_file() else ["vocab.json", "merges.txt"]
    for name in names:
        if not (folder / name).is_file():
            raise InputError(f"{folder / name} is missing; fetch the model again")
    try:
        return CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # transformers raises whatever its parser meets
        raise InputError(f"the tokenizer in {folder} cannot be read: {' '.join(str(error).split())[:200]}") from error


def token_ids(tokenizer: Any, prompts: Sequence[str]) -> np.ndarray:
    """(prompts, model_max_length) int32, padded as the tokenizer's files say.

    A prompt that is too long is cut, with a warning that shows what was lost. A learnt word of several vectors is
    written out, see ``written_out``.
    """
    length = tokenizer.model_max_length
    prompts = [written_out(tokenizer, prompt) for prompt in prompts]
    for prompt in prompts:
        ids = tokenizer(prompt).input_ids
        if len(ids) > length:
            lost = tokenizer.decode(ids[length - 1 : -1])
            warnings.warn(f"a prompt has more than {length} tokens; this part is not read: {lost!r}", stacklevel=2)
    batch = tokenizer(list(prompts), padding="max_length", truncation=True, max_length=length)
    return np.asarray(batch.input_ids, np.int32)


def written_out(tokenizer: Any, prompt: str) -> str:
    """The prompt with each added token ``<a>`` followed by its ``<a>_1``, ``<a>_2``, ..., if any, as in diffusers."""
    added = tokenizer.added_tokens_encoder
    for token in [one for one in added if f"{one}_1" in added and one in prompt]:
        numbered = (f"{token}_{i}" for i in count(1))
        whole = " ".join([token, *takewhile(added.__contains__, numbered)])
        prompt = re.sub(re.escape(token) + r"(?!_\d)", lambda _, whole=whole: whole, prompt)
    return prompt


def encode(tokenizer: Any, text_encoder: CLIPTextModel, prompts: Sequence[str]) -> jt.Var:
    """(prompts, tokens, hidden_size)."""
    with jt.no_grad():
        return text_encoder(jt.array(token_ids(tokenizer, prompts)))
