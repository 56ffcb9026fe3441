"""The settings of a training run and of its loss. Free of the engine, so that a command line is checked without it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Dict, Literal, Optional


@dataclass(frozen=True)
class LoopSettings:
    """What every training run has; ValueError for values that make no sense."""

    steps: int = 1000
    """Updates of the parameters."""

    rate: float = 1e-4
    """The learning rate, at its peak."""

    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """What becomes of the learning rate after the warm-up."""

    warmup: int = 0
    """Updates over which the learning rate rises to its peak."""

    accumulate: int = 1
    """Batches whose gradients are averaged into one update."""

    clip: Optional[float] = 1.0
    """The largest Euclidean norm of all gradients together; null leaves them as they are."""

    beta1: float = 0.9
    """How much of the mean of past gradients AdamW keeps."""

    beta2: float = 0.999
    """How much of the mean of past squared gradients AdamW keeps."""

    eps: float = 1e-8
    """Added to AdamW's denominator."""

    weight_decay: float = 1e-2
    """AdamW's decay of the parameters, a share of the learning rate."""

    ema: float = 0.0
    """How much of itself a running average of the parameters keeps; 0 keeps no average."""

    loss_scale: Optional[float] = None
    """The loss is multiplied by this before gradients are taken (arXiv 1710.03740), halved where one overflows, doubled
    after 2000 updates without that; by default 65536 in fp16, else none."""

    seed: int = 0
    """Decides the order of the examples and all noise."""

    checkpoint_every: int = 500
    """Updates between two checkpoints."""

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("warmup", 0), ("accumulate", 1), ("seed", 0), ("checkpoint_every", 1)):
            require(getattr(self, name) >= least, f"{name} must be at least {least}, not {getattr(self, name)}")
        for name in ("beta1", "beta2", "ema"):
            require(0 <= getattr(self, name) < 1, f"{name} must be from 0 to below 1, not {getattr(self, name)}")
        for name in ("rate", "eps", "clip"):
            value = getattr(self, name)
            require(value is None or 0 < value < math.inf, f"{name} must be positive, not {value}")
        scale = self.loss_scale
        require(scale is None or 1 <= scale < math.inf, f"loss_scale must be at least 1, not {scale}")
        require(0 <= self.weight_decay < math.inf, f"weight_decay must not be negative, not {self.weight_decay}")
        require(self.schedule in ("constant", "linear", "cosine"), f"schedule {self.schedule!r} is not known")
        require(self.warmup < self.steps, f"warmup {self.warmup} must be shorter than the {self.steps} steps")

    def identity(self) -> Dict[str, Any]:
        """What a run must keep when it is resumed, for its result to be that of an uninterrupted one."""
        given = asdict(self)
        del given["checkpoint_every"]
        if self.schedule == "constant":  # then a longer run begins like a shorter one
            del given["steps"]
        return given


@dataclass(frozen=True)
class LossSettings:
    """How the loss is drawn and weighted; ValueError for values that make no sense."""

    min_snr: Optional[float] = None
    """Bounds the weight of nearly clean images, in terms of the loss on x0 (arXiv 2303.09556: 5)."""

    offset_noise: float = 0.0
    """Deviation of a constant added to each channel's noise, so that very dark and bright pictures are learnt (0.1)."""

    times: Literal["uniform", "logit_normal"] = "uniform"
    """How noise levels are drawn; logit_normal prefers the middle (arXiv 2403.03206, section 3.1)."""

    times_mean: float = 0.0
    """Of logit_normal: above 0 prefers noisier levels."""

    times_deviation: float = 1.0
    """Of logit_normal: the spread."""

    def __post_init__(self) -> None:
        for name, holds in (
            ("min_snr", self.min_snr is None or 0 < self.min_snr < math.inf),
            ("offset_noise", 0 <= self.offset_noise < math.inf),
            ("times", self.times in ("uniform", "logit_normal")),
            ("times_mean", math.isfinite(self.times_mean)),
            ("times_deviation", 0 < self.times_deviation < math.inf),
        ):
            require(holds, f"{name} must not be {getattr(self, name)!r}")


def require(holds: bool, demand: str) -> None:
    """Raise ValueError with the demand that does not hold: the reader of options puts the option's place before it."""
    if not holds:
        raise ValueError(demand)
