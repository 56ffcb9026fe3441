"""What every sampler takes, announces and yields."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Optional, Protocol, TypeVar

from jstyle.diffusion.schedule import CLEAN, Level, Prediction, Schedule, diffuse
from jstyle.errors import InputError
from jstyle.runtime import jt

Taken = TypeVar("Taken")

# The fresh normal noise of one step, of x's shape.
Noise = Callable[[int], jt.Var]
# Replaces x after a step: (x, step index, the level x now has) -> x.
AfterStep = Callable[[jt.Var, int, Level], jt.Var]


# A run: it yields a Step per call of the denoiser, and goes on from the x that is sent back, where one is.
Steps = Generator["Step", Optional[jt.Var], None]


class Denoiser(Protocol):
    """A network and its guidance."""

    def __call__(self, x: jt.Var, level: Level, step: int) -> Prediction:
        """The prediction for x (batch, channels, height, width) from the network that is fed `level.t`.

        `step` is the index of the call, announced by the sampler.
        """
        ...


@dataclass(frozen=True)
class Step:
    """One call of the denoiser and the step taken on it.

    `level` was fed to the network, `x` is the sample after the step and stands at `next_level`, `x0` is the
    clean sample at which the step aimed (for previews).
    """

    index: int
    level: Level
    next_level: Level
    x: jt.Var
    x0: jt.Var


def finish_step(
    index: int, level: Level, next_level: Level, x: jt.Var, x0: jt.Var, after_step: Optional[AfterStep]
) -> Step:
    """The step with the caller's change to x.

    x and x0 are computed here: Jittor is lazy, and its graph would otherwise grow from step to step.
    """
    if after_step is not None:
        x = after_step(x, index, next_level)
    jt.sync([x, x0])
    return Step(index, level, next_level, x, x0)


def hand_over(step: Step) -> Generator[Step, Optional[jt.Var], jt.Var]:
    """Yield a step. Returns the x to go on from: what the caller sends back, or the step's own."""
    sent = yield step
    return step.x if sent is None else sent


def transfer(x: jt.Var, eps: jt.Var, alpha_bar: float, next_alpha_bar: float) -> tuple[jt.Var, jt.Var]:
    """Carry x from one level to another along eps (arXiv 2010.02502, eq. 12 with sigma 0). Returns x and x0."""
    x0 = (x - (1 - alpha_bar) ** 0.5 * eps) / alpha_bar**0.5
    return diffuse(x0, eps, next_alpha_bar), x0


def solve_backwards(x: jt.Var, prediction: Prediction, alpha_bar: float, next_alpha_bar: float) -> jt.Var:
    """The noisier point from which a DDIM step comes to x, if the prediction there is this one.

    With alpha = cos phi and sigma = sin phi a step from the noisier level, d = phi_next - phi, is a rotation,
    x = cos d x_next - sin d v(x_next); solved for x_next it is iterated, as in arXiv 2309.04907. Through v it needs
    fewer calls than through eps, which itself grows with x_next.
    """
    alpha, sigma = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
    next_alpha, next_sigma = next_alpha_bar**0.5, (1 - next_alpha_bar) ** 0.5
    v = next_alpha * prediction.eps - next_sigma * prediction.x0
    return (x + (next_sigma * alpha - next_alpha * sigma) * v) / (next_alpha * alpha + next_sigma * sigma)


def take_levels(schedule: Schedule, sampler: str, levels: Sequence[Level], start: int = 0) -> Sequence[Level]:
    """The levels from index `start` on. Raises InputError where there are none, and for a sampler that does not
    fit the checkpoint.
    """
    schedule.config.choose_sampler(sampler)
    return take_steps(levels, start)


def take_steps(steps: Sequence[Taken], start: int) -> Sequence[Taken]:
    """The steps from index `start` on. Raises InputError where there are none."""
    if not 0 <= start < len(steps):
        raise InputError(f"the first step must be from 0 to {len(steps) - 1}, not {start}")
    return steps[start:]


def pair_levels(levels: Sequence[Level]) -> list[tuple[Level, Level]]:
    """(this level, the next one) of every step of a sampler that ends without noise."""
    return list(zip(levels, [*levels[1:], CLEAN]))


def draw_noise(noise: Optional[Noise], index: int) -> jt.Var:
    """The noise of step `index`. Raises InputError where the caller gave no source of noise."""
    if noise is None:
        raise InputError("this sampler adds noise at every step: give it a source of noise")
    return noise(index)


def check_eta(eta: float) -> None:
    """Raise InputError for a share of fresh noise that is not from 0 to 1."""
    if not 0 <= eta <= 1:
        raise InputError(f"eta must be from 0 to 1, not {eta}")
