"""ArtFusion as one object (arXiv 2306.09330): a picture's content and another's style, each with a scale."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Union

from jstyle.diffusion.adain import measure_channels
from jstyle.diffusion.samplers import Denoiser
from jstyle.diffusion.schedule import Level, Prediction, Schedule, to_prediction
from jstyle.diffusion.schedule_config import ScheduleConfig
from jstyle.networks.artfusion.unet import StyleUNet
from jstyle.networks.artfusion.vgg import VGG16
from jstyle.networks.vae import AutoencoderKL
from jstyle.runtime import jt
from jstyle.weights.artfusion import ArtFusionFile, read_artfusion
from jstyle.weights.loading import load_weights
from jstyle.weights.stored import StoredNetwork

# What the paper's program calls linear: even in the roots of the betas. The step after the last stands at time 0.
SCHEDULE = ScheduleConfig(
    beta_start=0.0015, beta_end=0.0195, beta_schedule="scaled_linear", timestep_spacing="leading", steps_offset=1,
    set_alpha_to_one=False,
)  # fmt: skip


_FLAT = 1e-6  # a deviation of rounding errors: latents have one of order 1


class ArtFusionPipeline:
    """The networks, and the scale between the VAE's latents and the diffusion's."""

    def __init__(self, file: ArtFusionFile) -> None:
        """Load the networks. Raises InputError for weights that are damaged or do not fit."""
        self.schedule = Schedule(SCHEDULE)
        self.unet = StyleUNet(file.sizes.unet)
        self.vae = AutoencoderKL(file.sizes.vae)
        self.vgg = VGG16(file.sizes.vgg_widths)
        networks: Mapping[str, tuple[jt.Module, StoredNetwork]] = {
            "UNet": (self.unet, file.unet), "VAE": (self.vae, file.vae), "VGG16": (self.vgg, file.vgg)
        }  # fmt: skip
        for name, (network, stored) in networks.items():
            tensors = stored.open([parameter for parameter, _ in network.named_parameters()])
            load_weights(network, tensors, name, described_by=stored.described_by, spell=stored.spell)
        self._shift, self._scale = (jt.array(row).reshape(1, -1, 1, 1) for row in (file.shift, file.scale))
        self.null_style = jt.array(file.null_style).reshape(1, -1)

    @classmethod
    def from_pretrained(cls, file: Union[str, Path]) -> ArtFusionPipeline:
        """Load a model from its safetensors file. Raises InputError for one that is damaged or of something else."""
        return cls(read_artfusion(Path(file)))

    def encode(self, image: jt.Var) -> jt.Var:
        """Images (batch, 3, height, width) in [-1, 1] -> latents in the diffusion's scale."""
        with jt.no_grad():
            return (self.vae.compute_posterior(image).mode() - self._shift) * self._scale

    def decode(self, latent: jt.Var) -> jt.Var:
        """Latents in the diffusion's scale -> images (batch, 3, height, width)."""
        with jt.no_grad():
            return self.vae.compute_image(latent / self._scale + self._shift)

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


class TwiceGuided(Denoiser):
    """The UNet's prediction, moved away from that without the content, and from that without the style.

    e + (c - 1) (e - e_without_content) + (s - 1) (e - e_without_style), as the paper's program has it; a scale of 1
    leaves its half out. ``evaluations`` counts the latents that the UNet has seen.
    """

    def __init__(
        self, pipe: ArtFusionPipeline, content: jt.Var, style: jt.Var, content_scale: float, style_scale: float
    ) -> None:
        self._unet, self._prediction_type = pipe.unet, pipe.schedule.prediction_type
        self._scales: list[float] = []
        contents, styles = [content], [style]
        for scale, without in (
            (content_scale, (jt.zeros_like(content), style)),
            (style_scale, (content, pipe.null_style.expand(style.shape))),
        ):
            if scale != 1:
                self._scales.append(scale)
                contents.append(without[0])
                styles.append(without[1])
        self._content, self._style = jt.concat(contents, dim=0), jt.concat(styles, dim=0)
        self.evaluations = 0

    def __call__(self, x: jt.Var, level: Level, step: int) -> Prediction:
        """The prediction for x (batch, channels, height, width), which stands at ``level``."""
        parts = 1 + len(self._scales)
        with jt.no_grad():
            output = self._unet(jt.concat([x] * parts, dim=0), level.t, self._content, self._style)
            self.evaluations += parts * x.shape[0]
            whole, *others = (output[part * x.shape[0] : (part + 1) * x.shape[0]] for part in range(parts))
            guided = whole
            for scale, other in zip(self._scales, others):
                guided = guided + (scale - 1) * (whole - other)
            return to_prediction(guided, x, level.alpha_bar, self._prediction_type)
