"""Trains LoRA (arXiv 2106.09685): low-rank changes of the UNet's layers, by option of the text encoder's too."""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Dict, List

import numpy as np

from jstyle.adapters import lora_files
from jstyle.adapters.lora import (
    ATTENTION,
    CONVOLUTIONS,
    FEED_FORWARD,
    TEXT_ATTENTION,
    Lora,
    LowRank,
    changed,
    layers,
)
from jstyle.networks.layers import Conv2d
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.training.draws import generator
from jstyle.training.teaching import captioned, tuning
from jstyle.training.teaching.dropout import Dropout
from jstyle.training.teaching.settings import LoraSettings
from jstyle.training.teaching.tuning import Clock


def train(settings: LoraSettings) -> Path:
    """Train and write ``pytorch_lora_weights.safetensors``, whose path is returned.

    Raises InputError for what cannot be, and KeyboardInterrupt, with a checkpoint written, after Ctrl-C or SIGTERM.
    """
    pipe, clock = tuning.opened(settings), Clock()
    taught = captioned.lessons(pipe, settings)
    lora = initial(pipe, settings, clock)
    read = tuning.reading(pipe, settings)
    with ExitStack() as stack:
        stack.enter_context(changed(pipe.unet, [lora.unet]))
        stack.enter_context(changed(pipe.text_encoder, [lora.text_encoder]))
        identity = {**taught.identity(), "method": "lora"}
        state = tuning.tune(pipe, settings, parameters(lora), taught.batch, read, identity, clock)
        with state.averaged():
            return lora_files.write(lora, settings.output)


def initial(pipe: StableDiffusionPipeline, settings: LoraSettings, clock: Clock) -> Lora:
    """Changes that change nothing yet: A is drawn, B is zero."""
    endings = [*ATTENTION]
    endings += FEED_FORWARD if settings.feed_forward else ()
    endings += CONVOLUTIONS if settings.convolutions else ()
    text = layers(pipe.text_encoder, TEXT_ATTENTION) if settings.text_encoder else {}
    return Lora(
        {path: _start(f"unet.{path}", one, settings, clock) for path, one in layers(pipe.unet, endings).items()},
        {path: _start(f"text_encoder.{path}", one, settings, clock) for path, one in text.items()},
    )


def parameters(lora: Lora) -> Dict[str, jt.Var]:
    """All matrices by network, path and "down" or "up"."""
    named: Dict[str, jt.Var] = {}
    for component in lora_files.COMPONENTS:
        for path, change in lora.of(component).items():
            named[f"{component}.{path}.down"] = change.down
            named[f"{component}.{path}.up"] = change.up
    return named


def _start(name: str, layer: Any, settings: LoraSettings, clock: Clock) -> LowRank:
    out, *inputs = layer.weight.shape
    rng = generator(settings.loop.seed, 0, f"lora {name}")
    shape: List[int] = [settings.rank, *inputs]
    if settings.initial == "gaussian":  # as diffusers' scripts ask of peft
        down = rng.standard_normal(shape) / settings.rank
    else:  # peft's own default: Kaiming's uniform with a = sqrt(5), as PyTorch starts a linear layer
        bound = 1 / math.sqrt(math.prod(inputs))
        down = rng.uniform(-bound, bound, shape)
    up = np.zeros((out, settings.rank, *([1, 1] if isinstance(layer, Conv2d) else [])), np.float32)
    dropout = Dropout(settings.dropout, settings.loop.seed, name, clock) if settings.dropout else None
    with jt.no_grad():
        return LowRank(jt.array(np.float32(down)), jt.array(up), float(settings.alpha or settings.rank), dropout)
