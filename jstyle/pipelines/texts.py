"""What a call is given as its prompts: texts, or what text encoders have made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

from jstyle.errors import InputError
from jstyle.networks import Condition
from jstyle.pipelines.arrays import read_var
from jstyle.runtime import jt
from jstyle.settings.messages import show
from jstyle.settings.vocabulary import MOST_THINGS

Texts = Union[str, Sequence[str]]


@dataclass(frozen=True)
class TwoTexts:
    """A text, or as many texts, for each of SDXL's two text encoders."""

    first: Texts
    second: Texts


Prompt = Union[Texts, TwoTexts, Condition, jt.Var]
"""A text, texts, or what text encoders have made of them: of SDXL a `Condition`, else (texts, tokens, hidden_size)."""


def choose_prompt(prompt: Any, embeds: Any, name: str, second: Any = None, pooled: Any = None) -> Optional[Prompt]:
    """The texts of an argument ``name`` and of ``name``_2, or what was made of them; None where there are neither.

    Raises InputError for both, for what is neither text nor a list of texts, and for texts that UTF-8 cannot hold.
    """
    if embeds is not None:
        if prompt is not None or second is not None:
            raise InputError(f"give {name} or {name}_embeds, not both")
        embedded = _read_embeds(embeds, f"{name}_embeds", 3, "(prompts, tokens, width)")
        if pooled is None:
            return Condition(embedded)
        vectors = _read_embeds(pooled, name_pooled(name), 2, "(prompts, width)")
        if len(vectors) != len(embedded):
            raise InputError(f"{len(vectors)} rows of {name_pooled(name)} for {len(embedded)} of {name}_embeds")
        return Condition(embedded, vectors)
    if pooled is not None:
        raise InputError(f"{name_pooled(name)} go with {name}_embeds: give both")
    first, other = _check_texts(prompt, name), _check_texts(second, f"{name}_2")
    if other is not None and not isinstance(other, str) and not other:
        raise InputError(f"{name}_2 is an empty list: give one text, or one for each prompt, or leave it out")
    if first is None or not other:
        return first
    if not isinstance(other, str) and len(other) not in (1, count_prompts(first)):
        raise InputError(f"{len(other)} texts of {name}_2 for {count_prompts(first)} prompts; give one, or one each")
    return TwoTexts(first, other)


def name_pooled(name: str) -> str:
    """diffusers' name of the vectors beside embeddings: pooled_prompt_embeds, negative_pooled_prompt_embeds."""
    return "pooled_prompt_embeds" if name == "prompt" else f"negative_{name_pooled('prompt')}"


def _check_texts(prompt: Any, name: str) -> Optional[Texts]:
    is_list = isinstance(prompt, (list, tuple)) and all(isinstance(text, str) for text in prompt)
    if prompt is not None and not isinstance(prompt, str) and not is_list:
        raise InputError(f"{name} must be a text or a list of texts, not {show(prompt)}")
    for text in [prompt] if isinstance(prompt, str) else prompt or ():
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise InputError(f"{name} has half a character (a lone surrogate), which is no text: {show(prompt)}")
    return prompt


def _read_embeds(embeds: Any, name: str, axes: int, wanted: str) -> jt.Var:
    embedded = read_var(embeds, name)
    if len(embedded.shape) != axes:
        raise InputError(f"{name} must be {wanted}, not {tuple(embedded.shape)}")
    return embedded


def require_prompt(prompt: Any, embeds: Any, second: Any = None, pooled: Any = None) -> Prompt:
    """As `choose_prompt`, of a prompt that there must be."""
    chosen = choose_prompt(prompt, embeds, "prompt", second, pooled)
    if chosen is None:
        raise InputError("no prompt was given: give a text, or prompt_embeds")
    return chosen


def is_text(prompt: Prompt) -> bool:
    """Whether texts were given, and not what was made of them."""
    return not isinstance(prompt, Condition) and not isinstance(prompt, jt.Var)


def list_texts(prompt: Prompt) -> list[str]:
    """The texts, of two those for the first encoder, none where there is only what was made of them.

    Raises InputError for an empty list.
    """
    if isinstance(prompt, Condition):
        return []
    if isinstance(prompt, jt.Var):
        return []
    if isinstance(prompt, TwoTexts):
        return list_texts(prompt.first)
    texts = [prompt] if isinstance(prompt, str) else list(prompt)
    if not texts:
        raise InputError("no prompt was given")
    return texts


def list_texts_each(prompt: Prompt, encoders: int) -> list[list[str]]:
    """The texts for each of so many text encoders. Raises InputError for two texts and one encoder."""
    if not isinstance(prompt, TwoTexts):
        return [list_texts(prompt)] * encoders
    if encoders == 1:
        raise InputError("a second text (prompt_2, negative_prompt_2) is for SDXL, which has a second text encoder")
    first, second = list_texts(prompt.first), list_texts(prompt.second)
    return [first, second * len(first) if len(second) == 1 else second]


def count_prompts(prompt: Prompt) -> int:
    """How many there are."""
    if isinstance(prompt, TwoTexts):
        return count_prompts(prompt.first)
    return 1 if isinstance(prompt, str) else len(prompt)


def count_images(prompt: Prompt, copies: int) -> int:
    """How many images are asked for. Raises InputError for none."""
    count = copies * count_prompts(prompt)
    if not 1 <= count <= MOST_THINGS:
        raise InputError(f"from 1 to {MOST_THINGS} images can be asked for, not {count}: give a prompt")
    return count
