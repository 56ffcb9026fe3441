"""Loss scaling (arXiv 1710.03740, section 3.2): gradients of fp16 activations kept from vanishing."""

from __future__ import annotations

from jstyle.runtime import jt

GROWTH_EVERY = 2000  # updates
LEAST, MOST = 1.0, 2.0**24


class LossScale:
    """What the loss is multiplied by before its gradients are taken, and they are divided by after.

    A power of two changes no digit of fp32. Where a gradient overflows the scale is halved and the same batches are
    asked again, so that no update is lost; after `GROWTH_EVERY` updates without that it is doubled. ``state`` is the
    scale and the number of those updates, float32 (2,): it belongs into checkpoints.
    """

    def __init__(self, start: float) -> None:
        with jt.no_grad():
            self.state = jt.array([start, 0.0]).float32().stop_grad()

    @property
    def value(self) -> float:
        """The scale of now."""
        return float(self.state.numpy()[0])

    def lower(self) -> bool:
        """Halve it after an overflow. Whether that was possible: at `LEAST` something else is wrong."""
        value = self.value
        if value <= LEAST:
            return False
        self._set(max(value / 2, LEAST), 0)
        return True

    def count_success(self) -> None:
        """Count an update that went well."""
        value, good = self.state.numpy().tolist()
        grows = good + 1 >= GROWTH_EVERY
        self._set(min(value * 2, MOST) if grows else value, 0 if grows else good + 1)

    def _set(self, value: float, good: float) -> None:
        with jt.no_grad():
            new = jt.array([value, good]).float32()
        new.sync()
        self.state.assign(new)
