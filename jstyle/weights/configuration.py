"""What a model is beside its weights: noise schedule, networks' configurations and tokenizer, in one digest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jstyle.diffusion.schedule_config import ScheduleConfig
from jstyle.files import hash_files
from jstyle.settings.identity import digest

TOKENIZER_FILES = (
    "added_tokens.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
)


def hash_configuration(schedule: ScheduleConfig, networks: Sequence[Any], tokenizer: Path) -> str:
    """SHA-256, in hexadecimal, over what decides, beside the weights, what a model does. It starts no Jittor.

    Args:
        schedule: of which the sampler is a part.
        networks: the configurations of UNet, VAE, text encoder and image encoder (`jstyle.networks.config`), None for
            one that the model lacks.
        tokenizer: the tokenizer's folder, whose files count as they are.
    """
    files = [tokenizer / name for name in TOKENIZER_FILES if (tokenizer / name).is_file()]
    content = {
        "schedule": schedule,
        "networks": list(networks),
        "tokenizer": {file.name: hash_files([file]) for file in files},
    }
    return digest(content)
