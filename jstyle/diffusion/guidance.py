"""A conditioned UNet in the form that samplers call: x and a noise level in, (x0, eps) out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Optional, Union

from jstyle.diffusion.aims import note_aim
from jstyle.diffusion.control import Steering
from jstyle.diffusion.schedule import CLEAN, Level, Prediction, to_prediction
from jstyle.networks import Condition, TextContext, UNet2DConditionModel
from jstyle.networks.addition import embed_guidance
from jstyle.networks.condition import join_conditions, read_condition
from jstyle.runtime import jt
from jstyle.settings.vocabulary import is_guided


class GuidedDenoiser:
    """Classifier-free guidance (arXiv 2207.12598, equation 6) around a UNet.

    ``text`` and ``negative_text`` are (batch, tokens, cross_attention_dim), or conditions. In the UNet's batch the
    unconditional half always comes first. At a guidance_scale of 1 or less, or without a negative_text, only
    the conditional half runs, as in diffusers, and so it does of a UNet that is told the guidance. ``extra`` (batch,
    channels, height, width) is appended to the latent's channels, where inpainting checkpoints expect their mask and
    masked image. ``rescale`` is the share of `rescale_guided` in a guided prediction. ``steering`` is what ControlNets
    add to the UNet's maps. ``evaluations`` counts the latents that the UNet has seen, ``level`` is the last that it was
    fed.
    """

    def __init__(
        self,
        unet: UNet2DConditionModel,
        prediction_type: str,
        text: Union[jt.Var, Condition],
        negative_text: Union[jt.Var, Condition, None] = None,
        guidance_scale: float = 1.0,
        extra: Optional[jt.Var] = None,
        rescale: float = 0.0,
        steering: Optional[Steering] = None,
    ) -> None:
        self.unet = unet
        self.guided = negative_text is not None and self.needs_halves(guidance_scale)
        self.prediction_type = prediction_type
        halves = [negative_text, text] if negative_text is not None and self.guided else [text]
        self.text = self._read_text(join_conditions([read_condition(half) for half in halves]), guidance_scale)
        self.guidance_scale = guidance_scale
        self.extra = extra
        self.rescale = rescale
        self.steering = steering
        self.evaluations = 0
        self.level = CLEAN

    def needs_halves(self, guidance_scale: float) -> bool:
        """Whether an unconditional half runs at that scale: not where the UNet is told it."""
        return is_guided(guidance_scale) and not self.unet.config.reads_guidance

    def turn(self, text: Union[jt.Var, Condition], guidance_scale: float) -> None:
        """Go on under another text, (batch, ...) or, unconditional half first, (2 batch, ...), and another scale."""
        self.guided = self.needs_halves(guidance_scale)
        self.text, self.guidance_scale = self._read_text(read_condition(text), guidance_scale), guidance_scale

    def _read_text(self, condition: Condition, guidance_scale: float) -> TextContext:
        """The condition as the UNet takes it, with the guidance where it reads that."""
        width = self.unet.config.time_cond_proj_dim
        if width is None:
            return TextContext(condition)
        return TextContext(replace(condition, guidance=jt.array(embed_guidance(guidance_scale, width))))

    def __call__(self, x: jt.Var, level: Level, step: int) -> Prediction:
        """The prediction for x (batch, channels, height, width), which stands at ``level``."""
        self.level = level
        with jt.no_grad():
            latent = x if self.extra is None else jt.concat([x, self.extra], dim=1)
            if self.guided:
                latent = jt.concat([latent, latent], dim=0)
            more = {} if self.steering is None else self.steering.steer(x, level.t, self.text, step, self.guided)
            output = self.ask(latent, level, step, **more)
            if self.guided:
                unconditional, conditional = output[: x.shape[0]], output[x.shape[0] :]
                output = guide(unconditional, conditional, self.guidance_scale)
                if self.rescale:
                    output = rescale_guided(output, conditional, self.rescale)
            prediction = to_prediction(output, x, level.alpha_bar, self.prediction_type)
        note_aim(prediction.x0)
        return prediction

    def ask(self, latent: jt.Var, level: Level, step: int, **residuals: Any) -> jt.Var:
        """The UNet's own answer to what it is fed, (rows, channels, height, width), through which gradients pass.

        ``residuals`` are what `Steering` gives.
        """
        self.evaluations += latent.shape[0]
        return self.unet(latent, level.t, self.text, step=step, **residuals).sample


def guide(unconditional: jt.Var, conditional: jt.Var, scale: float) -> jt.Var:
    """The output that is led away from the unconditional one (arXiv 2207.12598, equation 6)."""
    return unconditional + scale * (conditional - unconditional)


def rescale_guided(guided: jt.Var, conditional: jt.Var, share: float) -> jt.Var:
    """The guided output, of which ``share`` has the conditional one's spread (arXiv 2305.08891, eq. 15 and 16)."""
    return guided * (share * (_spread(conditional) / _spread(guided)) + (1 - share))


def _spread(output: jt.Var) -> jt.Var:
    """The standard deviation of each row of (batch, channels, height, width)."""
    dims = [1, 2, 3]
    centred = output - output.mean(dims, keepdims=True)
    return (centred * centred).mean(dims, keepdims=True).sqrt()
