"""CLIP's text encoder (arXiv 2103.00020), with which Stable Diffusion reads prompts."""

from __future__ import annotations

from typing import Any, Optional, Union

import numpy as np

from jstyle.errors import InputError
from jstyle.networks.adaptable import Adaptable
from jstyle.networks.clip_layers import CLIPEncoder
from jstyle.networks.config import CLIPTextConfig
from jstyle.networks.entry import Array, check_shape, read_ids, refuse_arguments
from jstyle.networks.layers import Embedding, LayerNorm, Linear
from jstyle.networks.network import Kind, Network
from jstyle.networks.outputs import ProjectedTextOutput, TextOutput
from jstyle.runtime import jt
from jstyle.settings.arguments import list_arguments


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

    def execute(self, input_ids: jt.Var, states: Optional[list[jt.Var]] = None) -> jt.Var:
        """Token ids (batch, tokens) -> (batch, tokens, hidden_size).

        ``states`` is lengthened by the embeddings and what each layer makes of them.
        """
        x = self.embeddings(input_ids)
        if states is not None:
            states.append(x)
        return self.final_layer_norm(self.encoder(x, _make_causal_mask(input_ids.shape[1]), states))


class CLIPTextModel(Adaptable, Network):
    """transformers' CLIPTextModel."""

    kind = Kind("text_encoder", "CLIPTextModel", "transformers", "model", "clip_text_model")
    config_class = CLIPTextConfig

    def __init__(self, config: CLIPTextConfig) -> None:
        self.config = config
        self.text_model = CLIPTextTransformer(config)

    def execute(
        self,
        input_ids: Array,
        attention_mask: Any = None,
        *,
        output_hidden_states: Optional[bool] = None,
        return_dict: Optional[bool] = None,
        **others: Any,
    ) -> Union[TextOutput, ProjectedTextOutput, tuple[Any, ...]]:
        """Token ids (batch, tokens) -> the last hidden state (batch, tokens, hidden_size), and what `TextOutput` has.

        ``hidden_states`` are given where they are asked for. The whole text is read, as Stable Diffusion was trained:
        an ``attention_mask`` must be 1 everywhere. Raises InputError, before anything is computed, for ids of another
        shape, or that are in no table, and for arguments that only other networks have.
        """
        refuse_arguments("text encoder", others, list_arguments(self.execute))
        ids = read_ids("text encoder", input_ids)
        self.check_ids(ids)
        if attention_mask is not None and not np.asarray(attention_mask).all():
            raise InputError("text encoder: an attention_mask with zeros is not supported; leave it out")
        states: Optional[list[jt.Var]] = [] if output_hidden_states else None
        last = self.compute(ids, states)
        ends = _find_ends(ids, self.config)
        output = self.answer(last, last[np.arange(len(ends)), ends], None if states is None else tuple(states))
        return output.to_tuple() if return_dict is False else output

    def answer(
        self, last: jt.Var, pooled: jt.Var, states: Optional[tuple[jt.Var, ...]]
    ) -> Union[TextOutput, ProjectedTextOutput]:
        """What `execute` gives of the last hidden state, its row at each text's end, and the states asked for."""
        return TextOutput(last, pooled, states)

    def compute(self, ids: jt.Var, states: Optional[list[jt.Var]]) -> jt.Var:
        """The last hidden state of ids that were checked; ``states`` as in `CLIPTextTransformer`."""
        return self.text_model(ids, states)

    def check_ids(self, input_ids: jt.Var) -> None:
        """Raise InputError for a shape that `execute` does not take, such as more tokens than have positions."""
        check_shape("text encoder", "token ids", input_ids, ("batch", "tokens"))
        most = self.config.max_position_embeddings
        if input_ids.shape[1] > most:
            raise InputError(f"text encoder: wanted at most {most} tokens, got {tuple(input_ids.shape)}")


class CLIPTextModelWithProjection(CLIPTextModel):
    """transformers' CLIPTextModelWithProjection: what stands at a text's end is its vector, ``text_embeds``."""

    kind = Kind("text_encoder_2", "CLIPTextModelWithProjection", "transformers", "model", "clip_text_model")

    def __init__(self, config: CLIPTextConfig) -> None:
        super().__init__(config)
        self.text_projection = Linear(config.hidden_size, config.projection_dim, bias=False)

    def answer(
        self, last: jt.Var, pooled: jt.Var, states: Optional[tuple[jt.Var, ...]]
    ) -> Union[TextOutput, ProjectedTextOutput]:
        """As every text encoder's."""
        return ProjectedTextOutput(self.text_projection(pooled), last, states)


def _make_causal_mask(tokens: int) -> jt.Var:
    """(1, 1, tokens, tokens): a token sees itself and those before it."""
    return jt.array(np.triu(np.full((1, 1, tokens, tokens), -1e9, np.float32), k=1)).stop_grad()  # a constant


def _find_ends(ids: jt.Var, config: CLIPTextConfig) -> np.ndarray:
    """The place of each text's first end token (batch,), as transformers finds it.

    Old configurations name the id 2, which no text has; there the end is the largest id of the table. Learnt words have
    larger ones, and transformers would take the first of them for the end.
    """
    ids.sync(True, False)  # alone, as `check_ids` does
    values = ids.numpy()
    end = config.eos_token_id
    if end == 2:
        return np.where(values < config.vocab_size, values, -1).argmax(axis=1)
    return (values == end).argmax(axis=1)
