"""What a kernel does not take is refused in one line, before anything is read, by every door in the same words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Optional

import numpy as np
import pytest

from benchmarks.drawn_calls import draw_call
from benchmarks.fuzz_operations import find_fault
from jstyle import ops
from jstyle.errors import InputError
from jstyle.networks.layers import Conv2d, GroupNorm, LayerNorm, Linear
from jstyle.ops import signatures
from jstyle.ops.kernels import library
from jstyle.runtime import jt
from tests.ops.kernel_check import BF16, F32

Shapes = Sequence[Optional[tuple[int, ...]]]


def zeros(*shape: int, dtype: Any = np.float32) -> jt.Var:
    return jt.array(np.zeros(shape, dtype))


# What is called, and what the line must name: the shapes on both sides.
DOORS: dict[str, tuple[Callable[[], Any], Sequence[str]]] = {
    "a width of a million": (lambda: Linear(128, 64)(zeros(3, 1_000_000)), ["(3, 1000000)", "(64, 128)"]),
    "another width": (lambda: Linear(128, 64)(zeros(2, 7, 127)), ["(2, 7, 127)", "(64, 128)"]),
    "a gate of another width": (lambda: Linear(8, 6).geglu(zeros(2, 9)), ["(2, 9)", "(6, 8)"]),
    "a bias too short": (lambda: ops.linear(zeros(2, 3), zeros(4, 3), zeros(3)), ["(4, 3)", "(3,)"]),
    "a residual of other tokens": (
        lambda: ops.linear(zeros(2, 5, 3), zeros(4, 3), residual=zeros(2, 6, 4)),
        ["(2, 5, 3)", "(2, 6, 4)"],
    ),
    "a residual that broadcasts": (
        lambda: ops.linear(zeros(2, 3), zeros(4, 3), residual=zeros(1, 4)),
        ["(2, 3)", "(1, 4)"],
    ),
    "low rank sides that differ": (
        lambda: ops.linear(ops.linear(zeros(2, 8), zeros(4, 8)), zeros(8, 5)),
        ["(2, 4)", "(8, 5)"],
    ),
    "a weight of another dtype": (
        lambda: ops.linear(zeros(2, 3), zeros(4, 3).float64()),
        ["float32", "float64"],
    ),
    "whole numbers": (lambda: ops.silu(zeros(3, dtype=np.int32)), ["int32"]),
    "a map without a batch": (lambda: Conv2d(16, 8, 3, padding=(1, 1))(zeros(9, 9, 16)), ["(9, 9, 16)"]),
    "a kernel larger than the map": (lambda: Conv2d(4, 8, 3)(zeros(1, 2, 5, 4)), ["(1, 2, 5, 4)", "(8, 4, 3, 3)"]),
    "a convolution's residual": (
        lambda: Conv2d(4, 8, 3, stride=2, padding=(1, 1))(zeros(1, 8, 8, 4), residual=zeros(1, 8, 8, 8)),
        ["(1, 8, 8, 4)", "(1, 8, 8, 8)"],
    ),
    "channels that do not divide": (lambda: GroupNorm(4, 10, 1e-5)(zeros(1, 2, 2, 10)), ["(1, 2, 2, 10)", "4"]),
    "a norm of other channels": (lambda: GroupNorm(4, 12, 1e-5)(zeros(1, 2, 2, 16)), ["(1, 2, 2, 16)", "(12,)"]),
    "a shift for another batch": (
        lambda: GroupNorm(4, 12, 1e-5)(zeros(2, 2, 2, 12), shift=zeros(3, 12)),
        ["(2, 2, 2, 12)", "(3, 12)"],
    ),
    "a layer norm of other channels": (lambda: LayerNorm(12)(zeros(2, 5, 16)), ["(2, 5, 16)", "(12,)"]),
    "unequal heads": (
        lambda: ops.attention(zeros(2, 5, 3, 8), zeros(2, 7, 4, 8), zeros(2, 7, 4, 8)),
        ["(2, 5, 3, 8)", "(2, 7, 4, 8)"],
    ),
    "values for fewer keys": (
        lambda: ops.attention(zeros(2, 5, 3, 8), zeros(2, 7, 3, 8), zeros(2, 6, 3, 8)),
        ["(2, 7, 3, 8)", "(2, 6, 3, 8)"],
    ),
    "keys of another batch": (
        lambda: ops.attention(zeros(3, 5, 3, 8), zeros(2, 7, 3, 8), zeros(2, 7, 3, 8)),
        ["(3, 5, 3, 8)", "(2, 7, 3, 8)"],
    ),
    "queries without heads": (lambda: ops.attention(*[zeros(2, 5, 24)] * 3), ["(2, 5, 24)"]),
    "a bias for other keys": (
        lambda: ops.attention(*[zeros(2, 5, 3, 8)] * 3, bias=zeros(1, 3, 5, 6)),
        ["(2, 5, 3, 8)", "(1, 3, 5, 6)"],
    ),
    "a second set of other heads": (
        lambda: ops.attention(*[zeros(2, 5, 3, 8)] * 3, shared=ops.KeyValue(zeros(1, 4, 2, 8), zeros(1, 4, 2, 8))),
        ["(2, 5, 3, 8)", "(1, 4, 2, 8)"],
    ),
    "maps of other sizes": (lambda: ops.concat_channels(zeros(1, 4, 4, 3), zeros(1, 4, 5, 3)), ["(1, 4, 5, 3)"]),
    "sums of other shapes": (lambda: ops.add(zeros(2, 5), zeros(1, 5)), ["(2, 5)", "(1, 5)"]),
    "three times the size": (lambda: ops.upsample_nearest(zeros(1, 3, 4, 2), 9, 8), ["(1, 3, 4, 2)", "9"]),
    "a layout of three axes": (lambda: ops.channels_last(zeros(3, 4, 4)), ["(3, 4, 4)"]),
    "an array that is none of Jittor's": (lambda: ops.silu(np.zeros(3, np.float32)), ["ndarray"]),  # type: ignore[arg-type]
}
DOORS |= {
    f"{n} channels for 16": (lambda n=n: Conv2d(16, 8, 3, padding=(1, 1))(zeros(1, 9, 9, n)), [f"(1, 9, 9, {n})"])
    for n in (1, 3, 4, 15, 17, 32)
}


@pytest.mark.parametrize("case", DOORS)
def test_what_does_not_fit_is_one_line(case: str, path: str) -> None:
    call, named = DOORS[case]
    with pytest.raises(InputError) as refused:
        call()
    assert "\n" not in str(refused.value) and "got" in str(refused.value)
    for words in named:
        assert words in str(refused.value)


@pytest.mark.parametrize("no_grad", [0, 1])
def test_a_gated_map_is_refused_with_and_without_gradients(no_grad: int, path: str) -> None:
    with (
        jt.flag_scope(no_grad=no_grad),
        pytest.raises(InputError, match=r"wanted weight .*, got \(6, 8\); x is \(2, 9\)"),
    ):
        ops.linear_geglu(zeros(2, 9), zeros(6, 8), zeros(6))


# kernel, input shapes, output shapes, numbers, what is refused
WRONG: list[tuple[str, Shapes, Shapes, dict[str, float], str]] = [
    ("silu", [(2, 5)], [(2, 6)], {}, "silu: wanted y (...) with ... = (2, 5), got (2, 6); x is (2, 5)"),
    ("silu", [(2, 5)], [], {}, "silu: gives 1 outputs, not 0"),
    ("silu", [None], [(2, 5)], {}, "silu: x is missing"),
    ("geglu", [(2, 5)], [(2, 2)], {}, "geglu: wanted x (..., 2*c), got (2, 5)"),
    ("add", [(2, 5)], [(2, 5)], {}, "add: takes 2 inputs, not 1"),
    (
        "upsample_nearest",
        [(2, 3, 5, 4)],
        [(2, 6, 8, 4)],
        {},
        "upsample_nearest: wanted y (batch, height=2*h|2*h-1, width=2*w|2*w-1, c) with batch = 2, h = 3, w = 5, c = 4, "
        "got (2, 6, 8, 4); x is (2, 3, 5, 4)",
    ),
    (
        "concat_channels",
        [(2, 3), (2, 4)],
        [(2, 8)],
        {},
        "wanted y (..., c1+c2) with ... = (2,), c1 = 3, c2 = 4, got (2, 8)",
    ),
    ("group_norm", [(2, 5, 6), (6,), (6,), None], [(2, 5, 6)], {"groups": 4, "eps": 1, "silu": 0}, "with groups = 4"),
    ("group_norm", [(2, 5, 6), (6,), (6,), None], [(2, 5, 6)], {"groups": 0, "eps": 1, "silu": 0}, "at least 1, got 0"),
    ("group_norm", [(2, 5, 6), (6,), (6,), None], [(2, 5, 6)], {"groups": 2, "silu": 0}, "attribute eps is missing"),
    ("layer_norm", [(2, 5), (4,), (5,)], [(2, 5)], {"eps": 1}, "layer_norm: wanted weight (c) with c = 5, got (4,)"),
    ("conv2d", [(1, 4, 4, 3), (5, 3, 3, 3), None, None], [(1, 4, 4, 5)], {"stride": 0, "padding": 1}, "stride"),
    (
        "conv2d",
        [(1, 4, 4, 3), (5, 3, 3, 3), None, None],
        [(1, 4, 4, 6)],
        {"stride": 1, "padding": 1},
        "with batch = 1, out = 5",
    ),
    (
        "attention",
        [(1, 4, 2, 8)] * 3 + [None, (1, 3, 2, 8), None],
        [(1, 4, 2, 8), None],
        {"scale": 1, "shift": 0},
        "together",
    ),
    ("adamw", [(5,), (5,), (5,), (4,)], [(5,)] * 3, dict.fromkeys(("lr", "beta1"), 1.0), "attribute beta2 is missing"),
    ("blend", [(5,), (5,)], [(4,)], {"share": 0.5}, "blend: wanted y (...) with ... = (5,), got (4,)"),
    ("norms", [(5,), (2, 3)], [(3,)], {}, "norms: wanted y (inputs) with inputs = 2, got (3,)"),
    # gradients: the inputs, the outputs, the outputs' gradients -> the inputs' gradients
    (
        "silu_backward",
        [(2, 5), (2, 5), (2, 6)],
        [(2, 5)],
        {},
        "silu_backward: wanted dy like y, float32 (2, 5), got float32 (2, 6)",
    ),
    (
        "silu_backward",
        [(2, 5), (2, 5), (2, 5)],
        [(3, 5)],
        {},
        "silu_backward: wanted dx like x, float32 (2, 5), got float32 (3, 5)",
    ),
    ("linear_backward", [(2, 5), (3, 4), None, None, (2, 3), (2, 3)], [None] * 4, {}, "wanted weight"),
    (
        "linear_backward",
        [(2, 5), (3, 5), None, None, (2, 3), (2, 3)],
        [None, None, (3,), None],
        {},
        "there is no gradient of bias, which is absent",
    ),
    ("cast_backward", [(2, 5), (2, 5), (5, 2)], [(2, 5)], {}, "wanted dy like y"),
    ("norms_backward", [(2, 5)] * 3, [(2, 5)], {}, "no kernel is called norms_backward"),
]


@pytest.mark.parametrize("case", range(len(WRONG)))
def test_kernels_refuse_what_their_signature_does_not_say(case: int) -> None:
    kernel, inputs, outputs, numbers, words = WRONG[case]
    given, made = ([None if s is None else np.zeros(s, F32) for s in shapes] for shapes in (inputs, outputs))
    with pytest.raises(ValueError) as refused:
        library.run(kernel, given, made, **numbers)
    assert words in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(("first", "second"), [(F32, BF16), (BF16, F32)], ids=str)
def test_two_types_are_refused(first: np.dtype, second: np.dtype) -> None:
    x, weight, out = np.zeros((2, 3), first), np.zeros((4, 3), second), np.zeros((2, 4), first)
    with pytest.raises(ValueError, match=f"wanted weight of {first}, got {second}"):
        library.run("linear", [x, weight, None, None], [out])


def test_other_types_and_axes_are_refused() -> None:
    with pytest.raises(ValueError, match="float32 and bfloat16, not int32"):
        library.run("silu", [np.zeros(3, np.int32)], [np.zeros(3, F32)])
    with pytest.raises(ValueError, match="at most 8 axes, not 9"):
        library.run("silu", [np.zeros((1,) * 9, F32)], [np.zeros((1,) * 9, F32)])


def test_python_infers_what_the_operator_makes() -> None:
    """The shapes that plain Jittor's checks expect are those of the operator's results."""
    x, weight = zeros(2, 9, 7, 16), zeros(12, 16, 3, 3)
    described = (((2, 9, 7, 16), "float32"), ((12, 16, 3, 3), "float32"), None, None)
    numbers = (("stride", 2), ("padding", 1), ("height", 5), ("width", 4))
    ((shape, dtype),) = signatures.infer("conv2d", described, numbers)
    out = ops.conv2d(x, weight, None, 2, (1, 1))
    assert tuple(out.shape) == shape == (2, 5, 4, 12) and str(out.dtype) == dtype


@pytest.mark.parametrize("part", range(4))
def test_any_call_is_computed_whole_or_refused_in_one_line(part: int) -> None:
    """A share of `python -m benchmarks.fuzz_operations`."""
    for number in range(part * 60, part * 60 + 60):
        call = draw_call(np.random.default_rng((1, number)))
        assert find_fault(call)[1] is None, str(call)
