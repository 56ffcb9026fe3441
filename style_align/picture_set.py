"""Style Aligned as recipes use it: a picture at a time, in a batch of its own, beside a reference that is kept.

So nothing depends on which worker makes a picture, and the set's next picture starts from what its reference has left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, Optional, Union

from PIL import Image

from jstyle.errors import InputError
from jstyle.events import Evaluated
from jstyle.methods.pairs import NOT_FINITE
from jstyle.methods.sets import ImageReference, TextReference
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.settings.control import ControlSettings
from jstyle.settings.fields import require
from jstyle.settings.reader import build
from style_align.run import AlignedSet, Target
from style_align.settings import StyleAlignSettings

_THE_PICTURES = (
    "steps", "guidance", "negative_prompt", "sampler", "sigmas", "eta", "seed", "width", "height", "image_strength",
    "prompt_weights", "long_prompts",
)  # fmt: skip
"""What the pictures of a recipe say themselves."""

_REFUSED = (
    "batch_size", "panorama", "window", "stride", "circular", *(field.name for field in fields(ControlSettings)),
)  # fmt: skip
"""What makes no set of single pictures."""


class StyleAlignedSet:
    """A `jstyle.methods.sets.PictureSet`. A set's features are kept unless its settings want them computed again."""

    def __init__(
        self,
        pipe: StableDiffusionPipeline,
        settings: StyleAlignSettings,
        reference: Union[TextReference, ImageReference],
    ) -> None:
        self._set = AlignedSet(pipe, settings, [reference])

    @staticmethod
    def build_settings(
        values: Mapping[str, Any], provided: Mapping[str, Any], *, of_picture: bool
    ) -> StyleAlignSettings:
        """The settings of a set of a recipe, its pictures in batches of one, with all that the preset decides.

        Raises ValueError, one line, for settings that such a set cannot have.
        """
        for name in values:
            require(name not in _THE_PICTURES, f"{name} is the picture's own")
            require(name not in _REFUSED, f"{name} is nothing that a set in a recipe has")
        settings = build(StyleAlignSettings, {"features": "memory", **values, **provided, "batch_size": 1})
        # "auto" would let the machine's memory decide over last bits.
        require(settings.reference.features != "auto", "features must be memory or recompute, not auto")
        shares_everything = settings.choose_sharing(of_picture).full_attention_share
        require(not shares_everything, "full_attention_share makes a set depend on all its pictures; leave it off")
        from_noise = "image_strength" not in provided
        require(
            of_picture or from_noise, "a set that takes after its first prompt's picture starts from noise: start: null"
        )
        return settings.fill(of_picture)

    def make_reference(self) -> Iterator[Union[Evaluated, Image.Image]]:
        """The reference's own picture, last."""
        (picture,) = yield from self._set.make_references()
        yield picture

    def make(self, prompt: str, seed: int, start: Optional[Image.Image]) -> Iterator[Union[Evaluated, Image.Image]]:
        """A picture of the set, last. Raises InputError where it is not finite."""
        for event in self._set.make_pictures([Target(prompt, seed, start)]):
            if isinstance(event, Evaluated):
                yield event
            elif event[1] is None:
                raise InputError(NOT_FINITE)
            else:
                yield event[1]
