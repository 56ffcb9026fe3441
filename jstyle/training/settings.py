"""The settings of a training run and of its loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Optional

from jstyle.settings.fields import free, require
from jstyle.settings.identity import identity
from jstyle.settings.vocabulary import require_at_least, require_count, require_finite, require_positive

MOST_UPDATES = 10_000_000
"""Of a training; more would take years."""


@dataclass(frozen=True)
class LoopSettings:
    """What every training run has.

    ValueError for values that make no sense.
    """

    steps: int = 1000
    """Updates of the parameters."""

    rate: float = 1e-4
    """The learning rate, at its peak."""

    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """What becomes of the learning rate after the warm-up; a constant one lets a finished run be made longer."""

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

    checkpoint_every: int = free(500, because="a resumed run ends with the bits of an uninterrupted one")
    """Updates between two checkpoints."""

    def __post_init__(self) -> None:
        require(1 <= self.steps <= MOST_UPDATES, f"steps must be from 1 to {MOST_UPDATES}, not {self.steps}")
        require_count(accumulate=self.accumulate)
        require_at_least(1, checkpoint_every=self.checkpoint_every)
        require_at_least(0, warmup=self.warmup, seed=self.seed, weight_decay=self.weight_decay)
        require_at_least(1, loss_scale=self.loss_scale)
        require_positive(rate=self.rate, eps=self.eps, clip=self.clip)
        for name in ("beta1", "beta2", "ema"):
            require(0 <= getattr(self, name) < 1, f"{name} must be from 0 to below 1, not {getattr(self, name)}")
        require(self.schedule in ("constant", "linear", "cosine"), f"schedule {self.schedule!r} is not known")
        require(
            self.warmup < self.steps,
            f"warmup must be less than the {self.steps} steps, not {self.warmup}: give a smaller one too",
        )

    def fixed_when_resumed(self) -> dict[str, Any]:
        """What a run and its continuation must share: a run at a constant rate may be made longer."""
        fixed = identity(self)
        if self.schedule == "constant":  # then a longer run begins like a shorter one
            del fixed["steps"]
        return fixed

    def explain_fixed_steps(self) -> str:
        """Why a run of this schedule cannot be made longer, and what to do."""
        return f"a {self.schedule} schedule depends on them, and only a constant one can be made longer: keep them"


@dataclass(frozen=True)
class LossSettings:
    """How the loss is drawn and weighted.

    ValueError for values that make no sense.
    """

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
        require_positive(min_snr=self.min_snr, times_deviation=self.times_deviation)
        require_at_least(0, offset_noise=self.offset_noise)
        require(self.times in ("uniform", "logit_normal"), f"times {self.times!r} is not known")
        require_finite(times_mean=self.times_mean)
