"""The settings of StyleID. Free of the engine, so that a command line is checked before Jittor starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Optional, Tuple


@dataclass(frozen=True)
class StyleIDSettings:
    """Defaults are those of the paper's own code; ValueError for values that make no sense."""

    steps: int = 50
    """DDIM steps of the inversions and of the stylisation."""

    gamma: float = 0.75
    """Share of the content's queries: 0 takes the stylised image's own, 1 the content's (0.3: high style)."""

    temperature: float = 1.5
    """Multiplies the attention logits: above 1 sharpens the attention on the style."""

    layers: Optional[Tuple[int, ...]] = None
    """Decoder self-attentions to inject into, numbered as in the paper's code; by default the last two blocks'."""

    inject_start: int = 0
    """First sampling step (0 is the noisiest) whose attention is replaced."""

    inject_stop: Optional[int] = None
    """The sampling step before which replacing stops; by default it goes on to the end."""

    injection: bool = True
    """Replace attention features; off leaves AdaIN of the initial latent alone."""

    adain: bool = True
    """Give the content's inverted latent the style's mean and deviation per channel."""

    adain_eps: float = 0.0
    """Added to the content's deviation: 0 in the paper's code, 1e-4 in its diffusers variant."""

    inversion: Literal["current", "target"] = "current"
    """Where inversion evaluates the noise: at the current time (the paper's code) or at the target."""

    skip_first_step: bool = True
    """Start at the second time, from the latent of the last: what start_step=49 does in the paper's code."""

    vae: Literal["mode", "sample"] = "mode"
    """The latent of an image: the posterior's mode, or a draw by the seed (the paper's code draws, with seed 22)."""

    width: Optional[int] = None
    """Width in pixels; the model's own size by default."""

    height: Optional[int] = None
    """Height in pixels; the model's own size by default."""

    seed: int = 22
    """Used where vae is sample; nothing else is random."""

    features: Literal["memory", "disk", "recompute"] = "memory"
    """Keep attention features in memory, keep them on disk for later runs too, or compute them again each step."""

    feature_dtype: Literal["float16", "float32"] = "float16"
    """Precision in which features are kept."""

    batch_size: int = 1
    """Images that go through the UNet together."""

    def __post_init__(self) -> None:
        _require(self.steps >= 2, f"steps must be at least 2, not {self.steps}")
        _require(self.steps <= 1000, f"steps must be at most 1000, not {self.steps}")
        _require(0.0 <= self.gamma <= 1.0, f"gamma must lie between 0 and 1, not {self.gamma}")
        _require(0.0 < self.temperature < float("inf"), f"temperature must be positive, not {self.temperature}")
        _require(0.0 <= self.adain_eps < float("inf"), f"adain_eps must not be negative, not {self.adain_eps}")
        _require(self.batch_size >= 1, f"batch_size must be at least 1, not {self.batch_size}")
        _require(self.seed >= 0, f"seed must not be negative, not {self.seed}")
        _require(self.layers is None or len(self.layers) > 0, "layers must name at least one layer")
        stop = self.steps if self.inject_stop is None else self.inject_stop
        _require(
            0 <= self.inject_start < stop <= self.steps,
            f"inject_start and inject_stop must lie in order within the {self.steps} steps, "
            f"not {self.inject_start} and {stop}",
        )

    @property
    def injected_steps(self) -> range:
        """The sampling steps whose attention is replaced."""
        if not self.injection:
            return range(0)
        return range(self.inject_start, self.steps if self.inject_stop is None else self.inject_stop)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)
