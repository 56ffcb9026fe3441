"""CLIP's text encoder (arXiv 2103.00020), with which Stable Diffusion reads prompts."""

from __future__ import annotations

import numpy as np

from jstyle.errors import InputError
from jstyle.networks.clip_layers import CLIPEncoder
from jstyle.networks.config import CLIPTextConfig
from jstyle.networks.entry import check_shape
from jstyle.networks.layers import Embedding, LayerNorm
from jstyle.runtime import jt


class CLIPTextEmbeddings(jt.Module):
    """Token plus position embeddings."""

    def __init__(self, config: CLIPTextConfig) -> None:
        self.token_embedding = Embedding(config.vocab_size, config.hidden_size)
        self.position_embedding = Embedding(config.max_position_embeddings, config.hidden_size)

    def execute(self, input_ids: jt.Var) -> jt.Var:
        """Token ids (batch, tokens) -> (batch, tokens, hidden_size)."""
        return self.token_embedding(input_ids) + self.position_embedding.weight[: input_ids.shape[1]]


class CLIPTextTransformer(jt.Module):
    """Embeddings, causal encoder, final norm."""

    def __init__(self, config: CLIPTextConfig) -> None:
        self.embeddings = CLIPTextEmbeddings(config)
        self.encoder = CLIPEncoder(config)
        self.final_layer_norm = LayerNorm(config.hidden_size, config.layer_norm_eps)

    def execute(self, input_ids: jt.Var) -> jt.Var:
        """Token ids (batch, tokens) -> (batch, tokens, hidden_size)."""
        x = self.embeddings(input_ids)
        return self.final_layer_norm(self.encoder(x, _make_causal_mask(input_ids.shape[1])))


class CLIPTextModel(jt.Module):
    """transformers' CLIPTextModel; only its ``last_hidden_state`` is computed."""

    def __init__(self, config: CLIPTextConfig) -> None:
        self.config = config
        self.text_model = CLIPTextTransformer(config)

    def execute(self, input_ids: jt.Var) -> jt.Var:
        """Token ids (batch, tokens) -> the last hidden state (batch, tokens, hidden_size).

        Raises InputError, before anything is computed, for ids of another shape, or that are in no table.
        """
        self.check_ids(input_ids)
        return self.text_model(input_ids)

    def check_ids(self, input_ids: jt.Var) -> None:
        """Raise InputError for a shape that `execute` does not take, such as more tokens than have positions."""
        check_shape("text encoder", "token ids", input_ids, ("batch", "tokens"))
        most = self.config.max_position_embeddings
        if input_ids.shape[1] > most:
            raise InputError(f"text encoder: wanted at most {most} tokens, got {tuple(input_ids.shape)}")


def _make_causal_mask(tokens: int) -> jt.Var:
    """(1, 1, tokens, tokens): a token sees itself and those before it."""
    return jt.array(np.triu(np.full((1, 1, tokens, tokens), -1e9, np.float32), k=1)).stop_grad()  # a constant
