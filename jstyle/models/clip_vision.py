"""CLIP's image encoder (arXiv 2103.00020, a vision transformer, arXiv 2010.11929)."""

from __future__ import annotations

from dataclasses import dataclass

from jstyle import ops
from jstyle.config import CLIPVisionConfig
from jstyle.models.clip_layers import CLIPEncoder
from jstyle.models.layers import Conv2d, Embedding, LayerNorm, Linear
from jstyle.runtime import jt


@dataclass(frozen=True)
class ImageFeatures:
    """What an image encoder says of images.

    ``embeds`` (batch, projection_dim) live in the space that texts share; ``last_hidden_state``
    (batch, 1 + patches, hidden_size) holds the class token and the patches before the last norm.
    """

    embeds: jt.Var
    last_hidden_state: jt.Var


class CLIPVisionEmbeddings(jt.Module):
    """The class token and a token a patch, each with its position's embedding."""

    def __init__(self, config: CLIPVisionConfig) -> None:
        patch, width = config.patch_size, config.hidden_size
        self.class_embedding = jt.zeros([width])
        self.patch_embedding = Conv2d(config.num_channels, width, patch, stride=patch, bias=False)
        self.position_embedding = Embedding((config.image_size // patch) ** 2 + 1, width)

    def execute(self, pixels: jt.Var) -> jt.Var:
        patches = self.patch_embedding(ops.channels_last(pixels))
        b, h, w, c = patches.shape
        first = self.class_embedding.reshape(1, 1, c).expand([b, 1, c])
        return jt.concat([first, patches.reshape(b, h * w, c)], dim=1) + self.position_embedding.weight


class CLIPVisionTransformer(jt.Module):
    """Embeddings, norm (its name as CLIP's files spell it), encoder, and a norm of the class token."""

    def __init__(self, config: CLIPVisionConfig) -> None:
        self.embeddings = CLIPVisionEmbeddings(config)
        self.pre_layrnorm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.encoder = CLIPEncoder(config)
        self.post_layernorm = LayerNorm(config.hidden_size, config.layer_norm_eps)

    def execute(self, pixels: jt.Var) -> jt.Var:
        return self.encoder(self.pre_layrnorm(self.embeddings(pixels)), None)


class CLIPVisionModelWithProjection(jt.Module):
    """Normalised pixels (batch, 3, image_size, image_size) -> `ImageFeatures`."""

    def __init__(self, config: CLIPVisionConfig) -> None:
        self.config = config
        self.vision_model = CLIPVisionTransformer(config)
        self.visual_projection = Linear(config.hidden_size, config.projection_dim, bias=False)

    def execute(self, pixels: jt.Var) -> ImageFeatures:
        hidden = self.vision_model(pixels)
        pooled = self.vision_model.post_layernorm(hidden[:, 0])
        return ImageFeatures(self.visual_projection(pooled), hidden)
