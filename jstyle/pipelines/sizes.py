"""What a call of SDXL says of its pictures' sizes, by diffusers' names (arXiv 2307.01952, section 2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Optional

from jstyle.errors import InputError
from jstyle.networks.condition import Size, Sizes
from jstyle.settings.fields import later
from jstyle.settings.leaves import unwrap_numpy
from jstyle.settings.messages import show

_LARGEST = 1 << 20  # pixels
_SCORES = ("aesthetic_score", "negative_aesthetic_score")


@dataclass(frozen=True)
class PictureSizes:
    """Sizes are (height, width), a corner is (top, left), both in pixels; a size is by default the picture's own.

    The scores are read in the place of the target's size by a UNet that was taught so, SDXL's refiner.
    """

    original_size: Optional[Size] = later(None)
    crops_coords_top_left: Size = later((0, 0))
    target_size: Optional[Size] = later(None)
    negative_original_size: Optional[Size] = later(None)
    negative_crops_coords_top_left: Size = later((0, 0))
    negative_target_size: Optional[Size] = later(None)
    aesthetic_score: float = later(6.0)
    negative_aesthetic_score: float = later(2.5)

    def describe(self, factor: int) -> Sizes:
        """What a prompt's row says, where a latent's side stands for ``factor`` pixels."""
        return Sizes(factor, self.original_size, self.crops_coords_top_left, self.target_size, self.aesthetic_score)

    def describe_negative(self, factor: int, from_noise: bool) -> Sizes:
        """What the row against it says.

        As in diffusers, one from noise says the same as the prompt's row unless both negative sizes are given; one from
        a picture takes each that is not given from the prompt's, and its corner is its own.
        """
        both = self.negative_original_size is not None and self.negative_target_size is not None
        if from_noise and not both:
            return Sizes(
                factor,
                self.original_size,
                self.crops_coords_top_left,
                self.target_size,
                self.negative_aesthetic_score,
            )
        return Sizes(
            factor,
            self.negative_original_size or self.original_size,
            self.negative_crops_coords_top_left,
            self.negative_target_size or self.target_size,
            self.negative_aesthetic_score,
        )


OWN_SIZES = PictureSizes()
SIZE_NAMES = tuple(field.name for field in fields(PictureSizes))


def read_sizes(options: Mapping[str, Any]) -> PictureSizes:
    """The sizes among a call's arguments. Raises InputError for what is no pair of whole numbers, or no score.

    A size is at least one pixel by one, and a corner lies within the picture, as in all that SDXL was taught.
    """
    read: dict[str, Any] = {}
    for name in SIZE_NAMES:
        value = options.get(name)
        if value is not None:
            read[name] = _read_score(name, value) if name in _SCORES else _read_pair(name, value)
    return PictureSizes(**read)


def _read_pair(name: str, value: Any) -> Size:
    pair, least = ("(top, left)", 0) if "crops" in name else ("(height, width)", 1)
    numbers = [unwrap_numpy(number) for number in value] if isinstance(value, (list, tuple)) else []
    if len(numbers) != 2 or not all(type(number) is int and least <= number <= _LARGEST for number in numbers):
        raise InputError(
            f"{name} must be two whole numbers, {pair}, each from {least} to {_LARGEST}, not {show(value)}"
        )
    return numbers[0], numbers[1]


def _read_score(name: str, value: Any) -> float:
    number = unwrap_numpy(value)
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not abs(number) <= 1000:
        raise InputError(f"{name} must be a number, not {show(value)}")
    return float(number)
