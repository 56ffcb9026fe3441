"""Which self-attentions a method looks at or edits, by their numbers in the order of execution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

from jstyle.errors import InputError
from jstyle.networks.editing import Site

LAST_LAYERS = 6
"""By default the last self-attentions, as many: in Stable Diffusion those of the two upper levels, of SDXL the upper
one's.
"""


def choose_layers(sites: Sequence[Site], layers: Optional[Sequence[int]]) -> frozenset[str]:
    """The paths of the self-attentions of these numbers, counted from 0, by default of the last `LAST_LAYERS`.

    Raises InputError for a layer that the network does not have.
    """
    paths = {site.index: site.path for site in sites if not site.is_cross}
    if layers is None:
        return frozenset(paths[index] for index in sorted(paths)[-LAST_LAYERS:])
    wrong = sorted(set(layers) - set(paths))
    if wrong:
        raise InputError(f"layer {wrong[0]} is no self-attention of this model: they are 0 to {max(paths)}")
    return frozenset(paths[index] for index in layers)
