"""What a call is given as its prompts: texts, or what a text encoder has made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional, Union

from jstyle.errors import InputError
from jstyle.pipelines.arrays import read_var
from jstyle.runtime import jt
from jstyle.settings.messages import show
from jstyle.settings.vocabulary import MOST_THINGS

Prompt = Union[str, Sequence[str], jt.Var]
"""A text, texts, or what a text encoder has made of them, (texts, tokens, hidden_size)."""


def choose_prompt(prompt: Any, embeds: Any, name: str) -> Optional[Prompt]:
    """The texts of an argument ``name``, or its ``embeds``; None where there are neither.

    Raises InputError for both, for what is neither text nor a list of texts, and for texts that UTF-8 cannot hold.
    """
    if embeds is not None:
        if prompt is not None:
            raise InputError(f"give {name} or {name}_embeds, not both")
        embedded = read_var(embeds, f"{name}_embeds")
        if len(embedded.shape) != 3:
            raise InputError(f"{name}_embeds must be (prompts, tokens, width), not {tuple(embedded.shape)}")
        return embedded
    is_list = isinstance(prompt, (list, tuple)) and all(isinstance(text, str) for text in prompt)
    if prompt is not None and not isinstance(prompt, str) and not is_list:
        raise InputError(f"{name} must be a text or a list of texts, not {show(prompt)}")
    for text in [prompt] if isinstance(prompt, str) else prompt or ():
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise InputError(f"{name} has half a character (a lone surrogate), which is no text: {show(prompt)}")
    return prompt


def require_prompt(prompt: Any, embeds: Any) -> Prompt:
    """As `choose_prompt`, of a prompt that there must be."""
    chosen = choose_prompt(prompt, embeds, "prompt")
    if chosen is None:
        raise InputError("no prompt was given: give a text, or prompt_embeds")
    return chosen


def list_texts(prompt: Prompt) -> list[str]:
    """The texts, none where there is only what was made of them. Raises InputError for an empty list."""
    if isinstance(prompt, jt.Var):
        return []
    texts = [prompt] if isinstance(prompt, str) else list(prompt)
    if not texts:
        raise InputError("no prompt was given")
    return texts


def count_prompts(prompt: Prompt) -> int:
    """How many there are."""
    return 1 if isinstance(prompt, str) else len(prompt)


def count_images(prompt: Prompt, copies: int) -> int:
    """How many images are asked for. Raises InputError for none."""
    count = copies * count_prompts(prompt)
    if not 1 <= count <= MOST_THINGS:
        raise InputError(f"from 1 to {MOST_THINGS} images can be asked for, not {count}: give a prompt")
    return count


def repeat_rows(rows: jt.Var, copies: int) -> jt.Var:
    """Each row so many times, the copies of one side by side."""
    if copies == 1:
        return rows
    return jt.concat([rows[i : i + 1] for i in range(rows.shape[0]) for _ in range(copies)], dim=0)
