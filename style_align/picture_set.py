"""Style Aligned as recipes use it: a picture at a time, in a batch of its own, beside a reference that is kept.

So nothing depends on which worker makes a picture, and the set's next picture starts from what its reference has left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, Optional, Union

from PIL import Image

from jstyle.errors import InputError
from jstyle.events import Evaluated
from jstyle.methods.pairs import NOT_FINITE
from jstyle.methods.sets import ImageReference, SetSampling, TextReference
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.settings.fields import require
from jstyle.settings.reader import build
from style_align.run import AlignedSet, Target
from style_align.settings import StyleAlignSettings

_THE_PICTURES = ("steps", "guidance", "negative_prompt", "sampler", "eta", "seed", "width", "height", "image_strength")
"""What the pictures of a recipe say themselves."""

_REFUSED = ("batch_size", "panorama", "window", "stride", "circular")
"""What makes no set of single pictures."""


class StyleAlignedSet:
    """A `jstyle.methods.sets.PictureSet`. A set's features are kept unless its settings want them computed again."""

    def __init__(
        self,
        pipe: StableDiffusionPipeline,
        settings: Mapping[str, Any],
        sampling: SetSampling,
        reference: Union[TextReference, ImageReference],
    ) -> None:
        self._set = AlignedSet(pipe, _build_whole(settings, sampling), [reference])

    @staticmethod
    def check(settings: Mapping[str, Any], sampling: SetSampling, *, of_picture: bool) -> None:
        """Raise ValueError, one line, for settings that a set of a recipe cannot have."""
        for name in settings:
            require(name not in _THE_PICTURES, f"{name} is the picture's own")
            require(name not in _REFUSED, f"{name} is nothing that a set in a recipe has")
        whole = _build_whole(settings, sampling)
        # "auto" would let the machine's memory decide over last bits.
        require(whole.reference.features != "auto", "features must be memory or recompute, not auto")
        shares_everything = whole.choose_sharing(of_picture).full_attention_share
        require(not shares_everything, "full_attention_share makes a set depend on all its pictures; leave it off")
        from_noise = sampling.start_strength is None
        require(
            of_picture or from_noise, "a set that takes after its first prompt's picture starts from noise: start: null"
        )

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


def _build_whole(settings: Mapping[str, Any], sampling: SetSampling) -> StyleAlignSettings:
    """The settings with what the pictures say, in batches of one."""
    values = asdict(sampling)
    strength = values.pop("start_strength")
    if strength is not None:
        values["image_strength"] = strength
    return build(StyleAlignSettings, {"features": "memory", **settings, **values, "batch_size": 1})
