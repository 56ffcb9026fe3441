"""ControlNets (arXiv 2302.05543) as a denoiser holds them: each with a map, for a part of the steps, all added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

from jstyle.networks import ControlNetModel, TextContext
from jstyle.networks.outputs import ControlNetOutput
from jstyle.runtime import jt


@dataclass(frozen=True)
class Control:
    """A net and the map that it is shown, (images or 1, 3, height, width) in [0, 1].

    It steers by ``scale`` in the steps that lie within the shares ``start`` and ``end`` of a run.
    """

    net: ControlNetModel
    shown: jt.Var
    scale: float = 1.0
    start: float = 0.0
    end: float = 1.0

    def is_active(self, index: int, count: int) -> bool:
        """Whether it steers step ``index`` of ``count``; where it does not, the net need not be computed."""
        return self.scale != 0 and index / count >= self.start and (index + 1) / count <= self.end


class Steering:
    """Controls over a run that takes the steps from ``first`` up to ``steps``.

    In guess mode (section 3.4's, as diffusers has it) the conditional half alone is steered. It is on, too, where the
    first net averages its residuals.
    """

    def __init__(self, controls: Sequence[Control], steps: int, first: int = 0, guess_mode: bool = False) -> None:
        self.controls = tuple(controls)
        self._first, self._count = first, steps - first
        self._guess_mode = guess_mode or controls[0].net.config.global_pool_conditions
        self._text: Optional[TextContext] = None
        self._read: Optional[TextContext] = None

    def steer(self, x: jt.Var, time: float, text: TextContext, step: int, guided: bool) -> dict[str, Any]:
        """What the UNet is to be told of residuals, for x (images, channels, height, width) under a text.

        With ``guided`` the UNet's batch, and so the text, has an unconditional half before the other.
        """
        active = [one for one in self.controls if one.is_active(step - self._first, self._count)]
        if not active:
            return {}
        rows = x.shape[0]
        halves = 2 if guided and not self._guess_mode else 1
        latent = x if halves == 1 else jt.concat([x, x], dim=0)
        context = self._find_text(text, rows if guided and self._guess_mode else 0)
        answers = []
        for one in active:
            shown = one.shown if halves == 1 or one.shown.shape[0] == 1 else jt.concat([one.shown, one.shown], dim=0)
            answers.append(one.net(latent, time, context, shown, one.scale, guess_mode=self._guess_mode, step=step))
        total = add_residuals(answers)
        down, middle = total.down_block_res_samples, total.mid_block_res_sample
        if guided and self._guess_mode:
            down, middle = [_put_zeros_before(one) for one in down], _put_zeros_before(middle)
        return {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}

    def _find_text(self, text: TextContext, first: int) -> TextContext:
        """The text for the nets, from row ``first`` on; kept, so that each net projects it once."""
        if self._read is None or self._text is not text:
            condition = text.condition
            chosen = condition if first == 0 else condition.take(range(first, len(condition)))
            self._text, self._read = text, TextContext(chosen)
        return self._read


def add_residuals(answers: Sequence[ControlNetOutput]) -> ControlNetOutput:
    """The sum of what several nets answer."""
    if len(answers) == 1:
        return answers[0]
    maps = [[*one.down_block_res_samples, one.mid_block_res_sample] for one in answers]
    *down, middle = (sum(same[1:], same[0]) for same in zip(*maps))
    return ControlNetOutput(tuple(down), middle)


def _put_zeros_before(residual: jt.Var) -> jt.Var:
    """For the unconditional half, which is not steered."""
    return jt.concat([jt.zeros_like(residual), residual], dim=0)
