"""Trains the whole UNet, as DreamBooth does (arXiv 2208.12242), by option the text encoder too."""

from __future__ import annotations

from pathlib import Path

from jstyle.errors import InputError
from jstyle.training.teaching import captioned, tuning
from jstyle.training.teaching.settings import CaptionedSettings, DreamBoothSettings

MODEL = "model"


def train(settings: DreamBoothSettings) -> Path:
    """Train and write the whole model to the folder ``model``, whose path is returned.

    Raises InputError for what cannot be, and KeyboardInterrupt, with a checkpoint written, after Ctrl-C or SIGTERM.
    """
    return whole_networks(settings, "dreambooth")


def whole_networks(settings: CaptionedSettings, method: str) -> Path:
    """`train`, for any method of this kind; a run is continued by its own alone."""
    folder = settings.output / MODEL
    if folder.exists():
        raise InputError(f"{folder} is there already; remove it, or choose another output")
    pipe = tuning.opened(settings, whole=True)
    taught = captioned.lessons(pipe, settings)
    learning = {"unet": pipe.unet, **({"text_encoder": pipe.text_encoder} if settings.text_encoder else {})}
    parameters = {f"{own}.{name}": one for own, network in learning.items() for name, one in network.named_parameters()}
    read = tuning.reading(pipe, settings)
    state = tuning.tune(pipe, settings, parameters, taught.batch, read, {**taught.identity(), "method": method})
    with state.averaged():
        pipe.save_pretrained(folder)
    return folder
