"""The editor that replaces a stylised image's self-attention features (arXiv 2312.09008, equations 4 to 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Optional

import numpy as np

from jstyle import ops
from jstyle.errors import InputError
from jstyle.networks.editing import QKV, Editable, Site, decoder_self_attention
from jstyle.runtime import jt
from styleid.bank import Bank


class InjectFromBanks:
    """Content queries and style keys and values from banks; row i of the batch is content i in the style."""

    def __init__(self, contents: Sequence[Bank], style: Bank, gamma: float, temperature: float) -> None:
        self._contents = contents
        self._style = style
        self._gamma = gamma
        self._temperature = temperature

    def __call__(self, site: Site, step: int, qkv: QKV) -> QKV:
        content_q = np.stack([bank.read(step, site.path, "q") for bank in self._contents])
        dtype = str(qkv.q.dtype)
        k, v = (from_bank(self._style.read(step, site.path, part)[None], dtype) for part in ("k", "v"))
        q = blend(from_bank(content_q, dtype), qkv.q, self._gamma)
        return replace(qkv, q=q, k=k, v=v, temperature=self._temperature)


def blend(content_q: jt.Var, q: jt.Var, gamma: float) -> jt.Var:
    """Query preservation."""
    return content_q * gamma + q * (1.0 - gamma)


def from_bank(features: np.ndarray, dtype: str) -> jt.Var:
    """Features as they are kept, in the dtype that the network computes in."""
    return ops.cast(jt.array(features).cast("float32"), dtype)


def injected_sites(unet: Editable, layers: Optional[Sequence[int]]) -> frozenset[str]:
    """The paths of the decoder self-attentions to inject into.

    ``layers`` counts decoder resnets from the lowest resolution, as the paper's code does (its ``output_blocks``); the
    transformer after a resnet has several self-attentions in SDXL, which go together. None means all self-attentions
    of the last two up blocks, layers 6 to 11 in Stable Diffusion 1.x and 2.x: six, at the finest resolutions. In SDXL
    it means those of the last up block that has any: six too, where the two would be 36.
    Raises InputError for a layer that has no self-attention.
    """
    sites = [site for site in unet.sites if decoder_self_attention(site)]
    if layers is None:
        is_deep = any(".transformer_blocks.0." not in site.path for site in sites)
        first = max(map(_block, sites)) - (0 if is_deep else 1)
        return frozenset(site.path for site in sites if _block(site) >= first)
    numbers = {_layer_number(unet, site) for site in sites}
    wrong = sorted(set(layers) - numbers)
    if wrong:
        raise InputError(f"layer {wrong[0]} has no decoder self-attention; this model has {sorted(numbers)}")
    return frozenset(site.path for site in sites if _layer_number(unet, site) in layers)


def _block(site: Site) -> int:
    """The up block of ``up_blocks.B.attentions.A...``."""
    return int(site.path.split(".")[1])


def _layer_number(unet: Editable, site: Site) -> int:
    """B * resnets per block + A for ``up_blocks.B.attentions.A...``."""
    per_block = 1 + max(int(other.path.split(".")[3]) for other in unet.sites if decoder_self_attention(other))
    return _block(site) * per_block + int(site.path.split(".")[3])
