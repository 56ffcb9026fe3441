"""Random calls of kernels, right and wrong, drawn from their signatures: a new kernel is drawn when it has one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Optional, Union

import ml_dtypes
import numpy as np

from jstyle.errors import InputError
from jstyle.ops import signatures
from jstyle.ops.kernels import library
from jstyle.ops.signatures import Axis, Described, Signature, Slot

DTYPES = {"float32": np.dtype(np.float32), "bfloat16": np.dtype(ml_dtypes.bfloat16)}
OTHER_DTYPES = (np.dtype(np.float16), np.dtype(np.float64), np.dtype(np.int32), *DTYPES.values())
LENGTHS = (0, 1, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 20, 31, 32, 33, 40, 64, 65)
SIDES = (1, 2, 3, 3, 5)
FEW = {"batch": (1, 1, 2, 3), "kernel_h": SIDES, "kernel_w": SIDES, "groups": (1, 2, 4), "to": (1, 2)}
WITHOUT_GRADIENTS = ("linear_geglu", "adamw", "norms", "blend")
WHOLE = {"stride": (1, 1, 2, 3), "padding": (0, 1, 1, 2, 4)}
ODD_NUMBERS = (0.0, -1.0, 0.5, 3.0, 1e12, math.nan, math.inf, -math.inf)
MOST_ELEMENTS = 60_000

Array = Optional[np.ndarray]


@dataclass
class Call:
    """A call by the library's entry. ``right`` is one that nothing was changed in."""

    kernel: str
    inputs: list[Array]
    outputs: list[Array]
    numbers: dict[str, float]
    right: bool = True

    def run(self) -> Optional[str]:
        """Run it; what it was refused with, or None."""
        try:
            library.run(self.kernel, self.inputs, self.outputs, **self.numbers)
        except ValueError as error:
            return str(error)
        return None

    def expect(self) -> Optional[str]:
        """What Python refuses its inputs with, or None. For kernels that are no gradients."""
        try:
            signatures.infer(self.kernel, tuple(map(describe, self.inputs)), tuple(self.numbers.items()))
        except InputError as error:
            return str(error)
        return None

    def __str__(self) -> str:
        inputs, outputs = ([x if x is None else describe(x) for x in xs] for xs in (self.inputs, self.outputs))
        return f"{self.kernel} {inputs} -> {outputs} {self.numbers}"


def describe(array: Array) -> Optional[Described]:
    """An array as signatures know it."""
    return None if array is None else (array.shape, str(array.dtype))


def draw_call(rng: np.random.Generator, wrong: float = 0.6) -> Call:
    """A call of any kernel, forward or backward, of a few thousand numbers; by this chance it is changed somewhere."""
    names = list(signatures.read_signatures())
    call = _draw_right(rng, names[rng.integers(len(names))])
    return _change(rng, call) if rng.random() < wrong else call


def _draw_right(rng: np.random.Generator, kernel: str) -> Call:
    signature = signatures.read_signatures()[kernel]
    while True:
        drawn = _Drawn(rng, signature)
        inputs, numbers = drawn.draw_inputs(), drawn.draw_numbers()
        described = tuple(map(describe, inputs))
        try:
            outputs = [_make(rng, *made) for made in signatures.infer(kernel, described, tuple(numbers.items()))]
        except InputError:  # an attribute that another length would have to fit
            continue
        if sum(x.size for x in (*inputs, *outputs) if x is not None) > MOST_ELEMENTS:
            continue
        if kernel not in WITHOUT_GRADIENTS and rng.random() < 0.45:
            return _draw_backward(rng, kernel, inputs, outputs, numbers)
        return Call(kernel, inputs, [np.full_like(x, np.nan) for x in outputs], numbers)


def _draw_backward(
    rng: np.random.Generator, kernel: str, inputs: list[Array], outputs: list[np.ndarray], numbers: dict[str, float]
) -> Call:
    if kernel in ("linear", "conv2d"):
        inputs = [x if x is None else x.astype(np.float32) for x in inputs]
        outputs = [x.astype(np.float32) for x in outputs]
    given: list[Array] = [None if rng.random() < 0.1 else _make(rng, x.shape, str(x.dtype)) for x in outputs]
    slots = signatures.read_signatures()[kernel].inputs
    wanted = [
        None if x is None or (slot.name == "bias" and kernel == "attention") or rng.random() < 0.3 else x
        for slot, x in zip(slots, inputs)
    ]
    gradients = [None if x is None else np.full_like(x, np.nan) for x in wanted]
    return Call(f"{kernel}_backward", [*inputs, *outputs, *given], gradients, numbers)


@dataclass
class _Drawn:
    """Lengths, types and axes for the names of a signature, drawn when they are first met."""

    rng: np.random.Generator
    signature: Signature
    lengths: dict[str, int] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    middle: Optional[tuple[int, ...]] = None

    def draw_inputs(self) -> list[Array]:
        slots = self.signature.inputs
        if slots[0].many:
            slots = slots * int(self.rng.integers(1, 6))
        absent = {slot.name for slot in slots if slot.optional and self.rng.random() < 0.4}
        return [None if (slot.partner or slot.name) in absent else self.draw(slot) for slot in slots]

    def draw_numbers(self) -> dict[str, float]:
        numbers: dict[str, float] = {}
        for number in self.signature.numbers:
            if number.name in WHOLE:
                numbers[number.name] = float(self.rng.choice(WHOLE[number.name]))
            elif number.name in ("height", "width") and number.name not in self.lengths and "h" in self.lengths:
                side = self.lengths["h" if number.name == "height" else "w"]
                doubled = len(self.signature.inputs) == 1
                numbers[number.name] = float(2 * side - self.rng.integers(2) if doubled else self.rng.integers(1, 9))
            elif number.least is not None:
                numbers[number.name] = float(self.length(number.name))
            else:
                numbers[number.name] = float(self.rng.uniform(0.01, 0.9))
        return numbers

    def draw(self, slot: Slot) -> np.ndarray:
        dtype = slot.type if slot.type in DTYPES else str(self.rng.choice(list(DTYPES)))
        if slot.type not in ("any", *DTYPES):
            dtype = self.types.setdefault(slot.type, dtype)
        axes = slot.shapes[self.rng.integers(len(slot.shapes))]
        shape: list[int] = []
        for axis in axes:
            shape.extend(self.draw_middle(axis) if isinstance(axis, str) else [self.draw_length(axis)])
        return _make(self.rng, tuple(shape), dtype)

    def draw_middle(self, axis: str) -> tuple[int, ...]:
        drawn = tuple(int(n) for n in self.rng.choice(LENGTHS[:12], self.rng.integers(0, 3)))
        if axis == "*":
            return drawn
        self.middle = drawn if self.middle is None else self.middle
        return self.middle

    def draw_length(self, axis: Axis) -> int:
        terms = axis.choices[self.rng.integers(len(axis.choices))]
        length = sum(factor * math.prod(map(self.length, names)) for factor, names in terms)
        if axis.name is not None:
            self.lengths[axis.name] = length
        return length

    def length(self, name: str) -> int:
        return self.lengths.setdefault(name, int(self.rng.choice(FEW.get(name, LENGTHS))))


def _make(rng: np.random.Generator, shape: Sequence[int], dtype: str) -> np.ndarray:
    return np.asarray(np.abs(rng.standard_normal(tuple(shape), np.float32)), DTYPES[dtype])


def _change(rng: np.random.Generator, call: Call) -> Call:
    """The call with one thing different, which need not make it wrong."""
    call = replace(call, inputs=list(call.inputs), outputs=list(call.outputs), numbers=dict(call.numbers), right=False)
    arrays = call.outputs if rng.random() < 0.2 else call.inputs
    kind = rng.integers(8)
    if kind == 0 and call.numbers:
        name = str(rng.choice(list(call.numbers)))
        call.numbers[name] = float(rng.choice(ODD_NUMBERS))
        if rng.random() < 0.2:
            del call.numbers[name]
    elif kind == 1:
        arrays.append(None) if rng.random() < 0.5 else arrays.pop()
    else:
        at = int(rng.integers(len(arrays)))
        arrays[at] = _change_array(rng, arrays[at], int(kind))
    return call


def _change_array(rng: np.random.Generator, array: Array, kind: int) -> Array:
    if array is None:
        return np.ones((3,) * int(rng.integers(0, 5)), np.float32)
    shape, dtype = list(array.shape), str(array.dtype)
    if kind == 2:
        return None
    if kind == 3:
        return np.ones(shape, OTHER_DTYPES[rng.integers(len(OTHER_DTYPES))])
    if kind == 4 or not shape:
        shape.insert(int(rng.integers(len(shape) + 1)), int(rng.integers(0, 4)))
    elif kind == 5:
        del shape[int(rng.integers(len(shape)))]
    else:
        axis = int(rng.integers(len(shape)))
        shape[axis] = _change_length(rng, shape, axis)
    return _make(rng, shape, dtype)


def _change_length(rng: np.random.Generator, shape: Sequence[int], axis: int) -> int:
    others = math.prod(shape) // max(shape[axis], 1)
    choices: list[Union[int, float]] = [0, 1, shape[axis] + 1, shape[axis] - 1, 2 * shape[axis], shape[axis] // 2]
    if others < 8:
        choices.append(1_000_000)
    return max(0, int(rng.choice(choices)))
