"""The parts of a pipeline under diffusers' names: joined, looked up, exchanged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

from jstyle.diffusion.schedule_config import SCHEDULERS, ScheduleConfig
from jstyle.diffusion.schedulers import classes
from jstyle.diffusion.schedulers.scheduler import Scheduler
from jstyle.errors import InputError
from jstyle.networks import (
    AutoencoderKL,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionModelWithProjection,
    UNet2DConditionModel,
)
from jstyle.networks.config_reader import read_json
from jstyle.settings.arguments import list_arguments, refuse_unknown
from jstyle.settings.messages import show
from jstyle.weights.checkpoint import Components
from jstyle.weights.configuration import ZEROES
from jstyle.weights.telling import fetching_as_told

NETWORKS: Mapping[str, type] = {
    "unet": UNet2DConditionModel,
    "vae": AutoencoderKL,
    "text_encoder": CLIPTextModel,
    "text_encoder_2": CLIPTextModelWithProjection,
    "image_encoder": CLIPVisionModelWithProjection,
}
PARTS = (*NETWORKS, "tokenizer", "tokenizer_2", "scheduler")
OPTIONAL = ("image_encoder", "text_encoder_2", "tokenizer_2")
"""What a model may be without: few have an image encoder, SDXL alone a second text encoder."""

ABSENT = (
    *("safety_checker", "feature_extractor", "requires_safety_checker"),
    *("add_watermarker", "requires_aesthetics_score"),
)
"""What diffusers' pipelines consist of besides. Nothing looks at what pictures show, nothing is hidden in them, and a
UNet says itself whether it reads a score, so these have no effect.
"""

REFUSED: Mapping[str, str] = {
    "custom_pipeline": "code of others is not run",
    "custom_revision": "code of others is not run",
    "mirror": "set HF_ENDPOINT to a mirror",
    "provider": "ONNX is not read",
    "provider_options": "ONNX is not read",
    "quantization_config": "weights are not quantised; precision='bf16' halves them",
    "sess_options": "ONNX is not read",
    "use_flashpack": "only safetensors are read",
    "use_onnx": "ONNX is not read",
}
"""diffusers' arguments of `from_pretrained` that cannot be obeyed, and why."""


def read_parts(options: Mapping[str, Any], where: str = "a pipeline") -> dict[str, Any]:
    """The parts among the arguments of a pipeline's loading; what has no effect is left out.

    Raises InputError, which says ``where``, for names that are not known, and for what cannot be obeyed.
    """
    for name, value in options.items():
        if name in REFUSED and value is not None and value is not False:
            raise InputError(f"{name}: {REFUSED[name]}")
    refuse_unknown(where, [name for name in options if name not in REFUSED], [*PARTS, ZEROES, *ABSENT])
    return {name: value for name, value in options.items() if name in (*PARTS, ZEROES) and value is not None}


def read_told(
    where: str, options: Mapping[str, Any], loader: Callable[..., Any]
) -> tuple[dict[str, Any], AbstractContextManager[None]]:
    """The parts among what a pipeline's ``loader`` was given by name, and what it was told about fetching, obeyed.

    Raises InputError as `read_parts`.
    """
    named = [*list_arguments(loader), *PARTS, ZEROES, *ABSENT]
    told = {name: value for name, value in options.items() if name not in (*PARTS, ZEROES, *ABSENT, *REFUSED)}
    fetching = fetching_as_told(where, told, named)
    return read_parts({name: value for name, value in options.items() if name not in told}, where), fetching


def join_parts(parts: Mapping[str, Any]) -> Components:
    """Components of parts in memory. Raises InputError where one is missing, or of another kind."""
    missing = [name for name in PARTS if parts.get(name) is None and name not in OPTIONAL]
    if (parts.get("text_encoder_2") is None) != (parts.get("tokenizer_2") is None):
        missing += [name for name in ("text_encoder_2", "tokenizer_2") if parts.get(name) is None]
    if missing:
        raise InputError(f"a pipeline needs {', '.join(missing)}; from_pretrained loads all of it")
    for name, value in parts.items():
        _check_part(name, value)
    second = parts.get("tokenizer_2")
    return Components(
        parts["unet"],
        parts["vae"],
        parts["text_encoder"],
        parts["tokenizer"],
        read_schedule(parts["scheduler"]),
        find_tokenizer_folder(parts["tokenizer"]),
        image_encoder=parts.get("image_encoder"),
        text_encoder_2=parts.get("text_encoder_2"),
        tokenizer_2=second,
        tokenizer_2_folder=None if second is None else find_tokenizer_folder(second),
        zeroes_no_negative=second is not None and parts.get(ZEROES, True),
    )


def replace_parts(components: Components, parts: Mapping[str, Any]) -> Components:
    """Components with other parts. Another network is none of the files' any more, and told by its weights.

    Raises InputError for a part of another kind.
    """
    changes: dict[str, Any] = {}
    for name, value in parts.items():
        _check_part(name, value)
        if name == "scheduler":
            changes["schedule"] = read_schedule(value)
        elif name == ZEROES:
            changes["zeroes_no_negative"] = value and components.text_encoder_2 is not None
        elif getattr(components, name) is not value:
            changes[name] = value
            if name in ("tokenizer", "tokenizer_2"):
                changes[f"{name}_folder"] = find_tokenizer_folder(value)
    exchanged = [name for name in changes if name in NETWORKS]
    if exchanged:
        kept = {name: stored for name, stored in components.stored.items() if name not in exchanged}
        changes.update(stored=kept, words=None)
    return replace(components, **changes) if changes else components


def read_schedule(scheduler: Any) -> ScheduleConfig:
    """What a scheduler says of levels and sampler. Raises InputError for what is none of ours."""
    if not isinstance(scheduler, Scheduler):
        kind = repr(scheduler)[:60] if isinstance(scheduler, str) else type(scheduler).__name__
        raise InputError(f"scheduler must be one of jstyle's, such as jstyle.DDIMScheduler, not {kind}")
    return scheduler.schedule.config


def find_tokenizer_folder(tokenizer: Any) -> Path:
    """The folder that a tokenizer was read from."""
    return Path(getattr(tokenizer, "name_or_path", "") or "")


def _check_part(name: str, value: Any) -> None:
    if name == ZEROES and not isinstance(value, bool):
        raise InputError(f"{name} must be true or false, not {show(value)}")
    kind: Optional[type] = NETWORKS.get(name)
    if kind is not None and value is not None and not isinstance(value, kind):
        raise InputError(f"{name} must be a jstyle.{kind.__name__}, not {type(value).__name__}")
    if name in ("tokenizer", "tokenizer_2") and value is not None and not callable(value):
        raise InputError(f"{name} must be transformers' CLIPTokenizer, not {type(value).__name__}")


def make_scheduler(config: ScheduleConfig) -> Scheduler:
    """The scheduler, under diffusers' name, that goes by a configuration.

    What a file leaves out stays left out, as `from_config` of another class asks for it. Raises InputError where the
    configuration is that of a scheduler which is not here.
    """
    kind = getattr(classes, SCHEDULERS[config.choose_sampler()][0])
    path = Path(config.source)
    return kind.from_config(read_json(path) if path.suffix == ".json" and path.is_file() else config.to_dict())
