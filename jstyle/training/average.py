"""A running average of the parameters, which often samples better than they do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from jstyle.ops.kernels.operator import call, usable
from jstyle.runtime import jt


class Average:
    """The exponential moving average of named parameters (arXiv 2006.11239, section 4).

    ``values`` is all of its state.
    """

    def __init__(self, parameters: Mapping[str, jt.Var], decay: float) -> None:
        self.parameters = dict(parameters)
        self.decay = decay
        self.values: dict[str, jt.Var] = {name: x.copy().stop_grad() for name, x in self.parameters.items()}
        jt.sync(list(self.values.values()))

    def update(self, number: int) -> None:
        """Take the parameters in after their update of this number, counted from 1.

        The first ones count more, or the average would keep the random start for long.
        """
        share = 1 - min(self.decay, number / (number + 9))
        for name, value in self.values.items():
            with jt.no_grad():
                new = blend(value, self.parameters[name], share)
            new.sync()  # one by one, as in AdamW
            value.assign(new)

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """The parameters hold their averages while this is open, and exactly their own values again afterwards."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, parameter in self.parameters.items():
            parameter.swap(self.values[name])


def blend(average: jt.Var, value: jt.Var, share: float) -> jt.Var:
    """average + share (value - average)."""
    if usable(average, value):
        return call("blend", [average, value], share=share)[0]
    return average + (value - average) * share
