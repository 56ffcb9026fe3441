"""The fused attention and its editors in diffusers' attention modules, through their processors.

Such a module hands its call on to its processor: ``processor(attn, hidden_states, encoder_hidden_states, ...)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Optional

from jstyle import ops
from jstyle.errors import InputError
from jstyle.networks.attention import gather_attention
from jstyle.networks.editing import QKV, Edit, Site
from jstyle.runtime import jt

PLAIN = ("AttnProcessor", "AttnProcessor2_0")
"""The processors that do nothing but attention; others do more, which would be lost if they were replaced."""


class FusedAttnProcessor:
    """Projects to q, k and v, lets ``edit`` change them, attends with this project's kernel, and projects back.

    ``site`` tells editors where they are; a layer that nothing edits needs none.
    """

    def __init__(self, site: Optional[Site] = None, edit: Optional[Edit] = None) -> None:
        self._site = site
        self._edit = edit

    def __call__(
        self,
        attn: Any,
        hidden_states: jt.Var,
        encoder_hidden_states: Optional[jt.Var] = None,
        attention_mask: Optional[jt.Var] = None,
        *_: Any,
        **__: Any,
    ) -> jt.Var:
        """hidden_states (batch, tokens, channels), or (batch, channels, height, width) as in the VAE -> the same."""
        x, shape = hidden_states, hidden_states.shape
        if len(shape) == 4:
            x = ops.channels_last(x).reshape(shape[0], shape[2] * shape[3], shape[1])
        if getattr(attn, "group_norm", None) is not None:
            x = attn.group_norm(x.transpose(0, 2, 1)).transpose(0, 2, 1)
        out = self._attend(attn, x, x if encoder_hidden_states is None else encoder_hidden_states, attention_mask)
        out = attn.to_out[1](attn.to_out[0](out))
        if len(shape) == 4:
            out = ops.channels_first(out.reshape(shape[0], shape[2], shape[3], shape[1]))
        if getattr(attn, "residual_connection", False):
            out = ops.add(out, hidden_states)
        factor = getattr(attn, "rescale_output_factor", 1.0)
        return out if factor == 1.0 else out / factor

    def _attend(self, attn: Any, x: jt.Var, context: jt.Var, mask: Optional[jt.Var]) -> jt.Var:
        q, k, v = (_split(rows, attn.heads) for rows in (attn.to_q(x), attn.to_k(context), attn.to_v(context)))
        bias = None if mask is None else _make_bias(attn, mask, k, x.shape[0])
        qkv = QKV(q, k, v, bias, upcast=getattr(attn, "upcast_attention", False))
        if self._edit is not None and self._site is not None:
            qkv = self._edit(self._site, qkv)
        return gather_attention(qkv, x)


def list_attention(network: Any) -> dict[str, Any]:
    """The attention modules of a network, which are those that take a processor, by their paths."""
    return {path: module for path, module in network.named_modules() if hasattr(module, "set_processor")}


@contextmanager
def use_processors(modules: Mapping[str, Any], processors: Mapping[str, FusedAttnProcessor]) -> Iterator[None]:
    """Put processors, by path, into attention modules, and on exit put back the very ones that were there.

    Raises InputError, before anything is changed, for a path without attention or with a processor that is not plain.
    """
    for path in processors:
        if path not in modules:
            raise InputError(f"this network has no attention {path!r}")
        name = type(modules[path].processor).__name__
        if name not in (*PLAIN, FusedAttnProcessor.__name__):
            raise InputError(f"{path} has a processor of its own ({name}), which would be lost; take that off first")
    before = {path: modules[path].processor for path in processors}
    try:
        for path, processor in processors.items():
            modules[path].set_processor(processor)
        yield
    finally:
        for path, processor in before.items():
            modules[path].set_processor(processor)


def _split(x: jt.Var, heads: int) -> jt.Var:
    b, tokens, channels = x.shape
    return x.reshape(b, tokens, heads, channels // heads)


def _make_bias(attn: Any, mask: jt.Var, k: jt.Var, batch: int) -> jt.Var:
    """diffusers' mask, which is added to the logits, as (batch, heads, 1 or queries, keys)."""
    prepared = attn.prepare_attention_mask(mask, k.shape[1], batch)
    return prepared.reshape(batch, attn.heads, -1, k.shape[1])
