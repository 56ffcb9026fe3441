"""The tokenizer as scripts call it. Importing this imports transformers, which takes a second."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Optional, Union

from jstyle.settings.arguments import list_arguments
from jstyle.weights.hub import locate_component
from jstyle.weights.telling import fetching_as_told

os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")  # about PyTorch, which is not needed here
from transformers import PreTrainedTokenizerFast

_FILES = (
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.json",
)
_OURS = ("pt", "jt")
_ABOUT_CLASSES = ("use_fast", "tokenizer_type", "clean_up_tokenization_spaces")


class CLIPTokenizer(PreTrainedTokenizerFast):
    """transformers' fast tokenizer, whose ``return_tensors="pt"`` gives Jittor's arrays (``jt.Var``)."""

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        model: Union[str, Path],
        subfolder: Optional[str] = None,
        *,
        revision: Optional[str] = None,
        **told: Any,
    ) -> Any:
        """Read the tokenizer of a folder, a hub's model or "tiny"; ``subfolder`` is usually "tokenizer".

        ``told`` is about fetching (`fetching_as_told`), or about which of transformers' classes reads the files, which
        changes nothing. Raises InputError where there is none, for files that are not a tokenizer's, and for other
        arguments.
        """
        from jstyle.diffusion.tokenizer import load_tokenizer

        about_fetching = {name: value for name, value in told.items() if name not in _ABOUT_CLASSES}
        known = [*list_arguments(cls.from_pretrained), *_ABOUT_CLASSES]
        with fetching_as_told("CLIPTokenizer.from_pretrained", about_fetching, known):
            folder = locate_component(model, subfolder, "tokenizer", _FILES, revision=revision)
        return load_tokenizer(folder)

    def __call__(self, *texts: Any, return_tensors: Any = None, **settings: Any) -> Any:
        """As transformers', with ``input_ids`` and ``attention_mask`` (texts, tokens) as lists, or arrays if asked.

        ``return_tensors`` is "pt" (or "jt") for ``jt.Var``, "np" for NumPy.
        """
        ours = return_tensors in _OURS
        encoded = super().__call__(*texts, return_tensors="np" if ours else return_tensors, **settings)
        return _to_vars(encoded) if ours else encoded

    def pad(self, *encoded: Any, return_tensors: Any = None, **settings: Any) -> Any:
        """As transformers', with arrays as a call gives them."""
        ours = return_tensors in _OURS
        padded = super().pad(*encoded, return_tensors="np" if ours else return_tensors, **settings)
        return _to_vars(padded) if ours else padded


def _to_vars(encoded: Any) -> Any:
    from jstyle.runtime import jt

    encoded.data.update({name: jt.array(array) for name, array in encoded.data.items()})
    return encoded
