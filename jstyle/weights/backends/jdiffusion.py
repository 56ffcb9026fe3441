"""The networks of a pipeline as JDiffusion's Stable Diffusion pipeline provides them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

from jstyle.diffusion.schedule_config import ScheduleConfig
from jstyle.errors import InputError
from jstyle.weights import checkpoint, hub
from jstyle.weights.backends import library
from jstyle.weights.backends.hosted import HostedTextEncoder, HostedUNet, HostedVAE
from jstyle.weights.checkpoint import Components
from jstyle.weights.configuration import read_configurations
from jstyle.weights.known_words import read_words
from jstyle.weights.tensors import rename_text, rename_vae


def load(
    model: str, *, revision: Optional[str] = None, variant: Optional[str] = None, precision: str = "fp32"
) -> Components:
    """Read a folder, a hub id or "tiny" into JDiffusion's pipeline; the arguments are those of ``checkpoint.load``.

    JDiffusion builds it. Then this project's loader reads the weights again, because JDiffusion's accepts missing
    and unknown keys silently. Raises InputError as ``checkpoint.load`` does, and without a usable JDiffusion.
    """
    if precision != "fp32":
        raise InputError(f"backend jdiffusion runs in fp32, not in {precision}; leave precision at fp32")
    module = library.jdiffusion()
    folder = hub.locate(str(model), revision=revision, variant=variant)
    configurations = read_configurations(folder)
    with library.jtorch_mode(), library.silence():
        pipe = module.StableDiffusionPipeline.from_pretrained(
            str(folder), variant=variant, safety_checker=None, requires_safety_checker=False, local_files_only=True
        )
    hosted = host_components(pipe)
    files = [
        *checkpoint.fill_network(hosted.unet, checkpoint.UNET, folder, variant),
        *checkpoint.fill_network(hosted.vae, checkpoint.VAE, folder, variant, rename_vae),
        *checkpoint.fill_network(hosted.text_encoder, checkpoint.TEXT, folder, variant, rename_text),
    ]
    vision, vision_files = checkpoint.load_image_encoder(folder, variant)
    return Components(
        hosted.unet,
        hosted.vae,
        hosted.text_encoder,
        checkpoint.read_tokenizer(folder, configurations),
        configurations.schedule,
        folder / "tokenizer",
        (*files, *vision_files),
        vision,
        read_words(folder),
    )


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
