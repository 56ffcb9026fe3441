"""How pictures of any shape come to the size that a method computes at, and what that costs them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image

from jstyle.pictures import images
from jstyle.settings.vocabulary import Fit

LONGEST_SHAPE = 16
"""Of a picture that keeps its aspect: a longer one is cut to that, or its short side would hold nothing."""

WORTH_TELLING = 0.05
"""The share of a picture whose loss is told; below lies what sides in multiples cost."""

Size = tuple[int, int]
"""(width, height) in pixels."""


@dataclass(frozen=True)
class Frame:
    """The size that is wanted, (width, height) in pixels, and how pictures of another shape get there.

    Under keep a picture has its own aspect, sides in ``multiple`` pixels, and about the area width * height; otherwise
    it has the very size.
    """

    width: int
    height: int
    how: Fit = "crop"
    multiple: int = 8

    def choose_size(self, size: Size) -> Size:
        """The (width, height) that a picture of this size comes to. One that has come to it already stays."""
        if self.how != "keep":
            return self.width, self.height
        area, aspect = self.width * self.height, size[0] / size[1]
        aspect = min(max(aspect, 1 / LONGEST_SHAPE), LONGEST_SHAPE)

        def rank(candidate: Size) -> tuple[float, float]:
            return abs(math.log(candidate[0] / candidate[1] / aspect)), abs(candidate[0] * candidate[1] - area)

        return min(self._list_sizes(area), key=rank)

    def fit(self, picture: Image.Image) -> Image.Image:
        """The picture, of any kind, as RGB of that size. Fitting it once more changes nothing."""
        picture = images.require_rgb(picture)
        return images.fit(picture, *self.choose_size(picture.size), self.how)

    def measure_loss(self, size: Size) -> float:
        """The share of a picture of this size that is cut off."""
        if self.how in ("pad", "stretch"):
            return 0.0
        width, height = self.choose_size(size)
        ratio = (size[0] * height) / (size[1] * width)
        return 1 - min(ratio, 1 / ratio)

    def describe_losses(self, sizes: Mapping[str, Size]) -> list[str]:
        """One line where pictures, by name, are cut, padded or put out of shape by more than a little, else none."""
        if self.how in ("pad", "stretch"):
            aspect = self.width / self.height
            changed = {name: abs(math.log(size[0] / size[1] / aspect)) for name, size in sizes.items()}
            word = "get a mirrored border" if self.how == "pad" else "are put out of shape"
        else:
            changed = {name: self.measure_loss(size) for name, size in sizes.items()}
            word = "lose their sides"
        changed = {name: change for name, change in changed.items() if change > WORTH_TELLING}
        if not changed:
            return []
        worst = max(changed, key=lambda name: changed[name])
        (width, height), (fitted_width, fitted_height) = sizes[worst], self.choose_size(sizes[worst])
        shown = f"{worst!r}, {width}x{height} to {fitted_width}x{fitted_height}"
        shown += f", loses {changed[worst]:.0%}" if self.how in ("keep", "crop") else ""
        return [f"fit {self.how}: {len(changed)} of {len(sizes)} pictures {word} ({shown})"]

    def _list_sizes(self, area: int) -> set[Size]:
        """Sizes in multiples: to every side the other that comes closest to the area."""
        shortest = math.sqrt(area / LONGEST_SHAPE)
        first, last = max(1, int(shortest / self.multiple)), math.ceil(area / shortest / self.multiple)
        sides = [count * self.multiple for count in range(first, last + 1)]
        pairs = [(side, max(1, round(area / side / self.multiple)) * self.multiple) for side in sides]
        return {*pairs, *((other, side) for side, other in pairs)}
