"""The autoencoder between images and latents (arXiv 2112.10752, section 3.1)."""

from __future__ import annotations

from typing import Any, Optional, Union

from jstyle import ops
from jstyle.errors import InputError
from jstyle.networks.config import VAEConfig
from jstyle.networks.entry import Array, check_shape, read_numbers
from jstyle.networks.layers import Conv2d, GroupNorm, Linear, Nothing
from jstyle.networks.network import Kind, Network
from jstyle.networks.outputs import DecoderOutput, EncoderOutput
from jstyle.networks.posterior import DiagonalGaussian
from jstyle.networks.resnet import Downsample2D, ResnetBlock2D, Upsample2D
from jstyle.networks.single_file import FromSingleFile
from jstyle.runtime import jt
from jstyle.settings.arguments import read_yes

EPS = 1e-6


class SpatialAttention(jt.Module):
    """Single-head attention over all positions of a feature map, plus its input."""

    def __init__(self, channels: int, groups: int) -> None:
        self.group_norm = GroupNorm(groups, channels, EPS)
        self.to_q = Linear(channels, channels)
        self.to_k = Linear(channels, channels)
        self.to_v = Linear(channels, channels)
        self.to_out = jt.nn.ModuleList([Linear(channels, channels), Nothing()])

    def execute(self, x: jt.Var) -> jt.Var:
        """x (batch, height, width, channels) -> the same."""
        b, h, w, c = x.shape
        normed = self.group_norm(x).reshape(b, h * w, c)
        q, k, v = (to(normed).reshape(b, h * w, 1, -1) for to in (self.to_q, self.to_k, self.to_v))
        return self.to_out[0](ops.attention(q, k, v).reshape(b, h, w, -1), residual=x)


class VAEBlock(jt.Module):
    """Resnets at one resolution, then, with ``after`` "down" or "up", a halving or a doubling of it.

    With ``attends`` there is an attention after every resnet.
    """

    def __init__(
        self, in_channels: int, out_channels: int, layers: int, groups: int, after: Optional[str], attends: bool
    ) -> None:
        inputs = [in_channels] + [out_channels] * (layers - 1)
        if attends:
            self.attentions = jt.nn.ModuleList([SpatialAttention(out_channels, groups) for _ in inputs])
        self.resnets = jt.nn.ModuleList([ResnetBlock2D(n, out_channels, groups, EPS) for n in inputs])
        if after == "down":
            self.downsamplers = jt.nn.ModuleList([Downsample2D(out_channels, asymmetric=True)])
        if after == "up":
            self.upsamplers = jt.nn.ModuleList([Upsample2D(out_channels)])
        self.after, self.attends = after, attends

    def execute(self, x: jt.Var) -> jt.Var:
        """x (batch, height, width, in_channels) -> (batch, height', width', out_channels)."""
        for number, resnet in enumerate(self.resnets):
            x = resnet(x)
            if self.attends:
                x = self.attentions[number](x)
        if self.after == "down":
            return self.downsamplers[0](x)
        return self.upsamplers[0](x) if self.after == "up" else x


class VAEMidBlock(jt.Module):
    """Resnet, attention, resnet at the latent's resolution."""

    def __init__(self, channels: int, groups: int) -> None:
        self.attentions = jt.nn.ModuleList([SpatialAttention(channels, groups)])
        self.resnets = jt.nn.ModuleList([ResnetBlock2D(channels, channels, groups, EPS) for _ in range(2)])

    def execute(self, x: jt.Var) -> jt.Var:
        """x (batch, height, width, channels) -> the same."""
        return self.resnets[1](self.attentions[0](self.resnets[0](x)))


class Encoder(jt.Module):
    """The half from the image to the moments of the latent, before their last 1x1 convolution."""

    def __init__(self, config: VAEConfig) -> None:
        widths, groups = config.block_out_channels, config.norm_num_groups
        inputs = [widths[0], *widths[:-1]]
        afters = ["down"] * (len(widths) - 1) + [None]
        attend = [name.startswith("Attn") for name in config.down_block_types]
        self.conv_in = Conv2d(config.in_channels, widths[0], 3, padding=(1, 1))
        self.down_blocks = jt.nn.ModuleList(
            [
                VAEBlock(a, b, config.layers_per_block, groups, after, attends)
                for a, b, after, attends in zip(inputs, widths, afters, attend)
            ]
        )
        self.mid_block = VAEMidBlock(widths[-1], groups)
        self.conv_norm_out = GroupNorm(groups, widths[-1], EPS)
        self.conv_out = Conv2d(widths[-1], 2 * config.latent_channels, 3, padding=(1, 1))

    def execute(self, x: jt.Var) -> jt.Var:
        """Image (batch, height, width, 3) -> (batch, height / factor, width / factor, 2 * latent_channels)."""
        x = self.conv_in(x)
        for block in self.down_blocks:
            x = block(x)
        return self.conv_out(self.conv_norm_out(self.mid_block(x), silu=True))


class Decoder(jt.Module):
    """The half from the latent to the image, ``VAEConfig.factor`` times as large."""

    def __init__(self, config: VAEConfig) -> None:
        widths, groups = config.block_out_channels[::-1], config.norm_num_groups
        inputs = [widths[0], *widths[:-1]]
        afters = ["up"] * (len(widths) - 1) + [None]
        attend = [name.startswith("Attn") for name in config.up_block_types]
        layers = config.layers_per_block + 1
        self.conv_in = Conv2d(config.latent_channels, widths[0], 3, padding=(1, 1))
        self.up_blocks = jt.nn.ModuleList(
            [
                VAEBlock(a, b, layers, groups, after, attends)
                for a, b, after, attends in zip(inputs, widths, afters, attend)
            ]
        )
        self.mid_block = VAEMidBlock(widths[0], groups)
        self.conv_norm_out = GroupNorm(groups, widths[-1], EPS)
        self.conv_out = Conv2d(widths[-1], config.out_channels, 3, padding=(1, 1))

    def execute(self, x: jt.Var) -> jt.Var:
        """Latent (batch, height, width, latent_channels) -> (batch, factor * height, factor * width, 3)."""
        x = self.mid_block(self.conv_in(x))
        for block in self.up_blocks:
            x = block(x)
        return self.conv_out(self.conv_norm_out(x, silu=True))


class AutoencoderKL(FromSingleFile, Network):
    """Images (batch, 3, h, w) in [-1, 1] <-> latents (batch, latent_channels, h / factor, w / factor).

    The latents are the VAE's own; Stable Diffusion's are these times ``config.scaling_factor``. Images and latents
    are fp32 whatever the weights are.
    """

    kind = Kind("vae", "AutoencoderKL", "diffusers", "diffusion_pytorch_model")
    config_class = VAEConfig

    use_tiling = False
    """Whether pipelines work in tiles."""

    def __init__(self, config: Any = None, **named: Any) -> None:
        """By a configuration, or diffusers' values by name. Raises InputError for what is wrong or not supported."""
        self.config = config = self.read_config(config, named)
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quant_conv = Conv2d(2 * config.latent_channels, 2 * config.latent_channels, 1)
        self.post_quant_conv = Conv2d(config.latent_channels, config.latent_channels, 1)

    def execute(
        self, sample: Array, sample_posterior: bool = False, return_dict: bool = True, generator: Any = None
    ) -> Union[DecoderOutput, tuple[jt.Var]]:
        """The image of an image's latent: of its mode, or with ``sample_posterior`` of a draw (`encode`, `decode`)."""
        posterior = self.encode(sample)[0]
        return self.decode(posterior.sample(generator) if sample_posterior else posterior.mode(), return_dict)

    def encode(self, x: Array, return_dict: bool = True) -> Any:
        """The posterior of the latent of an image ``x`` (batch, 3, h, w), in an `EncoderOutput` or a tuple.

        Its log-variance is clipped to [-30, 20]. Raises InputError, before anything is computed, for an image of
        another shape.
        """
        image = read_numbers("VAE", "images", x)
        self.check_image(image)
        posterior = self.compute_posterior(image)
        return EncoderOutput(posterior) if return_dict else (posterior,)

    def compute_posterior(self, image: jt.Var) -> DiagonalGaussian:
        """As `encode`, for an image that was checked."""
        moments = self.quant_conv(self.encoder(ops.channels_last(image, str(self.quant_conv.weight.dtype))))
        moments = ops.channels_first(moments, "float32")
        channels = self.config.latent_channels
        return DiagonalGaussian(moments[:, :channels], moments[:, channels:].clamp(-30.0, 20.0))

    def decode(self, z: Array, return_dict: bool = True, generator: Any = None) -> Any:
        """The image (batch, 3, h, w) of a latent ``z`` (batch, latent_channels, h / factor, w / factor).

        It comes in a `DecoderOutput` or a tuple. Nothing is drawn, so a ``generator`` changes nothing. Raises
        InputError, before anything is computed, for a latent of another shape.
        """
        latent = read_numbers("VAE", "latents", z)
        self.check_latent(latent)
        image = self.compute_image(latent)
        return DecoderOutput(image) if return_dict else (image,)

    def compute_image(self, latent: jt.Var) -> jt.Var:
        """As `decode`, for a latent that was checked."""
        latent = ops.channels_last(latent, str(self.post_quant_conv.weight.dtype))
        return ops.channels_first(self.decoder(self.post_quant_conv(latent)), "float32")

    def enable_tiling(self, use_tiling: bool = True) -> None:
        """Let pipelines of this VAE encode and decode large images in overlapping tiles; alone it takes them whole.

        Raises InputError for what is neither True nor False.
        """
        self.use_tiling = read_yes("use_tiling", use_tiling)

    def disable_tiling(self) -> None:
        """Let pipelines of this VAE encode and decode every image at once."""
        self.use_tiling = False

    def enable_slicing(self) -> None:
        """Nothing: pipelines encode and decode image by image."""

    def disable_slicing(self) -> None:
        """Nothing, as enabling it does."""

    def check_image(self, image: jt.Var) -> None:
        """Raise InputError for what `encode` does not take, such as an image smaller than one position of a latent."""
        check_shape("VAE", "images", image, ("batch", self.config.in_channels, "height", "width"))
        if min(image.shape[2:]) < self.config.factor:
            least = f"{self.config.factor} x {self.config.factor}"
            raise InputError(f"VAE: wanted images of at least {least} pixels, got {tuple(image.shape)}")

    def check_latent(self, latent: jt.Var) -> None:
        """Raise InputError for what `decode` does not take."""
        check_shape("VAE", "latents", latent, ("batch", self.config.latent_channels, "height", "width"))
