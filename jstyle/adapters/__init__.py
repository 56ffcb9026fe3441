"""What is learnt beside a model and put on it: words (textual inversion) and low-rank changes of its layers (LoRA).

Both leave the networks exactly as they were once they are taken off.
"""

from __future__ import annotations

from jstyle.adapters.loading import AdapterLoading
from jstyle.adapters.lora import Lora, LowRank
from jstyle.adapters.lora_adapters import LoraAdapters
from jstyle.adapters.textual_inversion import Vocabulary, words

__all__ = ["AdapterLoading", "Lora", "LoraAdapters", "LowRank", "Vocabulary", "words"]
