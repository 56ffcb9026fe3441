"""What training scripts for diffusers, peft and PyTorch import, under its names there.

Thin layers over the rest of the project; docs/from-jdiffusion.md has a script. Importing this starts nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jstyle.lazy import imported_on_demand

if TYPE_CHECKING:
    from jstyle.adapters.lora_states import (
        LoraLoaderMixin,
        convert_state_dict_to_diffusers,
        get_peft_model_state_dict,
    )
    from jstyle.drop_in.data_loading import DataLoader, Dataset
    from jstyle.drop_in.learning_rates import get_scheduler
    from jstyle.drop_in.lora_config import LoraConfig
    from jstyle.drop_in.loss_weights import compute_snr

__all__ = [
    "DataLoader",
    "Dataset",
    "LoraConfig",
    "LoraLoaderMixin",
    "compute_snr",
    "convert_state_dict_to_diffusers",
    "get_peft_model_state_dict",
    "get_scheduler",
]

__getattr__ = imported_on_demand(
    __name__,
    {
        "DataLoader": "jstyle.drop_in.data_loading",
        "Dataset": "jstyle.drop_in.data_loading",
        "LoraConfig": "jstyle.drop_in.lora_config",
        "LoraLoaderMixin": "jstyle.adapters.lora_states",
        "compute_snr": "jstyle.drop_in.loss_weights",
        "convert_state_dict_to_diffusers": "jstyle.adapters.lora_states",
        "get_peft_model_state_dict": "jstyle.adapters.lora_states",
        "get_scheduler": "jstyle.drop_in.learning_rates",
    },
)
