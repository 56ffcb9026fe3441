"""Write the embedded model anew: `python scripts/make_tiny.py FOLDER`.

It stands in until a trained one is here, and is honest about it: the autoencoder is exact, built by hand to
pass pixels through; the text encoder and the UNet are seeded random numbers, the UNet's output made small.
So DDIM inversion and the attention seams do real work, while of a style only the palette is transferred.
"""

from __future__ import annotations

import shutil
import sys
import zlib
from pathlib import Path
from typing import Dict

import numpy as np
from command_line import run

SIZE = 96  # pixels
LARGE = 64.0  # against colours of at most 1, this decides every group norm of the autoencoder
OUTPUT = 0.05  # deviation of the UNet's output, a share of the latent's
TOKENIZER = Path(__file__).resolve().parents[1] / "jstyle" / "embedded" / "tiny" / "tokenizer"


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/make_tiny.py FOLDER")
    from jstyle import checkpoint, prompts
    from jstyle.config import CLIPTextConfig, UNetConfig, VAEConfig
    from jstyle.models import AutoencoderKL, CLIPTextModel, UNet2DConditionModel
    from jstyle.schedule import ScheduleConfig
    from jstyle.weights import ArrayTensors, load

    unet = UNet2DConditionModel(
        UNetConfig(
            sample_size=SIZE,
            down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
            block_out_channels=(8, 16, 32, 32),
            norm_num_groups=8,
            cross_attention_dim=32,
            attention_head_dim=(1, 1, 2, 2),
            use_linear_projection=True,
        )
    )
    vae = AutoencoderKL(VAEConfig(block_out_channels=(16,), norm_num_groups=1, sample_size=SIZE, scaling_factor=2.0))
    tokenizer = prompts.load_tokenizer(TOKENIZER)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text_config = CLIPTextConfig(len(tokenizer), 32, 64, 32, 2, 2, hidden_act="gelu", pad_token_id=0, **ends)
    text = CLIPTextModel(text_config)
    schedule = ScheduleConfig(
        "ddim", 1000, 0.00085, 0.012, "scaled_linear", None, "v_prediction", "leading", 1, set_alpha_to_one=False
    )
    for network, arrays in ((unet, random_weights(unet)), (text, random_weights(text)), (vae, pass_through(vae))):
        load(network, ArrayTensors(arrays), type(network).__name__)
    checkpoint.save(checkpoint.Components(unet, vae, text, tokenizer, schedule, TOKENIZER), Path(sys.argv[1]))
    shutil.rmtree(Path(sys.argv[1]) / "__pycache__", ignore_errors=True)


def random_weights(network) -> Dict[str, np.ndarray]:
    """Normal numbers of deviation 1 / sqrt(fan in), norms at one, each parameter seeded by its name."""
    arrays = {}
    for name, parameter in network.named_parameters():
        shape = tuple(parameter.shape)
        noise = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, np.float32)
        if len(shape) == 1:
            arrays[name] = np.full(shape, "norm" in name and name.endswith("weight"), np.float32)
        else:
            arrays[name] = noise / np.float32(np.prod(shape[1:]) ** 0.5)
    if "conv_out.weight" in arrays:
        arrays["conv_out.weight"] *= OUTPUT
    return arrays


def pass_through(vae) -> Dict[str, np.ndarray]:
    """An autoencoder whose latent is (red, green, blue, brightness) of each pixel.

    Its blocks' residuals are zero. The last norm and SiLU are undone: channels +-LARGE fix the norm's
    deviation, and silu(z) - silu(-z) = z.
    """
    arrays = {name: np.zeros(tuple(p.shape), np.float32) for name, p in vae.named_parameters()}
    brightness = np.vstack([np.eye(3), np.full((1, 3), 1 / 3)])
    for part, into, out in (("encoder", brightness, np.eye(8, 4)), ("decoder", np.eye(4), np.eye(3, 4))):
        arrays[f"{part}.conv_in.weight"][:8, :, 1, 1] = np.vstack([into, -into])
        arrays[f"{part}.conv_in.bias"][8:] = [LARGE] * 4 + [-LARGE] * 4
        arrays[f"{part}.conv_norm_out.weight"][:8] = LARGE / 2**0.5  # half of the channels are +-LARGE
        arrays[f"{part}.conv_out.weight"][:, :8, 1, 1] = np.hstack([out, -out])
    arrays["encoder.conv_out.bias"][4:] = -20.0  # the posterior's log-variance
    arrays["quant_conv.weight"][:, :, 0, 0] = np.eye(8)
    arrays["post_quant_conv.weight"][:, :, 0, 0] = np.eye(4)
    return arrays


if __name__ == "__main__":
    run(main)
