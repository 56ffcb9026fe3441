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


class PictureSet(Protocol):
    """A set of one reference, on a loaded pipeline; ``settings`` are the method's, as `build_settings` makes them."""

    def __init__(self, pipe: Any, settings: Any, reference: Union[TextReference, ImageReference]) -> None: ...

    @staticmethod
    def build_settings(values: Mapping[str, Any], provided: Mapping[str, Any], *, of_picture: bool) -> Any:
        """The method's settings, every choice made, so that they say whole what a picture is.

        Args:
            values: what a recipe says of the set.
            provided: what its pictures say themselves, by the names of the method's settings: steps, guidance,
                negative_prompt, prompt_weights, long_prompts, sampler, sigmas, eta, width and height, and, where a
                picture starts from another, image_strength, the share of the steps that run on it.
            of_picture: whether the reference is a picture.

        Raises ValueError, one line, for settings that a set of a recipe cannot have.
        """
        ...

    def make_reference(self) -> Iterator[Union[Evaluated, Image.Image]]:
        """The reference's own picture, last."""
        ...

    def make(self, prompt: str, seed: int, start: Optional[Image.Image]) -> Iterator[Union[Evaluated, Image.Image]]:
        """A picture of the set, last. Raises InputError where it is not finite."""
        ...
