"""InST on latents: stochastic inversion (section 3.3)."""

from __future__ import annotations

from jstyle.diffusion.samplers import Denoiser
from jstyle.diffusion.schedule import Level, Schedule, diffuse
from jstyle.runtime import jt


def noised_level(schedule: Schedule, strength: float) -> Level:
    """The level at t = strength * T, at most the last training time."""
    total = len(schedule.alpha_bars)
    return schedule.level(min(round(strength * total), total - 1))


def stochastic_inversion(denoiser: Denoiser, clean: jt.Var, unit: jt.Var, level: Level) -> jt.Var:
    """The noise that the model sees in a content, (batch, channels, height, width).

    ``clean`` is noised to ``level`` by ``unit``, standard normal of its shape; what the model then takes for noise
    differs from ``unit`` where the content shows through, and gives it back when it is denoised.
    """
    return denoiser(diffuse(clean, unit, level.alpha_bar), level, -1).eps
