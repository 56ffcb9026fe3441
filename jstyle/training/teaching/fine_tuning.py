"""Plain fine-tuning: trains the whole UNet on a folder of captioned pictures."""

from __future__ import annotations

from pathlib import Path

from jstyle.training.teaching.dreambooth import whole_networks
from jstyle.training.teaching.settings import FineTuningSettings


def train(settings: FineTuningSettings) -> Path:
    """Train and write the whole model to the folder ``model``, whose path is returned.

    Raises InputError for what cannot be, and KeyboardInterrupt, with a checkpoint written, after Ctrl-C or SIGTERM.
    """
    return whole_networks(settings, "fine tuning")
