"""``jstyle convert``: PyTorch's pickles become safetensors, which are read everywhere here."""

from __future__ import annotations

from jstyle.cli.command import SettingsCommand
from jstyle.cli.report import show_events
from jstyle.weights.conversion.run import ConvertInputs, run_conversion


def convert(inputs: ConvertInputs) -> int:
    """Convert each file. Returns the exit code."""
    return show_events(run_conversion(inputs))


COMMAND = SettingsCommand(
    "convert",
    "turns checkpoints, VAEs, LoRAs and words that are pickles into safetensors, where PyTorch is installed",
    (ConvertInputs,),
    convert,
    leading="files",
)
