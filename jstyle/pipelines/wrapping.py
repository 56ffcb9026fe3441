"""A JDiffusion pipeline that somebody has already: the engine's methods on it, and the kernels in its own calls."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Iterator

from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.weights.backends.hosted import accelerated
from jstyle.weights.backends.jdiffusion import components


def wrap(pipe: Any) -> StableDiffusionPipeline:
    """The engine's pipeline on the networks, tokenizer and schedule of a ``JDiffusion.StableDiffusionPipeline``.

    The weights are shared. The handed-in pipeline is changed only while the engine calls its networks, and remains
    usable beside. As it has no files, its ``model_hash`` is one of the weights, as they are when it is first wanted.
    """
    return StableDiffusionPipeline(components(pipe))


@contextmanager
def accelerate(pipe: Any) -> Iterator[None]:
    """Until the end of the ``with`` this project's fused attention, norms and gates run in JDiffusion's own calls.

    ``pipe`` is JDiffusion's pipeline, or one that ``wrap`` or ``from_pretrained(..., backend="jdiffusion")`` gave.
    Afterwards it computes what it computed before, to the bit.
    """
    own = pipe if isinstance(pipe, StableDiffusionPipeline) else wrap(pipe)
    with accelerated(own.unet, own.vae, own.text_encoder):
        yield
