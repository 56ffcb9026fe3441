"""ArtFusion as one object (arXiv 2306.09330): a picture's content and another's style, each with a scale."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

from jstyle.diffusion.adain import measure_channels
from jstyle.diffusion.schedule import Level, Prediction, Schedule, to_prediction
from jstyle.errors import InputError
from jstyle.networks.artfusion.unet import StyleUNet
from jstyle.networks.artfusion.vgg import VGG16
from jstyle.networks.vae import AutoencoderKL
from jstyle.pictures.fitting import Frame
from jstyle.pipelines.latents import Latents
from jstyle.runtime import jt
from jstyle.settings.model import ArtFusionModelSettings
from jstyle.settings.vocabulary import Fit
from jstyle.weights.artfusion import SCHEDULE, SIDE, ArtFusionFile, describe_artfusion, read_artfusion
from jstyle.weights.description import Checkpoint
from jstyle.weights.loading import load_weights
from jstyle.weights.stored import StoredNetwork

_FLAT = 1e-6  # a deviation of rounding errors: latents have one of order 1


class ArtFusionPipeline(Latents):
    """The networks, and the scale between the VAE's latents and the diffusion's."""

    unet: Any
    null_style: jt.Var

    def __init__(self, file: ArtFusionFile, *, vae_tiling: bool = False) -> None:
        """Load the networks. Raises InputError for weights that are damaged or do not fit."""
        self.schedule = Schedule(SCHEDULE)
        self.unet = StyleUNet(file.sizes.unet)
        self.vae = AutoencoderKL(file.sizes.vae)
        self.vae_tiling = vae_tiling
        self.vgg = VGG16(file.sizes.vgg_widths)
        networks: Mapping[str, tuple[jt.Module, StoredNetwork]] = {
            "UNet": (self.unet, file.unet), "VAE": (self.vae, file.vae), "VGG16": (self.vgg, file.vgg)
        }  # fmt: skip
        for name, (network, stored) in networks.items():
            tensors = stored.open([parameter for parameter, _ in network.named_parameters()])
            load_weights(network, tensors, name, described_by=stored.described_by, spell=stored.spell, is_new=True)
        self._shift, self._scale = (jt.array(row).reshape(1, -1, 1, 1) for row in (file.shift, file.scale))
        self.null_style = jt.array(file.null_style).reshape(1, -1)

    @classmethod
    def from_pretrained(cls, file: Union[str, Path]) -> ArtFusionPipeline:
        """Load a model from its safetensors file.

        Raises InputError for one that is not there, damaged or of something else.
        """
        if not isinstance(file, (str, Path)):
            raise InputError(f"ArtFusionPipeline: wanted the path of a safetensors file, got {type(file).__name__}")
        return cls.from_settings(ArtFusionModelSettings(Path(file)))

    @classmethod
    def from_settings(cls, settings: ArtFusionModelSettings) -> ArtFusionPipeline:
        """Load the model that settings name. Raises InputError as `from_pretrained` does."""
        return cls(read_artfusion(settings.model), vae_tiling=settings.vae_tiling)

    @property
    def size(self) -> int:
        """The side, in pixels, of the pictures that the model was trained on."""
        return SIDE

    def make_frame(self, width: Optional[int], height: Optional[int], how: Fit) -> Frame:
        """How pictures come to a size in pixels. Raises InputError for one that the UNet cannot halve often enough."""
        multiple = self.vae.config.factor * 2 ** (len(self.unet.config.multipliers) - 1)
        width, height = width or self.size, height or self.size
        self.latent_shape(height, width)
        if width % multiple or height % multiple:
            raise InputError(f"a size must be a multiple of {multiple} for ArtFusion, not {width}x{height}")
        return Frame(width, height, how, multiple)

    def encode_images(self, pictures: jt.Var, noise: Optional[jt.Var] = None) -> jt.Var:
        """Images (batch, 3, height, width) in [-1, 1] -> latents in the diffusion's scale."""
        return (super().encode_images(pictures, noise) - self._shift) * self._scale

    def decode_latents(self, latents: jt.Var) -> np.ndarray:
        """Latents in the diffusion's scale -> images (batch, 3, height, width)."""
        return super().decode_latents(latents / self._scale + self._shift)

    def describe_content(self, latent: jt.Var) -> jt.Var:
        """What a latent (batch, channels, height, width) says of its content: each channel's form, without its spread.

        A channel of one value says nothing, where the paper's program divides by 0.
        """
        mean, deviation = measure_channels(latent)
        is_flat = deviation <= _FLAT
        return jt.ternary(is_flat.broadcast(latent), jt.zeros_like(latent), (latent - mean) / deviation.maximum(_FLAT))

    def describe_style(self, image: jt.Var) -> jt.Var:
        """What images (batch, 3, height, width) in [-1, 1] say of their style, (batch, style_width)."""
        with jt.no_grad():
            return self.vgg.describe(image)

    def denoiser(
        self, content: jt.Var, style: jt.Var, content_scale: float = 1.0, style_scale: float = 1.0
    ) -> TwiceGuided:
        """The UNet under contents (batch, channels, height, width) and styles (batch, style_width)."""
        return TwiceGuided(self, content, style, content_scale, style_scale)


class TwiceGuided:
    """A denoiser: the UNet's prediction, moved away from that without the content, and from that without the style.

    e + (c - 1) (e - e_without_content) + (s - 1) (e - e_without_style), as the paper's program has it; a scale of 1
    leaves its part out. ``evaluations`` counts the latents that the UNet has seen.
    """

    def __init__(
        self, pipe: ArtFusionPipeline, content: jt.Var, style: jt.Var, content_scale: float, style_scale: float
    ) -> None:
        self._unet, self._prediction_type = pipe.unet, pipe.schedule.prediction_type
        nowhere, none = jt.zeros_like(content), pipe.null_style.expand(style.shape)
        others = ((content_scale, nowhere, style), (style_scale, content, none))
        parts = [(scale, *without) for scale, *without in others if scale != 1]
        self._scales = [scale for scale, _, _ in parts]
        self._content = jt.concat([content, *(without for _, without, _ in parts)], dim=0)
        self._style = jt.concat([style, *(without for _, _, without in parts)], dim=0)
        self.evaluations = 0

    def __call__(self, x: jt.Var, level: Level, step: int) -> Prediction:
        """The prediction for x (batch, channels, height, width), which stands at ``level``."""
        parts, rows = 1 + len(self._scales), x.shape[0]
        with jt.no_grad():
            output = self._unet(jt.concat([x] * parts, dim=0), level.t, self._content, self._style)
            self.evaluations += parts * rows
            whole, *others = (output[part * rows : (part + 1) * rows] for part in range(parts))
            guided = whole
            for scale, other in zip(self._scales, others):
                guided = guided + (scale - 1) * (whole - other)
            return to_prediction(guided, x, level.alpha_bar, self._prediction_type)


class CountingArtFusion(ArtFusionPipeline):
    """Sizes and digests as a model has them; nothing is encoded, predicted or decoded."""

    counts = True

    def __init__(self, file: ArtFusionFile, checkpoint: Checkpoint, *, vae_tiling: bool = False) -> None:
        self.schedule = Schedule(SCHEDULE)
        self.unet, self.vae = _AnswersZeros(file.sizes.unet), _AnswersZeros(file.sizes.vae)
        self.vae_tiling = vae_tiling
        self.null_style = jt.zeros((1, file.sizes.unet.style_width))
        self.model_hash, self.files_hash = checkpoint.model_hash, checkpoint.files_hash
        self.configuration, self.own_sampler = checkpoint.configuration, checkpoint.own_sampler
        self.own_curve = checkpoint.own_curve
        self.operations = checkpoint.operations

    @classmethod
    def from_settings(cls, settings: ArtFusionModelSettings) -> CountingArtFusion:
        """For a model that is not loaded. Raises InputError for a file that is damaged or of something else."""
        return cls(read_artfusion(settings.model), describe_artfusion(settings), vae_tiling=settings.vae_tiling)

    def encode_images(self, pictures: jt.Var, noise: Optional[jt.Var] = None) -> jt.Var:
        """Zeros of the latents' shape."""
        return jt.zeros((pictures.shape[0], *self.latent_shape(*pictures.shape[2:])))

    def describe_style(self, image: jt.Var) -> jt.Var:
        """Zeros (batch, style_width)."""
        return jt.zeros((image.shape[0], self.unet.config.style_width))

    def decode_latents(self, latents: jt.Var) -> np.ndarray:
        """A grey pixel a latent: nobody looks at it."""
        return np.zeros((latents.shape[0], 3, 1, 1), np.float32)


class _AnswersZeros:
    """In the place of a network of that configuration."""

    use_tiling = False

    def __init__(self, config: Any) -> None:
        self.config = config

    def __call__(self, latent: jt.Var, *_: Any) -> jt.Var:
        return jt.zeros_like(latent)
