"""What is learnt beside a model and put on it: words (textual inversion) and low-rank changes of its layers (LoRA).

Both leave the networks exactly as they were once they are taken off. Importing this starts nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jstyle.lazy import imported_on_demand

if TYPE_CHECKING:
    from jstyle.adapters.loading import AdapterLoading
    from jstyle.adapters.lora import Lora, LowRank
    from jstyle.adapters.lora_adapters import LoraAdapters
    from jstyle.adapters.textual_inversion import Vocabulary, words

__all__ = ["AdapterLoading", "Lora", "LoraAdapters", "LowRank", "Vocabulary", "words"]

__getattr__ = imported_on_demand(
    __name__,
    {
        "AdapterLoading": "jstyle.adapters.loading",
        "Lora": "jstyle.adapters.lora",
        "LoraAdapters": "jstyle.adapters.lora_adapters",
        "LowRank": "jstyle.adapters.lora",
        "Vocabulary": "jstyle.adapters.textual_inversion",
        "words": "jstyle.adapters.textual_inversion",
    },
)
