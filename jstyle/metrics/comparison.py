"""The metrics by which pictures are compared, and what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Optional, get_args

from jstyle.errors import InputError
from jstyle.metrics.matching import Compared

Metric = Literal[
    "lpips", "lpips_vgg", "lpips_squeeze", "cfsd", "ssim", "psnr", "fid", "gram", "hist", "clip", "dino"
]  # fmt: skip
METRICS: tuple[Metric, ...] = get_args(Metric)
TITLES: Mapping[str, str] = {
    "lpips": "LPIPS", "lpips_vgg": "LPIPS-vgg", "lpips_squeeze": "LPIPS-sq", "cfsd": "CFSD", "ssim": "SSIM",
    "psnr": "PSNR", "fid": "FID", "gram": "Gram", "hist": "Hist", "clip": "CLIP", "dino": "DINO",
}  # fmt: skip

NATIVE = frozenset({"ssim", "psnr", "hist"})
"""Computed here; the others need a PyTorch environment."""

AGAINST_CONTENT = frozenset({"lpips", "lpips_vgg", "lpips_squeeze", "cfsd", "ssim", "psnr"})
"""Of a picture and its content; the others are of pictures and styles."""

_HIGHER_IS_BETTER = frozenset({"ssim", "psnr", "hist", "clip", "dino"})
_UNASKED = frozenset({"lpips_vgg", "lpips_squeeze"})  # networks that are fetched for those alone who ask


@dataclass(frozen=True)
class Comparison:
    """Values, by picture and of all pictures together (``values``: FID), and why others are not there."""

    compared: tuple[Compared, ...]
    pictures: Mapping[str, Mapping[str, float]]
    values: Mapping[str, float] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)

    @property
    def means(self) -> dict[str, float]:
        """Each metric over all pictures."""
        first = self.pictures[self.compared[0].name]
        means = {name: sum(values[name] for values in self.pictures.values()) / len(self.pictures) for name in first}
        return {name: {**means, **self.values}[name] for name in METRICS if name in means or name in self.values}

    @property
    def art_fid(self) -> Optional[float]:
        """(1 + LPIPS) (1 + FID), arXiv 2207.12280; None unless both are there."""
        if "lpips" in self.means and "fid" in self.means:
            return (1 + self.means["lpips"]) * (1 + self.means["fid"])
        return None

    def rank(self) -> list[Compared]:
        """The pictures, best first: by their mean place among all in each metric that a picture has."""
        names = sorted(self.pictures[self.compared[0].name])
        places = dict.fromkeys(self.pictures, 0.0)
        for metric in names:
            sign = -1 if metric in _HIGHER_IS_BETTER else 1
            for name, values in self.pictures.items():
                places[name] += sum(sign * other[metric] < sign * values[metric] for other in self.pictures.values())
        return sorted(self.compared, key=lambda one: places[one.name])


def list_metrics(asked: Sequence[str], contents: bool, styles: bool, networks: bool) -> list[str]:
    """The metrics to compute, in the table's order.

    Raises InputError where one is asked for that needs what is not given.
    """
    for name in asked:
        if not (contents if name in AGAINST_CONTENT else styles):
            raise InputError(f"{name} needs --{'content' if name in AGAINST_CONTENT else 'style'}")
        if name not in NATIVE and not networks:
            raise InputError(f"{name} needs networks: --network_python names a Python with 'jstyle[score]'")
    if asked:
        return [name for name in METRICS if name in asked]
    given = [name for name in METRICS if (contents if name in AGAINST_CONTENT else styles)]
    return [name for name in given if name in NATIVE or (networks and name not in _UNASKED)]
