"""Trains the whole UNet: DreamBooth (arXiv 2208.12242), or on any folder of captioned pictures."""

from __future__ import annotations

from pathlib import Path

from jstyle.errors import InputError
from jstyle.finetuning import captioned, tuning
from jstyle.finetuning.settings import DreamBoothSettings

MODEL = "model"


def train(settings: DreamBoothSettings) -> Path:
    """Train and write the whole model to the folder ``model``, whose path is returned.

    Raises InputError for what cannot be, and KeyboardInterrupt, with a checkpoint written, after Ctrl-C or SIGTERM.
    """
    folder = settings.output / MODEL
    if folder.exists():
        raise InputError(f"{folder} is there already; remove it, or choose another output")
    pipe = tuning.opened(settings)
    taught = captioned.lessons(pipe, settings)
    parameters = {f"unet.{name}": parameter for name, parameter in pipe.unet.named_parameters()}
    identity = {**taught.identity(), "method": "dreambooth"}
    state = tuning.tune(pipe, settings, parameters, taught.batch, tuning.constant(pipe), identity)
    with state.averaged():
        pipe.save_pretrained(folder)
    return folder
