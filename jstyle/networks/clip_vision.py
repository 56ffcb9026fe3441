"""CLIP's image encoder (arXiv 2103.00020, a vision transformer, arXiv 2010.11929)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jstyle import ops
from jstyle.networks.clip_layers import CLIPEncoder
from jstyle.networks.config import CLIPVisionConfig
from jstyle.networks.entry import check_shape
from jstyle.networks.layers import Conv2d, Embedding, LayerNorm, Linear
from jstyle.networks.network import Kind, Network
from jstyle.runtime import jt

# OpenAI's statistics of pixels in [0, 1], with which the pictures of every CLIP are normalised.
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
DEVIATION = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)


def normalised(pictures: np.ndarray) -> np.ndarray:
    """(n, size, size, 3) uint8 -> (n, 3, size, size) float32, as the network takes them."""
    pixels = (np.float32(pictures) / 255 - MEAN) / DEVIATION
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


@dataclass(frozen=True)
class ImageFeatures:
    """What an image encoder makes of images.

    ``embeds`` (batch, projection_dim) lie in the space that images share with texts; ``last_hidden_state``
    (batch, 1 + patches, hidden_size) holds the class token and the patches before the last norm.
    """

    embeds: jt.Var
    last_hidden_state: jt.Var


class CLIPVisionEmbeddings(jt.Module):
    """The class token and a token for each patch, each with its position's embedding."""

    def __init__(self, config: CLIPVisionConfig) -> None:
        patch, width = config.patch_size, config.hidden_size
        self.class_embedding = jt.zeros([width])
        self.patch_embedding = Conv2d(config.num_channels, width, patch, stride=patch, bias=False)
        self.position_embedding = Embedding((config.image_size // patch) ** 2 + 1, width)

    def execute(self, pixels: jt.Var) -> jt.Var:
        """Normalised pixels (batch, 3, image_size, image_size) -> (batch, 1 + patches, hidden_size)."""
        patches = self.patch_embedding(ops.channels_last(pixels))
        b, h, w, c = patches.shape
        class_token = self.class_embedding.reshape(1, 1, c).expand([b, 1, c])
        return jt.concat([class_token, patches.reshape(b, h * w, c)], dim=1) + self.position_embedding.weight


class CLIPVisionTransformer(jt.Module):
    """Embeddings, a norm (its name is spelt as in CLIP's files), encoder, and a norm for the class token."""

    def __init__(self, config: CLIPVisionConfig) -> None:
        self.embeddings = CLIPVisionEmbeddings(config)
        self.pre_layrnorm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.encoder = CLIPEncoder(config)
        self.post_layernorm = LayerNorm(config.hidden_size, config.layer_norm_eps)

    def execute(self, pixels: jt.Var) -> jt.Var:
        """Pixels (batch, 3, image_size, image_size) -> (batch, 1 + patches, hidden_size), before the last norm."""
        return self.encoder(self.pre_layrnorm(self.embeddings(pixels)), None)


class CLIPVisionModelWithProjection(Network):
    """transformers' CLIPVisionModelWithProjection, which gives `ImageFeatures`."""

    kind = Kind("image_encoder", "CLIPVisionModelWithProjection", "transformers", "model", "clip_vision_model")
    config_class = CLIPVisionConfig

    def __init__(self, config: CLIPVisionConfig) -> None:
        self.config = config
        self.vision_model = CLIPVisionTransformer(config)
        self.visual_projection = Linear(config.hidden_size, config.projection_dim, bias=False)

    def execute(self, pixels: jt.Var) -> ImageFeatures:
        """Normalised pixels (batch, 3, image_size, image_size) -> `ImageFeatures`.

        Raises InputError, before anything is computed, for pixels of another shape.
        """
        size = self.config.image_size
        check_shape("image encoder", "pixels", pixels, ("batch", self.config.num_channels, size, size))
        hidden = self.vision_model(pixels)
        pooled = self.vision_model.post_layernorm(hidden[:, 0])
        return ImageFeatures(self.visual_projection(pooled), hidden)

    def projected(self, features: ImageFeatures) -> jt.Var:
        """(batch, 1 + patches, projection_dim): every token projected as the class token is to become ``embeds``.

        So the first token is ``embeds`` itself, and the patches lie in the same space and can be compared with it
        (as in dense predictions from CLIP, arXiv 2112.01071, section 3.2).
        """
        return self.visual_projection(self.vision_model.post_layernorm(features.last_hidden_state))
