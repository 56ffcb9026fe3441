"""The start of a network: its scales, its zeros, and that it depends on names alone."""

from __future__ import annotations

import numpy as np

from jstyle.networks import UNet2DConditionModel
from jstyle.networks.config import UNetConfig
from jstyle.networks.initial import initialise
from jstyle.runtime import jt

CONFIG = UNetConfig(
    down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    block_out_channels=(32, 64),
    layers_per_block=1,
    cross_attention_dim=16,
    attention_head_dim=2,
)


def arrays(seed: int, zero: tuple = ()) -> dict:
    unet = UNet2DConditionModel(CONFIG)
    initialise(unet, seed, zero)
    return {name: parameter.numpy() for name, parameter in unet.named_parameters()}


def test_scales() -> None:
    start = arrays(0)
    weight = start["mid_block.resnets.0.conv1.weight"]
    assert np.isclose(weight.std(), 1 / np.sqrt(3 * 64 * 9), rtol=0.02)
    assert (start["mid_block.resnets.0.norm1.weight"] == 1).all()
    assert (start["mid_block.resnets.0.conv1.bias"] == 0).all()
    assert np.isclose(start["time_embedding.linear_1.weight"].std(), 1 / np.sqrt(3 * 32), rtol=0.05)


def test_it_depends_on_seed_and_name() -> None:
    one, same, other = arrays(0), arrays(0), arrays(1)
    assert all((one[name] == same[name]).all() for name in one)
    assert not (one["conv_in.weight"] == other["conv_in.weight"]).any()


def test_branches_that_start_at_zero() -> None:
    start = arrays(0, ("conv2", "conv_out"))
    assert not start["mid_block.resnets.0.conv2.weight"].any() and not start["conv_out.weight"].any()
    assert start["mid_block.resnets.0.conv1.weight"].any()
    unet = UNet2DConditionModel(CONFIG)
    initialise(unet, 0, ("conv_out",))
    x = jt.array(np.ones((1, 4, 8, 8), np.float32))
    assert not unet(x, 3, jt.array(np.ones((1, 7, 16), np.float32))).sample.numpy().any()
