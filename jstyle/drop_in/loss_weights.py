"""``compute_snr``, by which diffusers' training scripts weigh the losses of noise levels."""

from __future__ import annotations

from typing import Any

import numpy as np

from jstyle.runtime import jt
from jstyle.training.loss import find_snr


def compute_snr(noise_scheduler: Any, timesteps: Any) -> jt.Var:
    """The signal-to-noise ratio of a scheduler's levels at ``timesteps`` (batch,), as a Var (batch,)."""
    times = np.asarray(timesteps.numpy() if isinstance(timesteps, jt.Var) else timesteps).astype(np.int64)
    alpha_bars = noise_scheduler.alphas_cumprod
    levels = np.asarray(alpha_bars.numpy() if isinstance(alpha_bars, jt.Var) else alpha_bars, np.float64)
    return jt.array(np.float32(find_snr(levels[times])))
