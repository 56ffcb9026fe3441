"""What a UNet is conditioned on beside the time: texts, and what Stable Diffusion XL's reads with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Optional, Protocol, Union

import numpy as np

from jstyle.runtime import jt

Size = tuple[int, int]
"""(height, width) in pixels."""


class RowSizes(Protocol):
    """What one row says of its picture's size."""

    def list_numbers(self, latent: Size, count: int) -> Sequence[float]:
        """The ``count`` numbers that a UNet reads, for a latent of that height and width."""
        ...


@dataclass(frozen=True)
class Sizes:
    """The sizes of one picture (arXiv 2307.01952, section 2.2): as it was, and what was cut out of it.

    ``original`` and ``target`` are by default the size of the latent at hand, of which a side stands for ``factor``
    pixels; ``crop`` is (top, left). A UNet that reads five numbers is told a ``score`` of beauty in the place of the
    target, as SDXL's refiner is.
    """

    factor: int
    original: Optional[Size] = None
    crop: Size = (0, 0)
    target: Optional[Size] = None
    score: float = 6.0

    def list_numbers(self, latent: Size, count: int) -> Sequence[float]:
        """As every `RowSizes` does."""
        whole = (latent[0] * self.factor, latent[1] * self.factor)
        end = (self.score,) if count == 5 else self.target or whole
        return (*(self.original or whole), *self.crop, *end)


@dataclass(frozen=True)
class GivenNumbers:
    """Numbers that a caller has made himself, diffusers' ``time_ids``."""

    numbers: tuple[float, ...]

    def list_numbers(self, latent: Size, count: int) -> Sequence[float]:
        """As every `RowSizes` does."""
        return self.numbers


@dataclass(frozen=True)
class Condition:
    """Texts for the cross-attentions, (rows, tokens, width), and what is added to the time's embedding beside them.

    ``pooled`` (rows, pooled width) is one vector of each text, ``sizes`` what each row says of its picture's size.
    UNets of Stable Diffusion 1.x and 2.x read neither. One row serves all rows of a latent. ``guidance`` (1 or rows,
    width) is what UNets that were distilled with it read of the guidance (`embed_guidance`).
    """

    text: jt.Var
    pooled: Optional[jt.Var] = None
    sizes: tuple[RowSizes, ...] = ()
    guidance: Optional[jt.Var] = None

    def __len__(self) -> int:
        return self.text.shape[0]

    def repeat(self, copies: int) -> Condition:
        """Each row so many times, the copies of one side by side."""
        if copies == 1:
            return self
        return self.take([row for row in range(len(self)) for _ in range(copies)])

    def take(self, rows: Sequence[int]) -> Condition:
        """These rows, in their order."""
        pooled = None if self.pooled is None else _take(self.pooled, rows)
        guidance = self.guidance
        if guidance is not None and guidance.shape[0] > 1:
            guidance = _take(guidance, rows)
        return Condition(_take(self.text, rows), pooled, tuple(self.sizes[row] for row in rows if self.sizes), guidance)

    def say(self, sizes: RowSizes) -> Condition:
        """The same, every row of which says that of its picture's size."""
        return replace(self, sizes=(sizes,) * len(self))

    def zero(self) -> Condition:
        """As many rows that say nothing: zeros, without sizes."""
        return Condition(jt.zeros_like(self.text), None if self.pooled is None else jt.zeros_like(self.pooled))

    def stop_grad(self) -> Condition:
        """The same without a way for gradients."""
        pooled = None if self.pooled is None else self.pooled.stop_grad()
        return replace(self, text=self.text.stop_grad(), pooled=pooled)

    def list_arrays(self) -> list[jt.Var]:
        """Every array in it."""
        return [self.text, *([] if self.pooled is None else [self.pooled])]

    def list_numbers(self, latent: Size, count: int) -> np.ndarray:
        """The sizes of all rows as a UNet reads them, (rows, count), for a latent of that height and width."""
        return np.array([row.list_numbers(latent, count) for row in self.sizes], np.float32)


def read_condition(text: Union[jt.Var, Condition]) -> Condition:
    """Texts alone are a condition too."""
    return text if isinstance(text, Condition) else Condition(text)


def join_conditions(conditions: Sequence[Condition]) -> Condition:
    """The rows of all, one after the other."""
    if len(conditions) == 1:
        return conditions[0]
    pooled = [one.pooled for one in conditions if one.pooled is not None]
    sizes = tuple(row for one in conditions for row in one.sizes)
    return Condition(
        jt.concat([one.text for one in conditions], dim=0), jt.concat(pooled, dim=0) if pooled else None, sizes
    )


def _take(rows: jt.Var, places: Sequence[int]) -> jt.Var:
    return jt.concat([rows[i : i + 1] for i in places], dim=0)
