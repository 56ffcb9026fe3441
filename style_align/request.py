"""What is asked of Style Aligned, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Sequence, Union

from PIL import Image

from jstyle.errors import InputError
from style_align.trajectory import Trajectory


@dataclass(frozen=True)
class TextReference:
    """A reference that is generated."""

    prompt: str
    seed: int


@dataclass(frozen=True)
class ImageReference:
    """A picture as the reference, with a text that describes it and names its style."""

    prompt: str
    image: Image.Image


AnyReference = Union[TextReference, ImageReference, Trajectory]


@dataclass(frozen=True)
class Target:
    """A picture to make; it starts from ``image`` where one is given."""

    prompt: str
    seed: int
    image: Optional[Image.Image] = None


@dataclass(frozen=True)
class Made:
    """One result: which target (its index), and the picture or what went wrong with it."""

    target: int
    image: Optional[Image.Image]
    error: str = ""


def is_picture(one: AnyReference) -> bool:
    """Whether a reference is, or was made from, a picture."""
    return one.inverted if isinstance(one, Trajectory) else isinstance(one, ImageReference)


def checked_weights(weights: Optional[Sequence[float]], count: int) -> List[float]:
    """One weight a reference, equal ones by default. Raises InputError for others that do not fit."""
    if count == 0:
        raise InputError("there is no reference")
    chosen = [1.0] * count if weights is None else [float(one) for one in weights]
    if len(chosen) != count:
        raise InputError(f"{len(chosen)} weights for {count} references; give one each")
    if not all(0.0 < one < float("inf") for one in chosen):
        raise InputError("the weights of references must be positive; leave a reference out instead")
    return chosen
