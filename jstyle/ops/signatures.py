"""What kernels take and give, for both paths: a call is checked before anything is computed, and its outputs are known.

The signatures are those of ``kernels/csrc/signatures.inc``, where their language is described. The C++ library reads
the same text and refuses the same calls in the same words; this is for plain Jittor, and for a clear error where a
kernel refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Optional, Union

from jstyle.errors import InputError

FILE = Path(__file__).parent / "kernels" / "csrc" / "signatures.inc"
FLOATS = ("float32", "bfloat16", "float16", "float64")
TYPES = {"float32": 1, "bfloat16": 2}  # JstyleType of kernel.h
MOST_ELEMENTS = 1 << 40
MOST_NUMBER = 1 << 30

Described = tuple[tuple[int, ...], str]
"""The shape and dtype of a tensor."""
Term = tuple[int, tuple[str, ...]]
"""A factor and the names that it multiplies."""


@dataclass(frozen=True)
class Axis:
    """A length: one of ``choices``, each a sum of terms; ``name`` is what it is called besides."""

    name: Optional[str]
    choices: tuple[tuple[Term, ...], ...]


Shape = tuple[Union[Axis, str], ...]
"""Axes, "..." for the same ones everywhere, "*" for any."""


@dataclass(frozen=True)
class Slot:
    """One input or output; ``partner`` is the slot that it goes with, ``pattern`` its shapes as they are written."""

    name: str
    type: str
    shapes: tuple[Shape, ...]
    pattern: str
    optional: bool
    many: bool
    partner: Optional[str]


@dataclass(frozen=True)
class Number:
    """An attribute; with ``least`` it is a whole number."""

    name: str
    optional: bool
    least: Optional[int]


@dataclass(frozen=True)
class Signature:
    """A kernel's inputs, outputs and numbers."""

    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    numbers: tuple[Number, ...]


@lru_cache(maxsize=4096)  # a network's calls are few, and made again and again
def infer(
    kernel: str, inputs: tuple[Optional[Described], ...], numbers: tuple[tuple[str, float], ...] = ()
) -> tuple[Described, ...]:
    """The outputs of a kernel, by the shapes and types of its inputs (None: absent) and its numbers.

    Raises InputError, in one line, where it does not take them.
    """
    return _Call(kernel, read_signatures()[kernel], inputs, dict(numbers)).infer()


@lru_cache(maxsize=None)
def read_signatures() -> dict[str, Signature]:
    """The signature of every kernel but the gradients'."""
    text = FILE.read_text(encoding="utf-8").partition('R"(')[2].rpartition(')"')[0]
    lines = re.split(r"\n(?=\w)", text.strip())
    return {name: _read_signature(rest) for name, _, rest in (line.partition(":") for line in lines)}


def _read_signature(text: str) -> Signature:
    call, outputs = text.partition(";")[0].split("->")
    inputs, _, numbers = call.partition(" with ")
    return Signature(
        tuple(map(_read_slot, _split(inputs))),
        tuple(map(_read_slot, _split(outputs))),
        tuple(map(_read_number, _split(numbers))) if numbers else (),
    )


def _split(text: str) -> list[str]:
    """The parts between commas that are in no parentheses."""
    return [part.strip() for part in re.split(r",(?![^(]*\))", text)]


def _read_slot(text: str) -> Slot:
    match = re.fullmatch(r"(\w+)(\+?)(\??)(\w*) (?:const )?(\w+) (\(.*\))", text, re.DOTALL)
    assert match, text
    name, many, optional, partner, kind, pattern = match.groups()
    shapes = tuple(tuple(map(_read_axis, _split(part.strip()[1:-1]))) for part in re.split(r"\|(?= *\()", pattern))
    return Slot(name, kind, shapes, pattern, bool(optional), bool(many), partner or None)


def _read_axis(text: str) -> Union[Axis, str]:
    if text in ("...", "*"):
        return text
    name, _, choices = text.rpartition("=")
    return Axis(name or None, tuple(map(_read_sum, choices.split("|"))))


def _read_sum(text: str) -> tuple[Term, ...]:
    terms = []
    for part in re.findall(r"-?[^+-]+", text):
        factors = part.lstrip("-").split("*")
        factor = math.prod(int(x) for x in factors if x.isdigit()) * (-1 if part.startswith("-") else 1)
        terms.append((factor, tuple(x for x in factors if not x.isdigit())))
    return tuple(terms)


def _read_number(text: str) -> Number:
    name, _, least = text.partition(" >= ")
    return Number(name.rstrip("?"), name.endswith("?"), int(least) if least else None)


@dataclass
class _Call:
    """A call that is being checked, and what its signature's names stand for as far as that is known."""

    kernel: str
    signature: Signature
    inputs: tuple[Optional[Described], ...]
    numbers: dict[str, float]
    lengths: dict[str, int] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    middle: Optional[tuple[int, ...]] = None

    def infer(self) -> tuple[Described, ...]:
        slots = self.signature.inputs
        if slots[0].many:
            slots = slots * len(self.inputs)
            self.lengths["inputs"] = len(self.inputs)
        if len(self.inputs) != len(slots) or not slots:
            self.fail(f"takes {len(self.signature.inputs)} inputs, not {len(self.inputs)}")
        for number in self.signature.numbers:
            self.bind(number)
        there = {slot.name: x is not None for slot, x in zip(slots, self.inputs)}
        for i, (slot, described) in enumerate(zip(slots, self.inputs)):
            if slot.partner is not None and there[slot.name] != there[slot.partner]:
                self.fail(f"{slot.partner} and {slot.name} go together")
            if described is not None:
                self.fit(slot, described, i)
            elif not slot.optional:
                self.fail(f"{slot.name} is missing")
        return tuple(map(self.make, self.signature.outputs))

    def bind(self, number: Number) -> None:
        if number.name not in self.numbers:
            if not number.optional:
                self.fail(f"attribute {number.name} is missing")
            return
        value = self.numbers[number.name]
        if number.least is None:
            return
        if not (number.least <= value <= MOST_NUMBER and value == math.floor(value)):
            wanted = f"wanted {number.name} to be a whole number, at least {number.least}"
            self.fail(f"{wanted}, got {value:g}{self.beside(len(self.inputs))}")
        self.lengths[number.name] = int(value)
        for name in (name for name, code in TYPES.items() if code == value):
            self.types[number.name] = name

    def fit(self, slot: Slot, described: Described, before: int) -> None:
        shape, dtype = described
        if len(shape) > 8 or math.prod(max(length, 1) for length in shape) > MOST_ELEMENTS:
            self.fail(f"wanted {slot.name} of a size that memory holds, got {shape}")
        wanted = slot.type if slot.type in FLOATS else self.types.get(slot.type)
        if dtype not in FLOATS or wanted not in (None, dtype):
            self.fail(f"wanted {slot.name} of {wanted or 'a float type'}, got {dtype}{self.beside(before)}")
        if slot.type not in ("any", *FLOATS):
            self.types[slot.type] = dtype
        known = self.tell_known(slot, len(shape))
        if not any(self.fits_shape(choice, shape) for choice in slot.shapes if _takes(choice, len(shape))):
            self.fail(f"wanted {slot.name} {slot.pattern}{known}, got {shape}{self.beside(before)}")

    def fits_shape(self, axes: Shape, shape: tuple[int, ...]) -> bool:
        if "*" in axes:
            return True
        if "..." not in axes:
            return all(self.fits_axis(axis, length) for axis, length in zip(axes, shape))
        before = axes.index("...")
        after = len(shape) - (len(axes) - 1 - before)
        ends = zip((*axes[:before], *axes[before + 1 :]), (*shape[:before], *shape[after:]))
        if not all(self.fits_axis(axis, length) for axis, length in ends):
            return False
        self.middle = shape[before:after] if self.middle is None else self.middle
        return self.middle == shape[before:after]

    def fits_axis(self, axis: Union[Axis, str], length: int) -> bool:
        assert isinstance(axis, Axis)
        if axis.name is not None and self.lengths.get(axis.name, length) != length:
            return False
        if not any(self.fits_sum(choice, length) for choice in axis.choices):
            return False
        if axis.name is not None:
            self.lengths[axis.name] = length
        return True

    def fits_sum(self, terms: tuple[Term, ...], length: int) -> bool:
        total = 0
        for factor, names in terms:
            unknown = [name for name in names if name not in self.lengths]
            product = factor * math.prod(self.lengths[name] for name in names if name not in unknown)
            if unknown:
                if len(terms) > 1 or product <= 0 or length % product:
                    return False
                self.lengths[unknown[-1]] = length // product
                return True
            total += product
        return total == length

    def make(self, slot: Slot) -> Described:
        dtype = slot.type if slot.type in FLOATS else self.types.get(slot.type)
        if dtype is None:
            self.fail(f"attribute {slot.type} is missing")
        shape: list[int] = []
        for axis in slot.shapes[0]:
            shape.extend(self.middle or () if isinstance(axis, str) else [self.find_length(axis)])
        self.fit(slot, (tuple(shape), dtype or ""), len(self.inputs))
        return tuple(shape), dtype or ""

    def find_length(self, axis: Axis) -> int:
        terms = ((1, (axis.name,)),) if axis.name else axis.choices[0]
        for missing in (name for _, names in terms for name in names if name not in self.lengths):
            self.fail(f"attribute {missing} is missing")
        return sum(factor * math.prod(self.lengths[name] for name in names) for factor, names in terms)

    def tell_known(self, slot: Slot, rank: int) -> str:
        axes = next((axes for axes in slot.shapes[::-1] if _takes(axes, rank)), slot.shapes[0])
        told = {"...": str(self.middle)} if "..." in axes and self.middle is not None else {}
        told.update({name: str(self.lengths[name]) for name in _list_names(axes) if name in self.lengths})
        return " with " + ", ".join(f"{name} = {value}" for name, value in told.items()) if told else ""

    def beside(self, count: int) -> str:
        """`; x is (2, 77, 128), ...`: the shapes of the first inputs."""
        named = zip(self.signature.inputs, self.inputs[:count])
        told = [f"{slot.name} is {x[0]}" for slot, x in named if x is not None and not slot.many]
        return "; " + ", ".join(told) if told else ""

    def fail(self, words: str) -> None:
        raise InputError(f"{self.kernel}: {words}")


def _takes(axes: Shape, rank: int) -> bool:
    if "*" in axes:
        return True
    return rank >= len(axes) - 1 if "..." in axes else rank == len(axes)


def _list_names(axes: Sequence[Union[Axis, str]]) -> Iterator[str]:
    for axis in axes:
        if isinstance(axis, Axis):
            yield from [axis.name] if axis.name else []
            for terms in axis.choices:
                for _, names in terms:
                    yield from names
