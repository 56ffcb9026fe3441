"""The UNet's transformer: attention with its editing seam, feed-forward, and the block around them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Optional, Union

from jstyle import ops
from jstyle.errors import InputError
from jstyle.networks.condition import Condition, read_condition
from jstyle.networks.editing import QKV, Edit, Site
from jstyle.networks.layers import Conv2d, GroupNorm, LayerNorm, Linear, Nothing
from jstyle.runtime import jt


def gather_attention(qkv: QKV, x: jt.Var) -> jt.Var:
    """What the queries of ``x`` (batch, tokens, channels) attend to, (batch, tokens, heads * head_dim).

    Rows of the batch that an editor laid end to end are apart again, as in ``x``.
    """
    return qkv.attend().reshape(x.shape[0], x.shape[1], -1)


class TextContext:
    """A condition whose text, (batch, tokens, channels), has the keys and values that each cross-attention made of it.

    If every call of a run is given the same one, only the first call projects the text. The keys and values are kept
    by the layers and weights that made them, so layers swapped in make their own. Not for training, where weights
    change in place.
    """

    def __init__(self, condition: Union[jt.Var, Condition]) -> None:
        self.condition = read_condition(condition)
        self._projected: dict[tuple[int, ...], tuple[tuple[Any, ...], jt.Var, jt.Var]] = {}

    @property
    def text(self) -> jt.Var:
        """The text alone."""
        return self.condition.text

    def project(self, to_k: jt.Module, to_v: jt.Module) -> tuple[jt.Var, jt.Var]:
        """The text's keys and values, each (batch, tokens, channels of the attention)."""
        source = (to_k, to_v, getattr(to_k, "weight", None), getattr(to_v, "weight", None))
        key = tuple(map(id, source))
        if key not in self._projected:
            self._projected[key] = (source, to_k(self.text), to_v(self.text))  # the source, so that no id is reused
        return self._projected[key][1:]

    def cast(self, dtype: str) -> TextContext:
        """Turn this text, in place, into one for a UNet that computes in ``dtype``."""
        if str(self.text.dtype) != dtype:
            self.condition = replace(self.condition, text=ops.cast(self.text, dtype))
            self._projected = {}
        return self


class Attention(jt.Module):
    """Multi-head attention, plus a residual. With ``context_channels`` it is cross-attention to a text of that width.

    ``site`` is set by the UNet that owns the layer and tells editors which layer they see.
    """

    site: Site

    def __init__(self, channels: int, heads: int, context_channels: Optional[int], upcast: bool) -> None:
        self.to_q = Linear(channels, channels, bias=False)
        self.to_k = Linear(context_channels or channels, channels, bias=False)
        self.to_v = Linear(context_channels or channels, channels, bias=False)
        self.to_out = jt.nn.ModuleList([Linear(channels, channels), Nothing()])
        self.heads = heads
        self.is_cross = context_channels is not None
        self.upcast = upcast

    def execute(self, x: jt.Var, text: Optional[TextContext], edit: Optional[Edit], residual: jt.Var) -> jt.Var:
        """x and residual (batch, tokens, channels) -> the same. Keys and values come from the text, or else from x."""
        k, v = (self.to_k(x), self.to_v(x)) if text is None else text.project(self.to_k, self.to_v)
        qkv = QKV(self._split(self.to_q(x)), self._split(k), self._split(v), upcast=self.upcast)
        if edit is not None:
            qkv = edit(self.site, qkv)
        return self.to_out[0](gather_attention(qkv, x), residual)

    def _split(self, x: jt.Var) -> jt.Var:
        b, tokens, channels = x.shape
        if channels % self.heads:
            raise InputError(f"attention: wanted channels in {self.heads} heads, got {tuple(x.shape)}")
        return x.reshape(b, tokens, self.heads, channels // self.heads)


class GEGLU(jt.Module):
    """A projection to twice ``inner``, one half of which gates the other (arXiv 2002.05202)."""

    def __init__(self, channels: int, inner: int) -> None:
        self.proj = Linear(channels, 2 * inner)

    def execute(self, x: jt.Var) -> jt.Var:
        """(batch, tokens, channels) -> (batch, tokens, inner)."""
        return self.proj.geglu(x)


class FeedForward(jt.Module):
    """Two linear layers through four times the width, the first of them gated, plus a residual."""

    def __init__(self, channels: int) -> None:
        self.net = jt.nn.ModuleList([GEGLU(channels, 4 * channels), Nothing(), Linear(4 * channels, channels)])

    def execute(self, x: jt.Var, residual: jt.Var) -> jt.Var:
        """x and residual (batch, tokens, channels) -> the same."""
        return self.net[2](self.net[0](x), residual)


class BasicTransformerBlock(jt.Module):
    """Self-attention, cross-attention to the text and a feed-forward, each with its norm and residual."""

    def __init__(self, channels: int, heads: int, context_channels: int, upcast: bool) -> None:
        self.norm1 = LayerNorm(channels)
        self.attn1 = Attention(channels, heads, None, upcast)
        self.norm2 = LayerNorm(channels)
        self.attn2 = Attention(channels, heads, context_channels, upcast)
        self.norm3 = LayerNorm(channels)
        self.ff = FeedForward(channels)

    def execute(self, x: jt.Var, text: TextContext, edit: Optional[Edit]) -> jt.Var:
        """x (batch, tokens, channels) -> the same."""
        x = self.attn1(self.norm1(x), None, edit, x)
        x = self.attn2(self.norm2(x), text, edit, x)
        return self.ff(self.norm3(x), x)


class Transformer2DModel(jt.Module):
    """Transformer blocks, one after the other, over the positions of a feature map, plus its input.

    SD 1.x projects in and out by 1x1 convolutions, SD 2.x and XL by linear layers: the same map, stored in
    other shapes.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        context_channels: int,
        groups: int,
        linear_projection: bool,
        upcast: bool,
        depth: int = 1,
    ) -> None:
        self.norm = GroupNorm(groups, channels, eps=1e-6)
        self.proj_in = Linear(channels, channels) if linear_projection else Conv2d(channels, channels, 1)
        self.transformer_blocks = jt.nn.ModuleList(
            [BasicTransformerBlock(channels, heads, context_channels, upcast) for _ in range(depth)]
        )
        self.proj_out = Linear(channels, channels) if linear_projection else Conv2d(channels, channels, 1)

    def execute(self, x: jt.Var, text: TextContext, edit: Optional[Edit]) -> jt.Var:
        """x (batch, height, width, channels) -> the same."""
        b, h, w, c = x.shape
        tokens = self.proj_in(self.norm(x)).reshape(b, h * w, -1)
        for block in self.transformer_blocks:
            tokens = block(tokens, text, edit)
        return self.proj_out(tokens.reshape(b, h, w, c), x)
