"""Gradient checkpointing (arXiv 1604.06174): a UNet block keeps its inputs and is computed again when it is needed.

Jittor builds a whole backward pass before it runs any of it, and would then run all second computations first. So a
block's gradient is asked for where the pass reaches it, and computed at once: what comes in, the block again, its
gradients. One block's inner values are in memory at a time. What a `Watcher` keeps of a block is among its outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Optional

from jstyle.errors import InputError
from jstyle.networks.attention import TextContext
from jstyle.networks.editing import Edit, Watcher, swapped
from jstyle.runtime import jt

if TYPE_CHECKING:
    from jstyle.networks.unet_encoder import Encoder

Compute = Callable[..., Sequence[jt.Var]]


@contextmanager
def recomputed(network: Encoder, parameters: Mapping[str, jt.Var]) -> Iterator[None]:
    """The blocks of a UNet or a ControlNet are recomputed in backward passes until the end of the ``with``.

    ``parameters`` are what is trained, under paths in the network: those that begin with a block's path are its own.
    Where gradients are asked for, the only editors of attention that can be attached are `Watcher`s.
    """
    blocks: dict[str, Any] = {}
    for group, kind in (("down_blocks", _Down), ("up_blocks", _Up)):
        for i, block in enumerate(getattr(network, group, ())):
            blocks[f"{group}.{i}"] = kind(block, _below(f"{group}.{i}", parameters))
    blocks["mid_block"] = _Middle(network.mid_block, _below("mid_block", parameters))
    with swapped(network, blocks):
        yield


class Recompute(jt.Function):
    """A function of Vars (and of parameters, which it reads by itself) that is called again for its gradient."""

    def __init__(self, compute: Compute, inputs: int) -> None:
        super().__init__()
        self._compute = compute
        self._count = inputs
        self._inputs: list[jt.Var] = []
        self._trained: list[jt.Var] = []

    def run(self, inputs: Sequence[jt.Var], parameters: Sequence[jt.Var]) -> list[jt.Var]:
        """What ``compute(*inputs)`` gives."""
        self._inputs, self._trained = list(inputs), list(parameters)
        return self(*inputs, *parameters)

    def execute(self, *arguments: jt.Var) -> list[jt.Var]:
        """The block's outputs, of which the inputs alone are kept."""
        with jt.no_grad():
            outputs = list(self._compute(*arguments[: self._count]))
        for output in outputs:
            output.start_grad()
        return outputs

    def grad(self, *incoming: Optional[jt.Var]) -> list[Optional[jt.Var]]:
        """Compute the block again, and give the gradients of its inputs from those of its outputs."""
        jt.sync([gradient for gradient in incoming if gradient is not None])  # the blocks behind are done with
        learn = [not var.is_stop_grad() for var in self._inputs]
        inputs = [var.detach() for var in self._inputs]
        for var, learns in zip(inputs, learn):
            if learns:
                var.start_grad()
        outputs = self._compute(*inputs)
        products = [(out * gradient.detach()).sum() for out, gradient in zip(outputs, incoming) if gradient is not None]
        total = sum(products[1:], products[0])
        targets = [var for var, learns in zip(inputs, learn) if learns] + self._trained
        gradients = [gradient.stop_grad() for gradient in jt.grad(total, targets)]
        jt.sync(gradients)
        self._inputs = []
        rest = iter(gradients)
        return [next(rest) if learns else None for learns in learn] + list(rest)


class _Block(jt.Module):
    """Stands in a block's place. The block is kept out of the module tree, where it is already."""

    def __init__(self, block: Any, parameters: Sequence[jt.Var]) -> None:
        self._block = [block]
        self._trained = list(parameters)

    def _run(self, compute: Compute, inputs: Sequence[jt.Var], edit: Optional[Edit]) -> list[jt.Var]:
        if jt.flags.no_grad:
            return list(compute(*inputs))
        watched = _Watched(compute, [] if edit is None else edit.editors)
        return watched.hand_over(Recompute(watched, len(inputs)).run(inputs, self._trained))


class _Watched:
    """Computes a block, with what watchers have kept of it behind its outputs: so gradients come to it."""

    def __init__(self, compute: Compute, editors: Sequence[Any]) -> None:
        if not all(isinstance(editor, Watcher) for editor in editors):
            raise InputError("attention cannot be edited while blocks are recomputed; leave recompute off")
        self._compute = compute
        self._watchers: list[Watcher] = list(editors)
        self._counts: list[dict[str, int]] = []

    def __call__(self, *inputs: jt.Var) -> list[jt.Var]:
        before = [watcher.take() for watcher in self._watchers]
        outputs = list(self._compute(*inputs))
        kept = [watcher.take() for watcher in self._watchers]
        for watcher, seen in zip(self._watchers, before):
            watcher.put(seen)
        self._counts = [{path: len(values) for path, values in seen.items()} for seen in kept]
        return outputs + [value for seen in kept for values in seen.values() for value in values]

    def hand_over(self, outputs: Sequence[jt.Var]) -> list[jt.Var]:
        """Give the watchers theirs of what was computed; returns the block's own."""
        own = len(outputs) - sum(sum(counts.values()) for counts in self._counts)
        rest = iter(outputs[own:])
        for watcher, counts in zip(self._watchers, self._counts):
            watcher.put({path: [next(rest) for _ in range(count)] for path, count in counts.items()})
        return list(outputs[:own])


class _Down(_Block):
    def execute(self, x: jt.Var, temb: jt.Var, text: TextContext, edit: Optional[Edit]) -> tuple[jt.Var, list[jt.Var]]:
        def compute(x: jt.Var, temb: jt.Var, context: jt.Var) -> list[jt.Var]:
            out, skips = self._block[0](x, temb, TextContext(context), edit)
            return skips if skips[-1] is out else [*skips, out]

        outputs = self._run(compute, [x, temb, text.text], edit)
        return outputs[-1], outputs


class _Middle(_Block):
    def execute(self, x: jt.Var, temb: jt.Var, text: TextContext, edit: Optional[Edit]) -> jt.Var:
        def compute(x: jt.Var, temb: jt.Var, context: jt.Var) -> list[jt.Var]:
            return [self._block[0](x, temb, TextContext(context), edit)]

        return self._run(compute, [x, temb, text.text], edit)[0]


class _Up(_Block):
    def execute(self, x: jt.Var, skips: list[jt.Var], temb: jt.Var, text: TextContext, edit: Optional[Edit]) -> jt.Var:
        """Takes its skip connections off the end of ``skips``; the size of the next one tells the block its own."""
        count = len(self._block[0].resnets)
        taken, rest = skips[-count:], skips[:-count]
        del skips[-count:]

        def compute(x: jt.Var, temb: jt.Var, context: jt.Var, *taken: jt.Var) -> list[jt.Var]:
            return [self._block[0](x, [*rest, *taken], temb, TextContext(context), edit)]

        return self._run(compute, [x, temb, text.text, *taken], edit)[0]


def _below(path: str, parameters: Mapping[str, jt.Var]) -> list[jt.Var]:
    return [parameter for name, parameter in parameters.items() if name.startswith(f"{path}.")]
