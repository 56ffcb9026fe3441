"""What is learnt beside a model and put on it: words (textual inversion) and low-rank changes of its layers (LoRA).

Both leave the networks exactly as they were once they are taken off. Importing this starts nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jstyle.adapters.loading import AdapterLoading
    from jstyle.adapters.lora import Lora, LowRank
    from jstyle.adapters.lora_adapters import LoraAdapters
    from jstyle.adapters.textual_inversion import Vocabulary, words

__all__ = ["AdapterLoading", "Lora", "LoraAdapters", "LowRank", "Vocabulary", "words"]

_HOMES = {
    "AdapterLoading": "loading",
    "Lora": "lora",
    "LoraAdapters": "lora_adapters",
    "LowRank": "lora",
    "Vocabulary": "textual_inversion",
    "words": "textual_inversion",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
