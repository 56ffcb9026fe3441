"""The diffusion loss: what a network is shown at drawn noise levels, and how far off its answer is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from jstyle.diffusion.schedule import Prediction, Schedule, diffuse, from_prediction
from jstyle.runtime import jt
from jstyle.training.draws import make_generator
from jstyle.training.settings import LossSettings


@dataclass(frozen=True)
class Question:
    """What the network is asked: ``x`` (batch, ...) at ``times`` (batch,), and the ``target`` it should answer.

    ``weights`` (batch,) are those of the noise levels.
    """

    x: jt.Var
    times: np.ndarray
    target: jt.Var
    weights: np.ndarray


def ask(latents: np.ndarray, schedule: Schedule, settings: LossSettings, seed: int, index: int) -> Question:
    """Noise a batch of latents (batch, channels, height, width) at levels drawn by (seed, index)."""
    times = draw_times(len(latents), len(schedule.alpha_bars), settings, seed, index)
    levels = schedule.alpha_bars[times]
    # in NumPy and float64: Jittor has no float64 arrays, and 1 - alpha_bar loses its digits where it is small
    alpha_bar: Any = levels.reshape(-1, 1, 1, 1)
    x0: Any = latents
    eps: Any = draw_noise(latents.shape, settings, seed, index)
    x: Any = diffuse(x0, eps, alpha_bar)
    target: Any = from_prediction(Prediction(x0, eps), alpha_bar, schedule.prediction_type)
    weights = level_weights(levels, schedule.prediction_type, settings.min_snr)
    return Question(jt.array(np.float32(x)), times, jt.array(np.float32(target)), weights)


def diffusion_loss(output: jt.Var, question: Question, weights: Optional[Sequence[float]] = None) -> jt.Var:
    """The mean over the batch of the weighted mean squared errors; ``weights`` (batch,) are the examples' own."""
    errors = (output - question.target).sqr().reshape(output.shape[0], -1).mean(dim=1)
    total = question.weights if weights is None else question.weights * np.asarray(weights)
    return (errors * jt.array(np.float32(total))).mean()


def draw_times(count: int, total: int, settings: LossSettings, seed: int, index: int) -> np.ndarray:
    """Training times from 0 to ``total`` - 1, (count,)."""
    rng = make_generator(seed, index, "times")
    if settings.times == "uniform":
        return rng.integers(total, size=count)
    logits = settings.times_mean + settings.times_deviation * rng.standard_normal(count)
    return np.minimum((total / (1 + np.exp(-logits))).astype(np.int64), total - 1)


def draw_noise(shape: Sequence[int], settings: LossSettings, seed: int, index: int) -> np.ndarray:
    """Standard normal noise of this shape in fp32, plus the offset of each example's channels."""
    noise = make_generator(seed, index, "noise").standard_normal(tuple(shape), np.float32)
    if settings.offset_noise:
        offset = make_generator(seed, index, "offset").standard_normal((shape[0], shape[1], 1, 1), np.float32)
        noise += np.float32(settings.offset_noise) * offset
    return noise


def level_weights(alpha_bars: np.ndarray, prediction_type: str, min_snr: Optional[float]) -> np.ndarray:
    """The loss weights of noise levels: 1, or min-SNR's (arXiv 2303.09556, section 3.4).

    min(snr, gamma) is meant for the error of x0. That of eps is snr times as large, that of v snr + 1 times.
    """
    if min_snr is None:
        return np.ones(len(alpha_bars))
    snr = find_snr(alpha_bars)
    return np.minimum(snr, min_snr) / {"epsilon": snr, "v_prediction": snr + 1, "sample": 1.0}[prediction_type]


def find_snr(alpha_bars: np.ndarray) -> np.ndarray:
    """The signal-to-noise ratios of noise levels, as powers, of the same shape (arXiv 2107.00630, eq. 2)."""
    return alpha_bars / (1 - alpha_bars)
