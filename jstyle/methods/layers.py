"""Which self-attentions a method edits, by their numbers in the order of execution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

from jstyle.errors import InputError
from jstyle.networks.editing import Site

LAST_LAYERS = 6
"""As many of the last self-attentions are edited by default: in Stable Diffusion those of the two upper levels."""


def choose_layers(sites: Sequence[Site], layers: Optional[Sequence[int]]) -> frozenset[str]:
    """The paths of the self-attentions of these numbers, counted from 0, by default of the `LAST_LAYERS`.

    Raises InputError for a layer that the network does not have.
    """
    paths = [site.path for site in sorted(sites, key=lambda site: site.index) if not site.is_cross]
    if layers is None:
        return frozenset(paths[-LAST_LAYERS:])
    wrong = sorted(layer for layer in layers if not 0 <= layer < len(paths))
    if wrong:
        raise InputError(f"layer {wrong[0]} is no self-attention of this model: they are 0 to {len(paths) - 1}")
    return frozenset(paths[layer] for layer in layers)
