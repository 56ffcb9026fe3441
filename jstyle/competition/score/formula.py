"""How the organisers make one number of six metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Optional

METRICS = ("dino", "hist", "lpips", "fid", "clip_iqa", "clip_r")
TITLES: Mapping[str, str] = {
    "dino": "DINO",
    "hist": "Hist",
    "lpips": "LPIPS",
    "fid": "FID",
    "clip_iqa": "CLIP-IQA",
    "clip_r": "CLIP-R",
}
WORST_FID = 20.0  # from there on FID adds nothing


def compute_total(parts: Mapping[str, float]) -> float:
    """(0.2 DINO + 0.4 Hist + 0.4 (1 - LPIPS)) x (0.5 CLIP-R + 0.4 (20 - min(FID, 20)) / 20 + 0.1 CLIP-IQA).

    Raises KeyError where one of `METRICS` is missing: a total of fewer would be another score.
    """
    style = 0.2 * parts["dino"] + 0.4 * parts["hist"] + 0.4 * (1.0 - parts["lpips"])
    distance = (WORST_FID - min(parts["fid"], WORST_FID)) / WORST_FID
    return style * (0.5 * parts["clip_r"] + 0.4 * distance + 0.1 * parts["clip_iqa"])


def list_missing(parts: Mapping[str, Optional[float]]) -> list[str]:
    """The metrics without a value, in the formula's order."""
    return [name for name in METRICS if parts.get(name) is None]


def measure_likeness(parts: Mapping[str, float]) -> float:
    """The formula's first bracket over those of its metrics that one picture has, to rank pictures by."""
    terms: dict[str, float] = {}
    for name, weight in (("dino", 0.2), ("hist", 0.4), ("lpips", 0.4)):
        if name in parts:
            terms[name] = weight
    values = {name: 1.0 - parts[name] if name == "lpips" else parts[name] for name in terms}
    return sum(weight * values[name] for name, weight in terms.items()) / sum(terms.values())
