"""Where the autoencoder's training begins: an encoder that computes principal components, a decoder that blurs.

From random weights a network this deep needs thousands of steps before it passes on even the first principal
components of 8 x 8 blocks. Here the skip connections alone pass them on: residual branches start at zero, the encoder's
downsampling convolutions move pixels to channels, the last of them projecting; the decoder's convolutions carry the
components, and the colours that follow from them, up to full resolution. All else starts at random and learns the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jstyle.errors import InputError
from jstyle.networks import AutoencoderKL
from jstyle.networks.initial import initialise, set_values
from recipes.tiny.pictures import as_input

ZERO = ("conv2", "to_out.0")
_STEADY = 4.0  # large beside values of about one, on which a group norm's deviation then hardly depends
_LOG_VARIANCE = -6.0
_SMOOTH = np.outer([1, 2, 1], [1, 2, 1]) / 16  # after nearest upsampling this amounts to linear interpolation


def start_linear(vae: AutoencoderKL, seed: int, pictures: np.ndarray) -> None:
    """Fill the network; ``pictures`` (n, size, size, 3) uint8 give the components.

    Raises InputError where the groups of the last norms are too small for the channels.
    """
    initialise(vae, seed, ZERO)
    components, colours = _find_components(pictures, vae.config.factor, vae.config.latent_channels)
    _start_encoder(vae, components)
    _start_decoder(vae, colours)


def _find_components(pictures: np.ndarray, block: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The principal components of blocks: (count, block, block, 3), whose products with blocks have variance one.

    The mean is not subtracted. Also (3, count + 1), which gives a block's mean colour from its components and 1.
    """
    x = as_input(pictures).transpose(0, 2, 3, 1).astype(np.float64)
    n, h, w, _ = x.shape
    blocks = x.reshape(n, h // block, block, w // block, block, 3).transpose(0, 1, 3, 2, 4, 5).reshape(-1, block**2 * 3)
    variances, directions = np.linalg.eigh(np.cov(blocks.T))
    components = (directions[:, ::-1][:, :count] / np.sqrt(variances[::-1][:count])).T
    products = np.column_stack([blocks @ components.T, np.ones(len(blocks))])
    colours = np.linalg.lstsq(products, blocks.reshape(-1, block**2, 3).mean(axis=1), rcond=None)[0]
    return components.reshape(count, block, block, 3), colours.T


def _start_encoder(vae: AutoencoderKL, components: np.ndarray) -> None:
    encoder, widths, count = vae.encoder, vae.config.block_out_channels, vae.config.latent_channels
    projection = components.transpose(0, 3, 1, 2)  # (count, carried, block, block): what is carried to components
    carried = 3
    _fill(encoder.conv_in, np.eye(carried))
    for level, block in enumerate(encoder.down_blocks):
        if level and widths[level] != widths[level - 1]:
            _fill(block.resnets[0].conv_shortcut, np.eye(carried))
        if level == len(widths) - 1:
            break
        # the pixels of a 2 x 2 square become channels
        kernel = np.zeros((4 * carried, carried, 3, 3))
        for i in range(4):
            kernel[np.arange(carried) + i * carried, np.arange(carried), i // 2, i % 2] = 1
        projection = _merge_squares(projection)
        if level == len(widths) - 2:
            kernel = np.tensordot(projection[:, :, 0, 0], kernel, 1)
        _fill(block.downsamplers[0].conv, kernel)
        carried = len(kernel)
    _lead_through(encoder.down_blocks[-1].resnets[0].conv_shortcut, count, encoder.conv_norm_out, encoder.conv_out)
    set_values(vae.quant_conv.weight, np.diag(np.repeat([1.0, 0.0], count))[:, :, None, None])
    set_values(vae.quant_conv.bias, np.repeat([0.0, _LOG_VARIANCE], count))


def _start_decoder(vae: AutoencoderKL, colours: np.ndarray) -> None:
    decoder, count = vae.decoder, vae.config.latent_channels
    carried = 3 + count
    set_values(vae.post_quant_conv.weight, np.eye(count)[:, :, None, None])
    _fill(decoder.conv_in, np.vstack([colours[:, :-1], np.eye(count)]), [*colours[:, -1], *[0.0] * count])
    for block in decoder.up_blocks[:-1]:
        if block.resnets[0].conv_shortcut is not None:
            _fill(block.resnets[0].conv_shortcut, np.eye(carried))
        kernel = np.zeros((carried, carried, 3, 3))
        kernel[range(carried), range(carried)] = _SMOOTH
        _fill(block.upsamplers[0].conv, kernel)
    _lead_through(decoder.up_blocks[-1].resnets[0].conv_shortcut, 3, decoder.conv_norm_out, decoder.conv_out)


def _lead_through(shortcut: Any, count: int, norm: Any, conv_out: Any) -> None:
    """Lead the first ``count`` channels through a shortcut, a group norm with its SiLU and the last convolution.

    silu(x) - silu(-x) = x, so each is carried once as it is and once negated. In each group, channels with the
    constant values plus and minus _STEADY determine the norm's deviation.
    """
    groups, width = norm.groups, norm.weight.shape[0]
    pairs, size = -(-count // groups), width // norm.groups
    steady = 2 * max(1, (size - 2 * pairs) // 4)
    if 2 * pairs + steady > size:
        raise InputError(f"{count} channels do not fit into {groups} groups of {size}; choose fewer groups")
    matrix, bias = shortcut.weight.numpy()[:, :, 0, 0].copy(), np.zeros(width)
    scale, out = np.ones(width), np.zeros(tuple(conv_out.weight.shape))
    for group in range(groups):
        first = group * size
        for i, channel in enumerate(range(group * pairs, min(count, (group + 1) * pairs))):
            for place, sign in ((first + i, 1.0), (first + pairs + i, -1.0)):
                matrix[place] = sign * np.eye(matrix.shape[1])[channel]
                scale[place] = np.sqrt((steady * _STEADY**2 + size - steady) / size)
                out[channel, place, 1, 1] = sign
        constants = slice(first + 2 * pairs, first + 2 * pairs + steady)
        matrix[constants], bias[constants] = 0, np.tile([_STEADY, -_STEADY], steady // 2)
    set_values(shortcut.weight, matrix[:, :, None, None])
    set_values(shortcut.bias, bias)
    set_values(norm.weight, scale)
    set_values(conv_out.weight, out)


def _fill(conv: Any, kernel: np.ndarray, bias: Sequence[float] = ()) -> None:
    """Give the first outputs of a convolution this kernel, (out, in, 3, 3), or (out, in) for the middle of it."""
    weight = conv.weight.numpy().copy()
    middle = weight.shape[2] // 2
    weight[: len(kernel)] = 0
    if kernel.ndim == 2:
        weight[: len(kernel), : kernel.shape[1], middle, middle] = kernel
    else:
        weight[: len(kernel), : kernel.shape[1]] = kernel
    set_values(conv.weight, weight)
    set_values(conv.bias, np.pad(np.asarray(bias, np.float64), (0, len(weight) - len(bias))))


def _merge_squares(weights: np.ndarray) -> np.ndarray:
    """Weights (out, in, 2h, 2w) for pixels -> the same as weights (out, 4 in, h, w) for 2 x 2 squares of pixels."""
    out, channels, h, w = weights.shape
    squares = weights.reshape(out, channels, h // 2, 2, w // 2, 2).transpose(0, 3, 5, 1, 2, 4)
    return squares.reshape(out, 4 * channels, h // 2, w // 2)
