"""Trains the whole UNet, optionally the text encoder too: DreamBooth (arXiv 2208.12242) and plain fine-tuning."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Optional

from jstyle.adapters.lora_keys import COMPONENTS
from jstyle.errors import InputError
from jstyle.events import Event
from jstyle.ops.precision import unet_dtype
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.settings.model import ModelSettings
from jstyle.training import checkpoint
from jstyle.training.teaching import captioned, tuning
from jstyle.training.teaching.cost import count_work
from jstyle.training.teaching.settings import CaptionedSettings

MODEL = "model"


def train_networks(
    settings: CaptionedSettings, pipe: Optional[StableDiffusionPipeline] = None
) -> Generator[Event, None, Path]:
    """Train and write the whole model to the folder ``model``, whose path is returned.

    A model that a finished run of these settings has written is kept, that of a shorter one replaced. Raises InputError
    for what cannot be, such as a ``pipe`` that is loaded already, whose weights would change, and another model in the
    folder. Closing the run writes a checkpoint, from which the next one goes on.
    """
    folder = settings.output / MODEL
    saved = checkpoint.find_latest(settings.output / "checkpoint")
    if folder.exists() and (saved is None or not saved.finished):
        raise InputError(f"{folder} exists, but no finished run of this output; remove it, or choose another output")
    is_finished = folder.exists() and saved is not None and saved.finished == settings.loop.steps
    if pipe is not None:
        raise InputError(
            "this would change the pipeline's own weights; leave it out, and the settings' model is loaded"
        )
    pipe = open_whole_model(settings.model)
    yield count_work(pipe, settings)
    lessons = yield from captioned.prepare_lessons(pipe, settings)
    learning = dict(zip(COMPONENTS, pipe.adaptable if settings.text_encoder else [pipe.unet]))
    parameters = {
        f"{part}.{name}": parameter
        for part, network in learning.items()
        for name, parameter in network.named_parameters()
    }
    read = tuning.make_reader(pipe, settings)
    state = yield from tuning.tune(pipe, settings, parameters, lessons.make_batch, read, lessons.identity())
    if is_finished:  # by this very run: the checkpoint of another would have been refused
        return folder
    shutil.rmtree(folder, ignore_errors=True)  # of this very run when it was shorter
    with state.averaged():
        pipe.save_pretrained(folder)
    return folder


def open_whole_model(model: ModelSettings) -> StableDiffusionPipeline:
    """The model with its weights in fp32, while the UNet computes in the settings' precision."""
    dtype = unet_dtype(model.precision)
    pipe = StableDiffusionPipeline.from_settings(replace(model, precision="fp32"))
    if dtype != pipe.unet.dtype:
        pipe.unet.compute_dtype = dtype
    return tuning.require_teachable(pipe, model.model)
