"""Trains the whole UNet, as DreamBooth does (arXiv 2208.12242)."""

from __future__ import annotations

from pathlib import Path

from jstyle.errors import InputError
from jstyle.finetuning import captioned, tuning
from jstyle.finetuning.settings import CaptionedSettings, DreamBoothSettings

MODEL = "model"


def train(settings: DreamBoothSettings) -> Path:
    """Train and write the whole model to the folder ``model``, whose path is returned.

    Raises InputError for what cannot be, and KeyboardInterrupt, with a checkpoint written, after Ctrl-C or SIGTERM.
    """
    return whole_unet(settings, "dreambooth")


def whole_unet(settings: CaptionedSettings, method: str) -> Path:
    """`train`, for any method of this kind; a run is continued by its own alone."""
    folder = settings.output / MODEL
    if folder.exists():
        raise InputError(f"{folder} is there already; remove it, or choose another output")
    pipe = tuning.opened(settings)
    taught = captioned.lessons(pipe, settings)
    parameters = {f"unet.{name}": parameter for name, parameter in pipe.unet.named_parameters()}
    identity = {**taught.identity(), "method": method}
    state = tuning.tune(pipe, settings, parameters, taught.batch, tuning.constant(pipe), identity)
    with state.averaged():
        pipe.save_pretrained(folder)
    return folder
