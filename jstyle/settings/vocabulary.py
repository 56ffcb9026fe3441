"""The words and demands that the settings of several methods share."""

from __future__ import annotations

import math
import secrets
from typing import Any, Literal, Optional

from jstyle.settings.fields import require

Precision = Literal["fp32", "bf16", "fp16"]
"""What a network computes in."""

Backend = Literal["native", "jdiffusion"]
"""Whose networks compute."""

Operations = Literal["kernels", "plain Jittor", "plain Jittor on CUDA"]
"""Whose arithmetic computes in a process: they differ in last bits, and a full disk may decide which it is."""

PredictionType = Literal["epsilon", "v_prediction", "sample"]
"""What a UNet predicts: the noise, the velocity, or the picture itself."""

SamplerName = Literal[
    "ddim", "ddpm", "pndm", "pndm_rk", "lms", "euler", "euler_a", "heun", "kdpm2", "kdpm2_a", "dpmpp_2m", "dpmpp_3m",
    "dpmpp_2s", "dpmpp_2m_sde", "dpmpp_sde", "deis", "unipc", "lcm", "tcd",
]  # fmt: skip
"""How noise becomes a picture."""

BY_TIMES = ("ddim", "ddpm", "pndm", "pndm_rk", "lcm", "tcd")
"""The samplers that go by training times, the others go by sigmas."""

Sigmas = Literal["karras", "exponential", "beta", "ays"]
"""A curve of noise-to-signal ratios that a sampler's levels follow."""

FeatureDtype = Literal["float16", "float32"]
"""Precision in which attention features are kept."""

LoraFormat = Literal["diffusers", "kohya"]
"""Whose names a LoRA file has: all loaders read diffusers', sd-scripts and the web UIs know kohya's alone."""

Preprocessor = Literal["canny", "lineart", "xdog", "shuffle", "tile", "invert"]
"""What a ControlNet's map is made of a picture by (`jstyle.pictures.control_maps`)."""

Fit = Literal["keep", "crop", "pad", "stretch"]
"""How a picture comes to the size that is wanted: with its own aspect and about the area, without its sides, with a
mirrored border, or out of shape.
"""

FixedFit = Literal["crop", "pad", "stretch"]
"""The same where all pictures must have one size."""

MOST_STEPS = 1000
"""The times that a Stable Diffusion checkpoint knows: there are no more sampling steps."""


MOST_THINGS = 100_000
"""Pictures, or rows of a batch: larger counts are slips, found before anything is made ready for them."""

LARGEST_FACTOR = 10_000.0
"""Of a guidance, or of an adapter's weight: beyond it nothing is a picture, and in the end no number."""

LONGEST_SIDE = 16384
"""Of a picture, in pixels; a longer one is a slip."""


def require_steps(steps: int, least: int = 1, name: str = "steps") -> None:
    """Raise ValueError unless a checkpoint has that many sampling steps."""
    require(least <= steps <= MOST_STEPS, f"{name} must be from {least} to {MOST_STEPS}, not {steps}")


def require_curve(sampler: Optional[str], sigmas: Optional[str]) -> None:
    """Raise ValueError where a sampler that goes by training times is to follow a curve of sigmas."""
    by_times = sampler in BY_TIMES
    advice = "name another sampler, such as dpmpp_2m or euler"
    require(
        sigmas is None or not by_times, f"{sampler} goes by training times and follows no {sigmas} sigmas; {advice}"
    )


def require_word(token: str) -> None:
    """Raise ValueError for a token that cannot be typed as one word of a prompt."""
    is_word = token.isprintable() and token.split() == [token]
    require(is_word, f"token must be one word without spaces, such as <style>, not {token!r}")


DRAWN = -1
"""As a seed: one that is drawn."""


def require_seed(seed: int, *, least: int = 0) -> None:
    """Raise ValueError for a seed below ``least``, which is `DRAWN` where one may be drawn."""
    advice = f", or {DRAWN} to draw one" if least == DRAWN else ""
    require(seed >= least, f"seed must not be negative, not {seed}{advice}")


def draw_seed(settings: Any) -> None:
    """Give settings under construction a seed of 32 bits where theirs is `DRAWN`. Raises ValueError for a lower one."""
    require_seed(settings.seed, least=DRAWN)
    if settings.seed == DRAWN:
        object.__setattr__(settings, "seed", secrets.randbelow(1 << 32))


def is_guided(guidance: float) -> bool:
    """Whether a picture takes an unconditional half beside the text's: at 1 or less the text's prediction stands alone.

    As in diffusers; the checkpoints that are distilled for it (SD-Turbo) name 0.
    """
    return guidance > 1


def require_finite(**values: Optional[float]) -> None:
    """Raise ValueError for the first of the named values that is infinite or NaN; None is left alone."""
    for name, value in values.items():
        require(value is None or math.isfinite(value), f"{name} must be a finite number, not {value}")


def require_factor(**values: Optional[float]) -> None:
    """Raise ValueError for the first of the named values that is beyond `LARGEST_FACTOR`; None is left alone."""
    require_finite(**values)
    for name, value in values.items():
        bounds = f"from {-LARGEST_FACTOR:g} to {LARGEST_FACTOR:g}"
        require(value is None or abs(value) <= LARGEST_FACTOR, f"{name} must be {bounds}, not {value}")


def require_at_least(least: float, **values: Optional[float]) -> None:
    """Raise ValueError for the first of the named values that is smaller, infinite or NaN; None is left alone.

    require_at_least(1, batch_size=self.batch_size, window=self.window)
    """
    for name, value in values.items():
        require(value is None or least <= value < math.inf, f"{name} must be at least {least}, not {value}")


def require_positive(**values: Optional[float]) -> None:
    """Raise ValueError for the first of the named values that is not above 0 and finite; None is left alone."""
    for name, value in values.items():
        require(value is None or 0 < value < math.inf, f"{name} must be positive, not {value}")


def require_count(**values: Optional[int]) -> None:
    """Raise ValueError for the first of the named values that is no number of things from 1 to `MOST_THINGS`; None is
    left alone.
    """
    for name, value in values.items():
        require(value is None or 1 <= value <= MOST_THINGS, f"{name} must be from 1 to {MOST_THINGS}, not {value}")


def require_size(**values: Optional[int]) -> None:
    """Raise ValueError for the first of the named sides, in pixels, that no picture can have; None is left alone."""
    for name, value in values.items():
        require(value is None or 1 <= value <= LONGEST_SIDE, f"{name} must be from 1 to {LONGEST_SIDE}, not {value}")


def require_window(start: float, end: float, prefix: str = "") -> None:
    """Raise ValueError unless these are shares of a run, the first below the second; ``prefix`` begins their names."""
    require(0 <= start <= 1, f"{prefix}start must be from 0 to 1, not {start}")
    require(0 <= end <= 1, f"{prefix}end must be from 0 to 1, not {end}")
    require(start < end, f"{prefix}start {start} must be below {prefix}end {end}")


def require_share(**values: float) -> None:
    """Raise ValueError for the first of the named values that is not from 0 to 1."""
    for name, value in values.items():
        require(0 <= value <= 1, f"{name} must be from 0 to 1, not {value}")
