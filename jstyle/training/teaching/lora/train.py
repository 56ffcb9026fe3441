"""Trains LoRA (arXiv 2106.09685): low-rank changes of the UNet's layers, optionally of the text encoder's too."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Optional

import numpy as np

from jstyle.adapters import lora_writing
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
from jstyle.adapters.lora_keys import COMPONENTS
from jstyle.adapters.lora_start import draw_down
from jstyle.errors import InputError
from jstyle.events import Event
from jstyle.networks.layers import Conv2d
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.training.draws import make_generator
from jstyle.training.teaching import captioned, tuning
from jstyle.training.teaching.cost import count_work
from jstyle.training.teaching.dropout import Dropout
from jstyle.training.teaching.lora.settings import LoraSettings
from jstyle.training.teaching.tuning import Clock


def train_lora(settings: LoraSettings, pipe: Optional[StableDiffusionPipeline] = None) -> Generator[Event, None, Path]:
    """Train and write ``pytorch_lora_weights.safetensors``, whose path is returned.

    ``pipe`` is the settings' model where it is loaded already; afterwards it is as it was. Raises InputError for what
    cannot be. Closing the run writes a checkpoint, from which the next one goes on.
    """
    pipe, clock = tuning.open_model(settings, pipe), Clock()
    if pipe.get_active_adapters():  # the new one would stand in their place, not beside them
        raise InputError("LoRAs are in effect on the pipeline; unload_lora_weights() or disable_lora() first")
    yield count_work(pipe, settings)
    lessons = yield from captioned.prepare_lessons(pipe, settings)
    lora = start_lora(pipe, settings, clock)
    read = tuning.make_reader(pipe, settings)
    with ExitStack() as stack:
        for component, network in zip(COMPONENTS, pipe.adaptable):
            stack.enter_context(changed(network, [lora.of(component)]))
        parameters = name_matrices(lora)
        identity = lessons.identity()
        state = yield from tuning.tune(pipe, settings, parameters, lessons.make_batch, read, identity, clock)
        with state.averaged():
            about = describe_training(settings, pipe)
            return lora_writing.write(lora, settings.output, settings.format, settings.save_precision, about)


def start_lora(pipe: StableDiffusionPipeline, settings: LoraSettings, clock: Clock) -> Lora[LowRank]:
    """Changes that change nothing yet: A is drawn, B is zero."""
    endings = [*ATTENTION]
    endings += FEED_FORWARD if settings.feed_forward else ()
    endings += CONVOLUTIONS if settings.convolutions else ()
    learnt: dict[str, dict[str, LowRank]] = {component: {} for component in COMPONENTS}
    for component, network in zip(COMPONENTS, pipe.adaptable if settings.text_encoder else [pipe.unet]):
        found = layers(network, endings if component == "unet" else TEXT_ATTENTION)
        learnt[component] = {
            path: _start_layer(f"{component}.{path}", layer, settings, clock) for path, layer in found.items()
        }
    return Lora(**learnt)


def name_matrices(lora: Lora[LowRank]) -> dict[str, jt.Var]:
    """All matrices by network, path and "down" or "up"."""
    named: dict[str, jt.Var] = {}
    for component in COMPONENTS:
        for path, change in lora.of(component).items():
            named[f"{component}.{path}.down"] = change.down
            named[f"{component}.{path}.up"] = change.up
    return named


def describe_training(settings: LoraSettings, pipe: StableDiffusionPipeline) -> dict[str, str]:
    """What a file in kohya's format says of its training, by sd-scripts' names. Without times: the same bytes again."""
    loop, model = settings.loop, settings.model
    about: dict[str, Any] = {
        "sd_model_name": model.model,
        "learning_rate": loop.rate,
        "lr_scheduler": loop.schedule,
        "lr_warmup_steps": loop.warmup,
        "max_train_steps": loop.steps,
        "steps": loop.steps,
        "batch_size_per_device": settings.batch,
        "gradient_accumulation_steps": loop.accumulate,
        "max_grad_norm": loop.clip or 0.0,
        "seed": loop.seed,
        "mixed_precision": "fp16" if model.precision == "fp16" else "no",
        "network_dropout": settings.dropout or None,
    }
    family = {768: "sd_v1", 1024: "sd_v2"}.get(pipe.unet.config.cross_attention_dim)  # by the text encoder's width
    if pipe.is_xl:
        about.update(base_model_version="sdxl_base_v1-0", v2=False)
    elif family is not None:
        is_v = pipe.schedule.config.prediction_type == "v_prediction"
        about.update(base_model_version=f"{family}_v" if is_v else family, v2=family == "sd_v2")
    return {f"ss_{name}": str(value) for name, value in about.items()}


def _start_layer(name: str, layer: Any, settings: LoraSettings, clock: Clock) -> LowRank:
    dropout = Dropout(settings.dropout, settings.loop.seed, name, clock) if settings.dropout else None
    return start_layer(name, layer, settings.rank, settings.loop.seed, settings.initial, settings.alpha, dropout)


def start_layer(
    name: str,
    layer: Any,
    rank: int,
    seed: int,
    initial: str = "gaussian",
    alpha: Optional[float] = None,
    dropout: Optional[Dropout] = None,
) -> LowRank:
    """A change of a layer that changes nothing yet; A is drawn by the seed and the layer's name."""
    out, *inputs = layer.weight.shape
    down = draw_down(initial, [rank, *inputs], make_generator(seed, 0, f"lora {name}"))
    up = np.zeros((out, rank, *([1, 1] if isinstance(layer, Conv2d) else [])), np.float32)
    with jt.no_grad():
        return LowRank(jt.array(down), jt.array(up), float(alpha or rank), dropout)
