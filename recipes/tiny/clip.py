"""CLIP: a text and a vision tower that embed a caption and its picture close together (arXiv 2103.00020)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import numpy as np

from jstyle import ops
from jstyle.diffusion import prompts
from jstyle.networks import CLIPTextModel, CLIPVisionModelWithProjection
from jstyle.networks.clip_vision import normalised
from jstyle.networks.config import CLIPTextConfig
from jstyle.networks.initial import initialise, set_values
from jstyle.runtime import jt
from jstyle.training.data import batch_indices
from jstyle.training.draws import make_generator
from jstyle.weights.loading import save_weights
from recipes.tiny.fit import fit
from recipes.tiny.pictures import Scene, write_captions
from recipes.tiny.settings import ClipSettings

FILES = ("text.safetensors", "vision.safetensors")
_SCALE = 1 / 0.07  # by which the logits are multiplied at the start (section 2.5); then it is learnt
_MAX_SCALE = 100.0

Pair = tuple[np.ndarray, np.ndarray]


class Towers(jt.Module):
    """Both networks, and the temperature that only training needs.

    A text's embedding is its hidden state at the end token: there is no projection, as a ``CLIPTextModel`` has none.
    """

    def __init__(self, settings: ClipSettings, tokenizer: Any) -> None:
        self.text = CLIPTextModel(text_config(settings, tokenizer))
        self.vision = CLIPVisionModelWithProjection(
            replace(settings.vision, projection_dim=self.text.config.hidden_size)
        )
        self.logit_scale = jt.zeros([1])


def text_config(settings: ClipSettings, tokenizer: Any) -> CLIPTextConfig:
    """The text tower's configuration, completed with the tokenizer's size, length and ids."""
    return replace(
        settings.text,
        vocab_size=len(tokenizer),
        projection_dim=settings.text.hidden_size,
        max_position_embeddings=tokenizer.model_max_length,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def embed_texts(text: CLIPTextModel, ids: np.ndarray) -> jt.Var:
    """Token ids (texts, tokens) -> embeddings (texts, hidden_size): the last hidden state at the first end token."""
    ends = (ids == text.config.eos_token_id).argmax(axis=1)
    hidden = text(jt.array(ids[:, : ends.max() + 1])).last_hidden_state  # a token does not see what follows it
    is_end = (np.arange(hidden.shape[1]) == ends[:, None]).astype(np.float32)
    return (hidden * jt.array(is_end[:, :, None])).sum(dim=1)


def contrastive_loss(images: jt.Var, texts: jt.Var, scale: jt.Var) -> jt.Var:
    """Cross-entropy of finding each picture's text and each text's picture (figure 3); both are (n, width)."""
    images, texts = (x / jt.sqrt((x * x).sum(dim=1, keepdims=True) + 1e-12) for x in (images, texts))
    logits = ops.linear(images, texts) * scale
    same = jt.array(np.eye(images.shape[0], dtype=np.float32))
    pairs = (logits * same).sum(dim=1)
    losses = [_log_sum_exp(logits) - pairs, _log_sum_exp(logits.transpose(0, 1)) - pairs]
    return (losses[0] + losses[1]).mean() / 2


def train_clip(
    settings: ClipSettings,
    folder: Path,
    pictures: np.ndarray,
    scenes: Sequence[Scene],
    words: Any,
    fill: Optional[Callable[[Towers], None]] = None,
) -> None:
    """Train both towers and write ``FILES`` into the folder.

    ``pictures`` (n, size, size, 3) uint8 show the ``scenes``; ``words`` is the tokenizer. ``fill`` may give the towers
    weights that were learnt before.
    """
    towers = Towers(settings, words)
    initialise(towers, settings.loop.seed)
    set_values(towers.logit_scale, np.log([_SCALE]))
    if fill is not None:
        fill(towers)

    def batch(index: int) -> Pair:
        numbers = batch_indices(index, settings.batch, len(scenes), settings.loop.seed)
        texts = write_captions([scenes[i] for i in numbers], settings.loop.seed, index)
        pixels = normalised(np.stack([pictures[i] for i in numbers]))
        flipped = make_generator(settings.loop.seed, index, "turned").random(len(numbers)) < 0.5
        pixels[flipped] = pixels[flipped, :, :, ::-1]  # no caption tells left from right
        return pixels, prompts.token_ids(words, texts)

    def loss(pair: Pair, index: int) -> jt.Var:
        images = towers.vision(jt.array(pair[0])).embeds
        scale = jt.exp(jt.minimum(towers.logit_scale, float(np.log(_MAX_SCALE))))
        return contrastive_loss(images, embed_texts(towers.text, pair[1]), scale)

    parameters = dict(towers.named_parameters())
    state = fit(folder, parameters, batch, loss, settings.loop, {"batch": settings.batch, "pictures": len(scenes)})
    with state.averaged():
        for network, name in zip((towers.text, towers.vision), FILES):
            save_weights(network, folder / name)


def _log_sum_exp(logits: jt.Var) -> jt.Var:
    largest = logits.max(dim=1, keepdims=True).stop_grad()
    return jt.log(jt.exp(logits - largest).sum(dim=1)) + largest.squeeze(1)
