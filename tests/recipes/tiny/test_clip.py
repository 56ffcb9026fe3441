"""CLIP's loss against its formula, and the text embedding against the whole text tower."""

from __future__ import annotations

import numpy as np

from jstyle.networks import CLIPTextModel
from jstyle.networks.clip_vision import DEVIATION, MEAN, normalised
from jstyle.networks.initial import initialise
from jstyle.runtime import jt
from recipes.tiny.clip import contrastive_loss, embed_texts
from tests.recipes.tiny.small import settings


def test_the_contrastive_loss() -> None:
    """arXiv 2103.00020, figure 3, in float64."""
    rng = np.random.default_rng(0)
    images, texts = rng.standard_normal((2, 5, 7))
    scale = 9.0
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (images, texts)]
    logits = scale * unit[0] @ unit[1].T

    def cross_entropy(rows: np.ndarray) -> float:
        chances = np.exp(rows) / np.exp(rows).sum(axis=1, keepdims=True)
        return -np.log(np.diagonal(chances)).mean()

    expected = (cross_entropy(logits) + cross_entropy(logits.T)) / 2
    found = contrastive_loss(jt.array(np.float32(images)), jt.array(np.float32(texts)), jt.array(np.float32([scale])))
    assert np.isclose(found.item(), expected, rtol=1e-5)


def test_a_text_is_its_end_token(tmp_path) -> None:
    config = settings(tmp_path).clip.text
    text = CLIPTextModel(config)
    initialise(text, 0)
    ids = np.full((2, 20), 7, np.int32)
    ids[:, 0] = config.bos_token_id
    ids[0, 5] = ids[1, 9] = ids[1, 12] = config.eos_token_id
    whole = text(jt.array(ids))[0].numpy()
    found = embed_texts(text, ids).numpy()
    assert np.allclose(found, [whole[0, 5], whole[1, 9]], atol=1e-6)


def test_pixels_are_normalised_as_openai_does() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), np.uint8)
    found = normalised(pictures)
    assert found.shape == (2, 3, 4, 4)
    assert np.isclose(found[1, 2, 3, 0], (pictures[1, 3, 0, 2] / 255 - MEAN[2]) / DEVIATION[2])
