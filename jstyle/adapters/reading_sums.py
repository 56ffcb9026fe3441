"""Reads the kinds of adapters that add to a weight: LoRA, LoCon, LoHa, LoKr, whole differences; and their DoRA."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Optional

import numpy as np

from jstyle import ops
from jstyle.adapters.changes import Change
from jstyle.adapters.decomposed import Decomposed
from jstyle.adapters.deltas import Delta
from jstyle.adapters.initial_parts import subtract_initial_part
from jstyle.adapters.lora import LowRank
from jstyle.adapters.stored_layers import StoredLayer
from jstyle.errors import InputError
from jstyle.networks.layers import Conv2d
from jstyle.runtime import jt


def _with_extras(layer: StoredLayer, change: Delta) -> Change:
    """The change with its bias and, under DoRA, with the magnitudes of its rows or columns."""
    if "diff_b" in layer:
        change = replace(change, bias=layer.read("diff_b", layer.outputs))
    role = _magnitude_of(layer)
    if role is None:
        return change
    shape = layer.shape_of(role, 1)
    on_inputs = role == "dora_scale" and len(shape) > 1 and shape[0] == 1
    axis, count = (1, layer.shape[1]) if on_inputs else (0, layer.outputs)
    return Decomposed(change, layer.read_flat(role, count), axis)


def _magnitude_of(layer: StoredLayer) -> Optional[str]:
    return next((role for role in ("magnitude", "dora_scale") if role in layer), None)


def read_lora(layer: StoredLayer) -> Change:
    """LoRA: plain, with biases, or under DoRA. PiSSA's and OLoRA's starts are taken out of it."""
    down, up = _read_pair(layer)
    alpha, rank, is_plain = layer.find_alpha(len(down)), len(down), set(layer.keys) <= {"down", "up", "alpha"}
    if layer.config.start is not None and not is_plain:
        raise InputError(f"{layer.names[0]} is {layer.config.start} with more than plain LoRA; save it as a plain LoRA")
    if layer.config.start is not None and alpha:
        down, up = _subtract_start(layer, down, up, alpha / rank)
        alpha = alpha / rank * len(down)
    if is_plain:
        return _make_low_rank(layer, down, up, alpha)
    parts = {"down": down.reshape(rank, -1), "up": up.reshape(layer.outputs, rank)}
    delta = Delta("product", parts, layer.shape, alpha / rank)
    if "up_bias" in layer:
        delta = replace(delta, bias=layer.read("up_bias", layer.outputs), bias_scale=delta.scale)
    return _with_extras(layer, delta)


def read_tucker(layer: StoredLayer) -> Change:
    """LoCon with a core between its matrices."""
    left, right = layer.shape_of("mid", 4)[:2]
    parts = {
        "down": layer.read("down", right, layer.shape[1]),
        "up": layer.read("up", layer.outputs, left),
        "mid": layer.read("mid", left, right, *layer.shape[2:]),
    }
    return _with_extras(layer, Delta("product", parts, layer.shape, layer.find_scale(right)))


def _read_pair(layer: StoredLayer) -> tuple[np.ndarray, np.ndarray]:
    """LoRA's matrices, in the shapes that the layer needs; 1x1 convolutions and linear maps are the same numbers."""
    shapes, keys = layer.tensors.shapes(), layer.keys
    down, up, shape = shapes[keys["down"]], shapes[keys["up"]], layer.shape
    are_matrices = min(len(down), len(up)) > 1
    if are_matrices and 0 in (*down[:1], *up[1:2]):
        raise InputError(f"{keys['down']} and its pair have rank 0, which changes nothing; save the LoRA again")
    if (
        not are_matrices
        or up[:2] != (shape[0], down[0])
        or math.prod(down[1:]) != layer.inputs
        or math.prod(up[2:]) != 1
    ):
        raise InputError(
            f"{keys['down']} and its pair are {list(down)} and {list(up)}, "
            f"which does not fit the layer's {list(shape)}; it is for another model"
        )
    return layer.read("down", down[0], *shape[1:]), layer.read("up", shape[0], down[0])


def _subtract_start(
    layer: StoredLayer, down: np.ndarray, up: np.ndarray, scale: float
) -> tuple[np.ndarray, np.ndarray]:
    """The matrices of the plain LoRA that a start from a part of the base weight amounts to."""
    assert layer.config.start is not None
    if isinstance(layer.base, Conv2d):
        raise InputError(f"{layer.names[0]} is a convolution, which has no {layer.config.start}; save the LoRA again")
    with jt.no_grad():
        weight = np.array(ops.cast(layer.base.weight, "float32").numpy())
    return subtract_initial_part(layer.config.start, weight, down, up, scale)


def _make_low_rank(layer: StoredLayer, down: np.ndarray, up: np.ndarray, alpha: float) -> LowRank:
    if isinstance(layer.base, Conv2d):
        up = up.reshape(*up.shape, 1, 1)
    with jt.no_grad():
        return LowRank(jt.array(down).stop_grad(), jt.array(up).stop_grad(), alpha)


def read_loha(layer: StoredLayer) -> Change:
    """LoHa, whole or with cores."""
    parts = {}
    for number in "12":
        core, left, right = f"hada_t{number}", f"hada_w{number}_a", f"hada_w{number}_b"
        rank = layer.shape_of(right, 2)[0]
        if core in layer:
            parts[core] = layer.read(core, rank, rank, *layer.shape[2:])
            parts[left] = layer.read(left, rank, layer.outputs)
            parts[right] = layer.read(right, rank, layer.shape[1])
        else:
            parts[left] = layer.read(left, layer.outputs, rank)
            parts[right] = layer.read(right, rank, layer.inputs)
    rank = len(parts["hada_w1_b"])
    return _with_extras(layer, Delta("hadamard", parts, layer.shape, layer.find_scale(rank)))


def read_lokr(layer: StoredLayer) -> Change:
    """LoKr in all of its forms."""
    rows, columns, rank = _read_sides(layer, "lokr_w1")
    if layer.outputs % rows or layer.shape[1] % columns:
        raise InputError(
            f"lokr_w1 of {layer.names[0]} is [{rows}, {columns}], which does not divide the layer's "
            f"{list(layer.shape)}; it is for another model"
        )
    out, inputs, kernel = layer.outputs // rows, layer.shape[1] // columns, layer.shape[2:]
    parts = {role: layer.read(role, *shape) for role, shape in _expect_factor(layer, "lokr_w1", rows, columns, ())}
    parts.update(
        {role: layer.read(role, *shape) for role, shape in _expect_factor(layer, "lokr_w2", out, inputs, kernel)}
    )
    rank = layer.shape_of("lokr_w2_b", 2)[0] if "lokr_w2_b" in layer else rank
    return _with_extras(layer, Delta("kronecker", parts, layer.shape, layer.find_scale(rank)))


def _read_sides(layer: StoredLayer, name: str) -> tuple[int, int, Optional[int]]:
    """The sides of a factor that may be a product, and in that case its rank."""
    if name in layer:
        rows, columns = layer.shape_of(name, 2)[:2]
        return rows, columns, None
    return layer.shape_of(f"{name}_a", 2)[0], layer.shape_of(f"{name}_b", 2)[1], layer.shape_of(f"{name}_b", 2)[0]


def _expect_factor(
    layer: StoredLayer, name: str, rows: int, columns: int, kernel: tuple[int, ...]
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The arrays of a factor (rows, columns, *kernel), each with its shape."""
    if name in layer:
        yield name, (rows, columns, *kernel)
        return
    rank = layer.shape_of(f"{name}_b", 2)[0]
    if name == "lokr_w2" and "lokr_t2" in layer:
        yield from (("lokr_t2", (rank, rank, *kernel)), (f"{name}_a", (rank, rows)), (f"{name}_b", (rank, columns)))
    else:
        yield from ((f"{name}_a", (rows, rank)), (f"{name}_b", (rank, columns * math.prod(kernel))))


def read_whole(layer: StoredLayer) -> Change:
    """A whole difference of the weight."""
    return _with_extras(layer, Delta("whole", {"diff": layer.read("diff", *layer.shape)}, layer.shape, 1.0))


def read_bias(layer: StoredLayer) -> Change:
    """A difference of the bias alone."""
    nothing = np.broadcast_to(np.float32(0), layer.shape)
    return _with_extras(layer, Delta("whole", {"diff": nothing}, layer.shape, 1.0))


def read_norm(layer: StoredLayer) -> Change:
    """Differences of a norm's factors and offsets."""
    change = Delta("whole", {"diff": layer.read("w_norm", *layer.shape)}, layer.shape, 1.0)
    return replace(change, bias=layer.read("b_norm", *layer.shape)) if "b_norm" in layer else change
