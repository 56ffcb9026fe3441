"""The transformer that CLIP's text and image encoders share (arXiv 2103.00020)."""

from __future__ import annotations

from typing import Optional, Union

from jstyle import ops
from jstyle.networks.config import CLIPTextConfig, CLIPVisionConfig
from jstyle.networks.layers import LayerNorm, Linear
from jstyle.runtime import jt

CLIPConfig = Union[CLIPTextConfig, CLIPVisionConfig]
ACTIVATIONS = {"gelu": ops.gelu, "quick_gelu": ops.quick_gelu}


class CLIPAttention(jt.Module):
    """Multi-head self-attention with an optional additive mask, plus a residual."""

    def __init__(self, config: CLIPConfig) -> None:
        channels = config.hidden_size
        self.q_proj = Linear(channels, channels)
        self.k_proj = Linear(channels, channels)
        self.v_proj = Linear(channels, channels)
        self.out_proj = Linear(channels, channels)
        self.heads = config.num_attention_heads

    def execute(self, x: jt.Var, mask: Optional[jt.Var], residual: jt.Var) -> jt.Var:
        """x and residual (batch, tokens, hidden_size) -> the same; the mask is (1, 1, tokens, tokens)."""
        b, tokens, channels = x.shape
        split = [b, tokens, self.heads, channels // self.heads]
        q, k, v = (proj(x).reshape(split) for proj in (self.q_proj, self.k_proj, self.v_proj))
        return self.out_proj(ops.attention(q, k, v, bias=mask).reshape(x.shape), residual)


class CLIPMLP(jt.Module):
    """Two linear layers with the activation that the checkpoint names, plus a residual."""

    def __init__(self, config: CLIPConfig) -> None:
        self.fc1 = Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = Linear(config.intermediate_size, config.hidden_size)
        self.activation = ACTIVATIONS[config.hidden_act]

    def execute(self, x: jt.Var, residual: jt.Var) -> jt.Var:
        """x and residual (batch, tokens, hidden_size) -> the same."""
        return self.fc2(self.activation(self.fc1(x)), residual)


class CLIPEncoderLayer(jt.Module):
    """A pre-norm transformer layer."""

    def __init__(self, config: CLIPConfig) -> None:
        self.layer_norm1 = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.self_attn = CLIPAttention(config)
        self.layer_norm2 = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.mlp = CLIPMLP(config)

    def execute(self, x: jt.Var, mask: Optional[jt.Var]) -> jt.Var:
        """x (batch, tokens, hidden_size) -> the same."""
        x = self.self_attn(self.layer_norm1(x), mask, x)
        return self.mlp(self.layer_norm2(x), x)


class CLIPEncoder(jt.Module):
    """The stack of layers."""

    def __init__(self, config: CLIPConfig) -> None:
        self.layers = jt.nn.ModuleList([CLIPEncoderLayer(config) for _ in range(config.num_hidden_layers)])

    def execute(self, x: jt.Var, mask: Optional[jt.Var], states: Optional[list[jt.Var]] = None) -> jt.Var:
        """x (batch, tokens, hidden_size) -> the same; every layer is given the mask (1, 1, tokens, tokens).

        ``states`` is lengthened by what each layer makes of x.
        """
        for layer in self.layers:
            x = layer(x, mask)
            if states is not None:
                states.append(x)
        return x
