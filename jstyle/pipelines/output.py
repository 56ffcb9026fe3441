"""What a pipeline's call yields and returns."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Union

import numpy as np

from jstyle.diffusion.samplers import Step
from jstyle.errors import InputError
from jstyle.pictures import images
from jstyle.runtime import jt

OUTPUT_TYPES = ("pil", "np", "pt", "latent")


@dataclass(frozen=True)
class PipelineStep(Step):
    """A sampler's step, and how many latents it sent through the UNet, each half of a guided batch counted."""

    evaluations: int


@dataclass(frozen=True)
class PipelineOutput:
    """``images``: PIL pictures, or an array as ``output_type`` asks; ``seeds``: the seed of each.

    As in diffusers, ``output[0]`` and ``output["images"]`` are the images too, and ``output[1]`` is None: nothing looks
    for what they show.
    """

    images: Any
    seeds: tuple[int, ...]
    nsfw_content_detected: None = None

    def __getitem__(self, key: Union[str, int, slice]) -> Any:
        if isinstance(key, str):
            if key not in (field.name for field in fields(self)):
                raise KeyError(key)
            return getattr(self, key)
        return self.to_tuple()[key]

    def keys(self) -> list[str]:
        """The names of the values that there are."""
        return [field.name for field in fields(self) if getattr(self, field.name) is not None]

    def to_tuple(self) -> tuple[Any, None]:
        """What ``return_dict=False`` returns."""
        return self.images, self.nsfw_content_detected


def check_output_type(output_type: str) -> None:
    """Raise InputError for another than `OUTPUT_TYPES`."""
    if output_type not in OUTPUT_TYPES:
        raise InputError(f"output_type {output_type!r:.60} is not known; it must be one of {', '.join(OUTPUT_TYPES)}")


def present(decoded: np.ndarray, output_type: str) -> Any:
    """Decoded images (images, 3, height, width) in about [-1, 1] as "pil", "np" or "pt".

    "np" is (images, height, width, 3), "pt" a ``jt.Var`` (images, 3, height, width), both in [0, 1].
    """
    if output_type == "pil":
        return images.to_images(decoded)
    share = np.clip(decoded / 2 + 0.5, 0, 1)
    return jt.array(np.ascontiguousarray(share)) if output_type == "pt" else share.transpose(0, 2, 3, 1)
