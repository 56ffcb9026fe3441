"""Sets of pictures, as recipes make them: each takes after the set's reference.

A task is one picture all the same, so nothing depends on which worker makes it. A worker keeps the last set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Optional, Protocol, Union

from PIL import Image

from jstyle.events import Evaluated


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


@dataclass(frozen=True)
class SetSampling:
    """What a recipe decides of a set's pictures beside the method's settings; ``width`` and ``height`` in pixels."""

    steps: int
    guidance: float
    negative_prompt: str
    sampler: Optional[str]
    eta: float
    width: int
    height: int
    start_strength: Optional[float] = None
    """With pictures to start from: the share of the steps that run on them."""


class PictureSet(Protocol):
    """A set of one reference, on a loaded pipeline; ``settings`` are the recipe's, as they were written."""

    def __init__(
        self,
        pipe: Any,
        settings: Mapping[str, Any],
        sampling: SetSampling,
        reference: Union[TextReference, ImageReference],
    ) -> None: ...

    @staticmethod
    def check(settings: Mapping[str, Any], sampling: SetSampling, *, of_picture: bool) -> None:
        """Raise ValueError, one line, for settings that a set of a recipe cannot have."""
        ...

    def make_reference(self) -> Iterator[Union[Evaluated, Image.Image]]:
        """The reference's own picture, last."""
        ...

    def make(self, prompt: str, seed: int, start: Optional[Image.Image]) -> Iterator[Union[Evaluated, Image.Image]]:
        """A picture of the set, last. Raises InputError where it is not finite."""
        ...
