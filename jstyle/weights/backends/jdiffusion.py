"""The networks of a pipeline as JDiffusion's Stable Diffusion pipeline provides them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from jstyle.diffusion.schedule_config import ScheduleConfig
from jstyle.errors import InputError
from jstyle.networks import CLIPVisionModelWithProjection
from jstyle.settings.model import ModelSettings
from jstyle.weights import checkpoint
from jstyle.weights.backends import library
from jstyle.weights.backends.hosted import HostedTextEncoder, HostedUNet, HostedVAE
from jstyle.weights.checkpoint import Components
from jstyle.weights.model_files import locate_model


def load(settings: ModelSettings) -> Components:
    """Read a model's folder, as settings name it, into JDiffusion's pipeline.

    JDiffusion builds it. Then this project's loader reads the weights again, because JDiffusion's accepts missing
    and unknown keys silently. Raises InputError as ``checkpoint.load`` does, for a model that is not in one folder, and
    without a usable JDiffusion.
    """
    if settings.precision != "fp32":
        raise InputError(f"backend jdiffusion runs in fp32, not in {settings.precision}; leave precision at fp32")
    module = library.jdiffusion()
    model = locate_model(settings)
    if model.folder is None:
        raise InputError(
            "backend jdiffusion reads models in one folder of diffusers' layout alone; leave backend at native"
        )
    read = model.configurations
    if read.text_encoder_2 is not None:
        raise InputError("backend jdiffusion has no Stable Diffusion XL; leave backend at native")
    with library.jtorch_mode(), library.silence():
        pipe = module.StableDiffusionPipeline.from_pretrained(
            str(model.folder),
            variant=settings.variant,
            safety_checker=None,
            requires_safety_checker=False,
            local_files_only=True,
        )
    hosted = replace(
        host_components(pipe),
        tokenizer=checkpoint.read_tokenizer(model.tokenizer, read.text_encoder),
        schedule=read.schedule,
        tokenizer_folder=model.tokenizer,
        image_encoder=None if read.image_encoder is None else CLIPVisionModelWithProjection(read.image_encoder),
    )
    return checkpoint.fill_components(hosted, model)


def host_components(pipe: Any) -> Components:
    """The parts of a JDiffusion pipeline behind hosted networks. The weights are shared, not copied.

    Raises InputError for a pipeline of another kind, and for one whose networks are not Stable Diffusion's.
    """
    for name in ("unet", "vae", "text_encoder", "tokenizer", "scheduler"):
        if getattr(pipe, name, None) is None:
            raise InputError(
                f"a {type(pipe).__name__} has no {name}: hand in a Stable Diffusion pipeline of JDiffusion"
            )
    mode = library.jtorch_mode
    return Components(
        HostedUNet(pipe.unet, mode),
        HostedVAE(pipe.vae, mode),
        HostedTextEncoder(pipe.text_encoder, library.silent_jtorch_mode),
        pipe.tokenizer,
        ScheduleConfig.from_dict(dict(pipe.scheduler.config)),
        Path(getattr(pipe.tokenizer, "name_or_path", "")),
    )
