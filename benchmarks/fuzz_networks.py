"""Small networks of random weights, called with random shapes: each call is computed, or refused in one line.

    python -m benchmarks.fuzz_networks [--calls 300] [--seed 0]

Under `python -m benchmarks.sanitized` reads and writes beyond a tensor end it. Exits with 1 where something is wrong.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

from jstyle.errors import InputError
from jstyle.networks import AutoencoderKL, CLIPTextModel, CLIPVisionModelWithProjection, UNet2DConditionModel
from jstyle.networks.config import CLIPTextConfig, CLIPVisionConfig, UNetConfig, VAEConfig
from jstyle.runtime import jt

Draw = Callable[[np.random.Generator], Callable[[], jt.Var]]


def draw_unet(rng: np.random.Generator) -> Callable[[], jt.Var]:
    """A UNet of one or two levels on latents and a text, with gradients now and then."""
    config = UNetConfig(
        block_out_channels=(16, 24),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=int(rng.choice([5, 16, 20])),
        attention_head_dim=2,
        use_linear_projection=bool(rng.integers(2)),
    )
    unet = fill(UNet2DConditionModel(config), rng, 0.2)
    rows = int(rng.integers(1, 3))
    sample = draw_array(rng, (rows, 4, int(rng.integers(1, 12)), int(rng.integers(1, 12))))
    text = draw_array(rng, (rows, int(rng.integers(1, 12)), config.cross_attention_dim))
    times = rng.uniform(0, 999, int(rng.choice([1, 1, rows, 3]))).tolist()
    learnt = rng.random() < 0.3

    def call() -> jt.Var:
        out = unet(sample, times, text).sample
        if not learnt:
            return out
        return jt.grad((out * out).sum(), [unet.conv_in.weight])[0]

    return call


def draw_autoencoder(rng: np.random.Generator) -> Callable[[], jt.Var]:
    """An autoencoder that encodes or decodes."""
    config = VAEConfig(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
    )
    vae = fill(AutoencoderKL(config), rng)
    height, width = (int(n) for n in rng.integers(1, 12, 2))
    if rng.random() < 0.5:
        image = draw_array(rng, (1, 3, height, width))
        return lambda: vae.encode(image).latent_dist.mode()
    latent = draw_array(rng, (1, 4, height, width))
    return lambda: vae.decode(latent).sample


def draw_text_encoder(rng: np.random.Generator) -> Callable[[], jt.Var]:
    """CLIP's text encoder on ids, some of which no table has."""
    encoder = fill(CLIPTextModel(CLIPTextConfig(50, 12, 24, 12, 2, 2, 9)), rng)
    ids = rng.integers(0, 50, (int(rng.integers(1, 4)), int(rng.integers(1, 12))))
    if rng.random() < 0.3:
        ids.flat[0] = rng.choice([-1, 50, 10**6])
    chosen = jt.array(ids.astype(np.int32).reshape(ids.shape if rng.random() < 0.8 else -1))
    return lambda: encoder(chosen)[0]


def draw_image_encoder(rng: np.random.Generator) -> Callable[[], jt.Var]:
    """CLIP's image encoder on pixels."""
    config = CLIPVisionConfig(
        hidden_size=12, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, image_size=16, patch_size=8
    )
    encoder = fill(CLIPVisionModelWithProjection(config), rng)
    pixels = draw_array(rng, (int(rng.integers(1, 3)), 3, 16, 16))
    return lambda: encoder(pixels).embeds


NETWORKS: tuple[Draw, ...] = (draw_unet, draw_unet, draw_autoencoder, draw_text_encoder, draw_image_encoder)


def fill(network: Any, rng: np.random.Generator, broken_share: float = 0.0) -> Any:
    """The network with random weights; by this chance one of them is of another shape, as from another model's file."""
    parameters = list(network.parameters())
    broken = int(rng.integers(len(parameters))) if rng.random() < broken_share else -1
    for i, parameter in enumerate(parameters):
        shape = [int(n) for n in parameter.shape]
        if i == broken:
            shape[0] = max(1, shape[0] + int(rng.choice([-1, 1, 7])))
        value = jt.array(rng.standard_normal(shape, np.float32) * np.float32(0.2))
        parameter.assign(value) if i != broken else parameter.update(value)
    return network


def draw_array(rng: np.random.Generator, shape: tuple[int, ...]) -> jt.Var:
    """An array of this shape or, in one case of three, of a shape near it."""
    sides = list(shape)
    if rng.random() < 0.35:
        axis = int(rng.integers(len(sides)))
        kind = rng.integers(4)
        if kind == 0:
            sides[axis] = max(1, sides[axis] + int(rng.choice([-1, 1, 3])))
        elif kind == 1:
            del sides[axis]
        elif kind == 2:
            sides.insert(axis, 1)
        else:
            sides[axis] *= 2
    return jt.array(rng.standard_normal(sides, np.float32))


def main() -> None:
    """Draw, run, count."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    computed = refused = faults = 0
    for number in range(options.calls):
        rng = np.random.default_rng((options.seed, number))
        draw = NETWORKS[rng.integers(len(NETWORKS))]
        call = draw(rng)
        try:
            assert np.isfinite(call().numpy()).all(), "the result is not finite"
            computed += 1
        except InputError as error:
            refused += 1
            if "\n" in str(error):
                faults += 1
                print(f"call {number} ({draw.__name__}): not one line: {error}")
        except Exception as error:  # any other is what is looked for
            faults += 1
            print(f"call {number} ({draw.__name__}): {type(error).__name__}: {str(error)[:600]}", flush=True)
    print(f"{options.calls} calls: {computed} computed, {refused} refused in one line, {faults} wrong", flush=True)
    raise SystemExit(faults > 0)


if __name__ == "__main__":
    main()
