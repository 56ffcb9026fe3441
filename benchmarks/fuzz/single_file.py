"""Single files, spoilt in header, names and numbers: python -m benchmarks.fuzz.single_file --inputs 10000"""

from __future__ import annotations

import random
import sys
import tempfile
import warnings
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.fuzz import trials
from benchmarks.fuzz.tensor_files import HostileFile
from jstyle.diffusion.schedule_config import ScheduleConfig
from jstyle.diffusion.tokenizer import load_tokenizer
from jstyle.networks import AutoencoderKL, CLIPTextModel, UNet2DConditionModel
from jstyle.networks.config import CLIPTextConfig, UNetConfig, VAEConfig
from jstyle.settings.model import ModelSettings
from jstyle.weights import checkpoint, hub
from jstyle.weights.single_file import names

UNET = UNetConfig(
    sample_size=16, block_out_channels=(8,), down_block_types=("CrossAttnDownBlock2D",),
    up_block_types=("CrossAttnUpBlock2D",), layers_per_block=1, norm_num_groups=4, cross_attention_dim=8,
    attention_head_dim=1,
)  # fmt: skip
VAE = VAEConfig(block_out_channels=(8,), norm_num_groups=4)
TEXT = CLIPTextConfig(743, 8, 8, 8, 1, 1, hidden_act="gelu")
SCHEDULE = ScheduleConfig("ddim", 1000, 0.00085, 0.012, "scaled_linear")
_PLACE = tempfile.TemporaryDirectory()  # until the end of the process
BESIDE = {"v_pred": (0,), "ztsnr": (0,), "model_ema.decay": (), "betas": (9,), "conditioner.x": (2,), "other": (2,)}


def draw(rng: random.Random) -> bytes:
    """The smallest model there is in one file, mostly spoilt."""
    shapes, _ = _make_model()
    kept = {name: shape for name, shape in shapes.items() if rng.random() < 0.9999}
    kept.update({name: shape for name, shape in BESIDE.items() if rng.random() < 0.05})
    metadata = {"modelspec.prediction_type": rng.choice(["v", "epsilon", "\x1b[1m"])} if rng.random() < 0.3 else {}
    file = HostileFile({name: np.full(shape, 0.1, np.float32) for name, shape in kept.items()}, metadata)
    for _ in range(rng.choice([0, 0, 1, 1, 2])):
        file.change(rng)
    return file.to_bytes(rng)


def read(content: bytes) -> None:
    """Load it, its configurations and tokenizer from a folder."""
    _, base = _make_model()
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("error")
        file = Path(place) / "model.safetensors"
        file.write_bytes(content)
        checkpoint.load(ModelSettings(str(file), base_model=str(base)))


@cache
def _make_model() -> tuple[dict[str, tuple[int, ...]], Path]:
    """The names and shapes in its file, and the folder of its configurations."""
    networks = UNet2DConditionModel(UNET), AutoencoderKL(VAE), CLIPTextModel(TEXT)
    places = (
        ("model.diffusion_model.", names.find_unet_names(UNET)),
        ("first_stage_model.", names.find_vae_names(VAE)),
        ("cond_stage_model.transformer.", names.find_clip_names),
    )
    shapes = {
        prefix + place(name).name: tuple(value.shape)
        for network, (prefix, place) in zip(networks, places)
        for name, value in network.named_parameters()
    }
    tokenizer = hub.locate(hub.EMBEDDED) / "tokenizer"
    base = Path(_PLACE.name) / "base"
    checkpoint.save(checkpoint.Components(*networks, load_tokenizer(tokenizer), SCHEDULE, tokenizer), base)
    return shapes, base


if __name__ == "__main__":
    _make_model()
    sys.exit(trials.main(__doc__, draw, read))
