"""A small ArtFusion, as tests/golden/record_artfusion.py has it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jstyle.networks.artfusion.config import StyleUNetConfig
from jstyle.networks.artfusion.unet import StyleUNet
from jstyle.networks.artfusion.vgg import VGG16
from jstyle.networks.config import VAEConfig
from jstyle.networks.vae import AutoencoderKL
from jstyle.weights.artfusion import ArtFusionSizes, describe_sizes
from jstyle.weights.single_file.names import find_vae_names
from jstyle.weights.tensors import write_tensors
from tests.golden import tiny

WIDTHS = (4, 4, 8, 8, 8)
SIZES = ArtFusionSizes(
    StyleUNetConfig(
        channels=4, refined_channels=3, width=32, head_width=16, style_width=2 * sum(WIDTHS), time_width=16,
        embedding_width=48, groups=8,
    ),
    VAEConfig(
        down_block_types=("DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
        up_block_types=("AttnUpDecoderBlock2D", "UpDecoderBlock2D"), block_out_channels=(32, 64), layers_per_block=1,
        scaling_factor=1.0,
    ),
    WIDTHS,
)  # fmt: skip
SHIFT, SCALE = [-0.74, -0.4, 0.43, -0.2], [0.33, 0.18, 0.34, 0.37]


TRAINED, AVERAGED = "model.diffusion_model.", "model_ema.diffusion_model"


def list_tensors() -> Iterator[tuple[str, np.ndarray]]:
    """What the program's model has, by its names and in its shapes."""
    for name, parameter in StyleUNet(SIZES.unet).named_parameters():
        is_attention = ".qkv." in name or ".proj_out." in name  # a convolution over one axis there
        one = (1,) if is_attention and name.endswith("weight") else ()
        yield f"{TRAINED}{name}", tiny.seeded_tensor(f"{TRAINED}{name}", (*parameter.shape, *one))
    find_name = find_vae_names(SIZES.vae)
    for name, parameter in AutoencoderKL(SIZES.vae).named_parameters():
        stored = f"first_stage_model.{find_name(name).name}"
        yield stored, tiny.seeded_tensor(stored, tuple(parameter.shape))
    for name, parameter in VGG16(WIDTHS).named_parameters():
        yield f"vgg.{name}", tiny.seeded_tensor(f"vgg.{name}", tuple(parameter.shape))
    yield "null_style_vector.weight", tiny.seeded_tensor("null_style_vector.weight", (1, SIZES.unet.style_width))
    yield "shift_values", np.float32(SHIFT)
    yield "scale_factors", np.float32(SCALE)


def write_model(file: Path, averaged: bool = False) -> Path:
    """The model's file: as we write it, or ``averaged``, as the program's checkpoint has it."""
    arrays = dict(list_tensors())
    if averaged:
        names = [name for name in arrays if name.startswith(TRAINED)]
        arrays.update({AVERAGED + name[len(TRAINED) :].replace(".", ""): arrays[name] for name in names})
        arrays["null_style_vector_ema.weight"] = arrays["null_style_vector.weight"]
        arrays.update({name: np.zeros_like(arrays[name]) for name in [*names, "null_style_vector.weight"]})
        arrays["model_ema.decay"] = arrays["model_ema.num_updates"] = np.float32(0.5)
    write_tensors(arrays, file, describe_sizes(SIZES))
    return file
