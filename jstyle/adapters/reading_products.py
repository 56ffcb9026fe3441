"""Reads the kinds of adapters that multiply a weight: GLoRA, (IA)3, OFT and BOFT."""

from __future__ import annotations

import math

import numpy as np

from jstyle.adapters.changes import Change
from jstyle.adapters.decomposed import Generalised, Rescaled
from jstyle.adapters.deltas import Delta
from jstyle.adapters.lora_config import LoraConfig
from jstyle.adapters.rotations import Rotated, Turn, order_butterfly, order_stage, turn_by_cayley, turn_by_series
from jstyle.adapters.stored_layers import StoredLayer
from jstyle.errors import InputError
from jstyle.networks.layers import Conv2d


def read_glora(layer: StoredLayer) -> Change:
    """Today's layout, or that of LyCORIS before 2.0, which has all four the other way round."""
    inputs = layer.shape[1]
    is_old = layer.shape_of("a1", 2)[0] != inputs or layer.shape_of("b1", 2)[0] != layer.outputs
    first, second = ("2", "1") if is_old else ("1", "2")
    rank = layer.shape_of(f"a{second}", 2)[0]
    added = {
        "up": layer.read(f"b{first}", layer.outputs, rank),
        "down": layer.read(f"b{second}", rank, layer.inputs),
    }
    scale = layer.find_scale(rank)
    return Generalised(
        layer.read(f"a{first}", inputs, rank),
        layer.read(f"a{second}", rank, inputs),
        Delta("product", added, layer.shape, scale),
        scale,
    )


def read_rescaled(layer: StoredLayer) -> Change:
    """(IA)3 as LyCORIS writes it."""
    on_input = layer.read_number("on_input")
    if on_input not in (0, 1):
        raise InputError(f"{layer.keys['on_input']} is {on_input:g}, neither 0 nor 1; fetch the file again")
    count = layer.shape[1] if on_input else layer.outputs
    return Rescaled(layer.read_flat("weight", count), int(on_input), with_bias=False)


def read_peft_rescaled(layer: StoredLayer) -> Change:
    """(IA)3 as peft writes it."""
    shape = layer.shape_of("ia3_l", 2)
    if len(layer.shape) == 2:
        axis = 1 if shape[0] == 1 else 0
    elif layer.shape[0] != layer.shape[1]:
        axis = 1 if math.prod(shape) == layer.shape[1] else 0
    else:
        axis = int(layer.config.is_feed_forward(layer.names))
    count = layer.shape[axis]
    return Rescaled(layer.read_flat("ia3_l", count) - 1, axis, with_bias=axis == 0)


def read_rotated(layer: StoredLayer) -> Change:
    """OFT and BOFT of LyCORIS, and sd-scripts' OFT."""
    *stages, blocks, size, width = layer.shape_of("oft_blocks", 3)
    if len(stages) > 1 or blocks * size != layer.outputs or width != size:
        raise InputError(
            f"{layer.keys['oft_blocks']} is {[*stages, blocks, size, width]}, which does not turn the layer's "
            f"{layer.outputs} outputs; it is for another model"
        )
    number = stages[0] if stages else 1
    if stages and (size % 2 or blocks % 2 ** (number - 1)):
        raise InputError(f"{layer.keys['oft_blocks']} has {number} stages of blocks of {size}: fetch the file again")
    stored = layer.read("oft_blocks", *stages, blocks, size, size).astype(np.float64)
    skew = stored - stored.swapaxes(-1, -2)
    bound = layer.read_number("alpha") * layer.outputs if "alpha" in layer else 0.0
    if not math.isfinite(bound):
        raise InputError(f"{layer.keys['alpha']} is not finite; fetch the file again")
    length = float(np.linalg.norm(skew)) + 1e-8
    turned = turn_by_cayley(skew * (bound / length) if 0 < bound < length else skew)
    if stages:
        turns = [Turn(turned[stage], order_stage(layer.outputs, stage, size)) for stage in range(number)]
    else:
        turns = [Turn(np.ascontiguousarray(turned.swapaxes(-1, -2)))]
    excess = layer.read_flat("rescale", layer.outputs) - 1 if "rescale" in layer else None
    return Rotated(tuple(turns), 0, excess)


def read_peft_rotated(layer: StoredLayer) -> Change:
    """peft's or, without peft's configuration, OneTrainer's OFT, which turns a convolution the other way round."""
    blocks, stored = layer.shape_of("oft_R", 2)[:2]
    size = (1 + math.isqrt(1 + 8 * stored)) // 2
    if size * (size - 1) // 2 != stored or layer.inputs % size or blocks not in (1, layer.inputs // size):
        raise InputError(
            f"{layer.keys['oft_R']} is [{blocks}, {stored}], which does not turn the layer's {layer.inputs} inputs; "
            "it is for another model"
        )
    is_pefts, is_conv = layer.config.kind == "OFT", isinstance(layer.base, Conv2d)
    if is_pefts and is_conv and layer.inputs != layer.shape[1]:
        raise InputError(
            f"{layer.names[0]} is a convolution over several pixels, where peft's OFT does not merge what it trains; "
            "train it on linear layers"
        )
    vectors = layer.read("oft_R", blocks, stored).astype(np.float64)
    if "scaled_oft" in layer and layer.read_number("scaled_oft"):
        vectors = vectors / (2 * math.sqrt(size - 1))
    rows, columns = np.triu_indices(size, 1)
    upper = np.zeros((blocks, size, size))
    upper[:, rows, columns] = vectors
    turned = _turn_as_peft(upper - upper.swapaxes(-1, -2), layer.config)
    if is_conv and not is_pefts:
        turned = turned.swapaxes(-1, -2)
    turned = np.broadcast_to(turned, (layer.inputs // size, size, size))
    return Rotated((Turn(np.ascontiguousarray(turned)),), 1)


def read_peft_butterfly(layer: StoredLayer) -> Change:
    """peft's BOFT."""
    number, blocks, size, width = (*layer.shape_of("boft_R", 4), 1)[:4]
    groups = 2 ** (number - 1)
    if blocks * size != layer.inputs or width != size or (number > 1 and (size % 2 or blocks % groups)):
        raise InputError(
            f"{layer.keys['boft_R']} is {[number, blocks, size, width]}, which does not turn the layer's "
            f"{layer.inputs} inputs; it is for another model"
        )
    stored = layer.read("boft_R", number, blocks, size, size).astype(np.float64)
    turned = turn_by_cayley((stored.swapaxes(-1, -2) - stored) / 2)
    orders = [
        order_butterfly(layer.inputs, blocks // 2**stage, size // 2) if number > 1 else None for stage in range(number)
    ]
    excess = layer.read_flat("boft_s", layer.outputs) - 1
    return Rotated(tuple(Turn(turned[stage], orders[stage]) for stage in range(number)), 1, excess)


def _turn_as_peft(skew: np.ndarray, config: LoraConfig) -> np.ndarray:
    """peft's matrices of skew-symmetric ones (blocks, b, b), bounded where its configuration says so."""
    if config.bound is not None:
        lengths = np.linalg.norm(skew, axis=(1, 2), keepdims=True)
        bound = config.bound / math.sqrt(len(skew))
        skew = skew * np.minimum(1, bound / np.maximum(lengths, bound))
    return turn_by_cayley(-skew) if config.series_terms is None else turn_by_series(skew, config.series_terms)
