"""A JDiffusion pipeline that a user already has: the engine's methods on it, and the kernels in its own calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.weights.backends.hosted import accelerate_networks
from jstyle.weights.backends.jdiffusion import host_components


def wrap(pipe: Any) -> StableDiffusionPipeline:
    """The engine's pipeline on the networks, tokenizer and schedule of a ``JDiffusion.StableDiffusionPipeline``.

    The weights are shared. ``pipe`` is changed only while the engine calls its networks, and can still be used by
    itself. As there are no files, ``model_hash`` is that of the weights at the time when it is first asked for.
    Raises InputError for a pipeline of another kind.
    """
    return StableDiffusionPipeline(host_components(pipe))


@contextmanager
def accelerate(pipe: Any) -> Iterator[None]:
    """Until the end of the ``with``, this project's fused attention, norms and gates run in JDiffusion's own calls.

    ``pipe`` is JDiffusion's pipeline, or one from ``wrap`` or ``from_pretrained(..., backend="jdiffusion")``.
    Afterwards it computes what it computed before, to the bit. Raises InputError for a pipeline of another kind.
    """
    engine = pipe if isinstance(pipe, StableDiffusionPipeline) else wrap(pipe)
    with accelerate_networks(engine.unet, engine.vae, engine.text_encoder):
        yield
