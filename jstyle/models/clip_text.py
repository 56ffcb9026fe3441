"""CLIP's text encoder (arXiv 2103.00020): what Stable Diffusion reads prompts with."""

from __future__ import annotations

import numpy as np

from jstyle import ops
from jstyle.config import CLIPTextConfig
from jstyle.models.layers import Embedding, LayerNorm, Linear
from jstyle.runtime import jt

ACTIVATIONS = {"gelu": ops.gelu, "quick_gelu": ops.quick_gelu}


class CLIPAttention(jt.Module):
    """Multi-head self-attention over (batch, tokens, channels) with an additive mask, plus the residual."""

    def __init__(self, config: CLIPTextConfig) -> None:
        channels = config.hidden_size
        self.q_proj = Linear(channels, channels)
        self.k_proj = Linear(channels, channels)
        self.v_proj = Linear(channels, channels)
        self.out_proj = Linear(channels, channels)
        self.heads = config.num_attention_heads

    def execute(self, x: jt.Var, mask: jt.Var, residual: jt.Var) -> jt.Var:
        b, tokens, channels = x.shape
        split = [b, tokens, self.heads, channels // self.heads]
        q, k, v = (proj(x).reshape(split) for proj in (self.q_proj, self.k_proj, self.v_proj))
        return self.out_proj(ops.attention(q, k, v, bias=mask).reshape(x.shape), residual)


class CLIPMLP(jt.Module):
    """Two linear layers with the activation that the checkpoint names, plus the residual."""

    def __init__(self, config: CLIPTextConfig) -> None:
        self.fc1 = Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = Linear(config.intermediate_size, config.hidden_size)
        self.activation = ACTIVATIONS[config.hidden_act]

    def execute(self, x: jt.Var, residual: jt.Var) -> jt.Var:
        return self.fc2(self.activation(self.fc1(x)), residual)


class CLIPEncoderLayer(jt.Module):
    """A pre-norm transformer layer."""

    def __init__(self, config: CLIPTextConfig) -> None:
        self.layer_norm1 = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.self_attn = CLIPAttention(config)
        self.layer_norm2 = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.mlp = CLIPMLP(config)

    def execute(self, x: jt.Var, mask: jt.Var) -> jt.Var:
        x = self.self_attn(self.layer_norm1(x), mask, x)
        return self.mlp(self.layer_norm2(x), x)


class CLIPEncoder(jt.Module):
    """The stack of layers."""

    def __init__(self, config: CLIPTextConfig) -> None:
        self.layers = jt.nn.ModuleList([CLIPEncoderLayer(config) for _ in range(config.num_hidden_layers)])

    def execute(self, x: jt.Var, mask: jt.Var) -> jt.Var:
        for layer in self.layers:
            x = layer(x, mask)
        return x


class CLIPTextEmbeddings(jt.Module):
    """Token plus position embeddings."""

    def __init__(self, config: CLIPTextConfig) -> None:
        self.token_embedding = Embedding(config.vocab_size, config.hidden_size)
        self.position_embedding = Embedding(config.max_position_embeddings, config.hidden_size)

    def execute(self, input_ids: jt.Var) -> jt.Var:
        return self.token_embedding(input_ids) + self.position_embedding.weight[: input_ids.shape[1]]


class CLIPTextTransformer(jt.Module):
    """Embeddings, causal encoder, final norm."""

    def __init__(self, config: CLIPTextConfig) -> None:
        self.embeddings = CLIPTextEmbeddings(config)
        self.encoder = CLIPEncoder(config)
        self.final_layer_norm = LayerNorm(config.hidden_size, config.layer_norm_eps)

    def execute(self, input_ids: jt.Var) -> jt.Var:
        x = self.embeddings(input_ids)
        return self.final_layer_norm(self.encoder(x, _causal_mask(input_ids.shape[1])))


class CLIPTextModel(jt.Module):
    """Token ids (batch, tokens) -> hidden states (batch, tokens, hidden_size), transformers' ``last_hidden_state``."""

    def __init__(self, config: CLIPTextConfig) -> None:
        self.config = config
        self.text_model = CLIPTextTransformer(config)

    def execute(self, input_ids: jt.Var) -> jt.Var:
        return self.text_model(input_ids)


def _causal_mask(tokens: int) -> jt.Var:
    """(1, 1, tokens, tokens): a token sees itself and what stands before it."""
    return jt.array(np.triu(np.full((1, 1, tokens, tokens), -1e9, np.float32), k=1))
