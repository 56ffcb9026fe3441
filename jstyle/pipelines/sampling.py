"""What a pipeline's call goes through: what images start from, the steps, and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional, Protocol, Union

import numpy as np

from jstyle.diffusion.noise import NoiseSource, Seeds
from jstyle.diffusion.samplers import AfterStep, Sampler, Step
from jstyle.errors import InputError
from jstyle.runtime import jt

if TYPE_CHECKING:
    from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline

Prompt = Union[str, Sequence[str]]
OnStep = Callable[["PipelineStep"], None]


@dataclass(frozen=True)
class PipelineOutput:
    """``images``: PIL pictures, or an array as ``output_type`` asks; ``seeds``: the seed of each."""

    images: Any
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class PipelineStep(Step):
    """A sampler's step, and how many latents it sent through the UNet, each half of a guided batch counted."""

    evaluations: int


@dataclass(frozen=True)
class Beginning:
    """Where sampling begins: x (images, channels, height, width) at the level that step ``index`` is fed.

    ``extra`` is what an inpainting checkpoint sees beside x, ``after_step`` what is done to x after each step.
    """

    x: jt.Var
    index: int = 0
    extra: Optional[jt.Var] = None
    after_step: Optional[AfterStep] = None


class Start(Protocol):
    """What images start from: noise, or pictures (`jstyle.pipelines.image_to_image`)."""

    def begin(
        self, pipe: StableDiffusionPipeline, method: Sampler, steps: int, noise: NoiseSource, unit: Optional[np.ndarray]
    ) -> Beginning:
        """Begin an image for each seed of ``noise``; ``unit`` replaces the initial unit noise.

        Raises InputError for sizes, counts and strengths that cannot be.
        """
        ...


@dataclass(frozen=True)
class FromNoise:
    """Text-to-image: pure noise of a size in pixels, the model's own by default."""

    height: Optional[int] = None
    width: Optional[int] = None

    def begin(
        self, pipe: StableDiffusionPipeline, method: Sampler, steps: int, noise: NoiseSource, unit: Optional[np.ndarray]
    ) -> Beginning:
        """As every `Start` does."""
        shape = pipe.latent_shape(self.height, self.width)
        return Beginning(draw_unit(noise, shape, unit) * method.initial_scale(pipe.schedule, steps))


def draw_unit(noise: NoiseSource, shape: tuple[int, int, int], unit: Optional[np.ndarray] = None) -> jt.Var:
    """The initial unit noise (images, *shape), or what the caller brings in its place.

    Raises InputError for a ``unit`` of another shape.
    """
    if unit is None:
        return noise.normal("latents", shape)
    if tuple(unit.shape) != (len(noise.seeds), *shape):
        raise InputError(f"latents of shape {(len(noise.seeds), *shape)} are needed, not {tuple(unit.shape)}")
    return jt.array(np.asarray(unit, np.float32))


def step_noise(noise: NoiseSource, shape: Sequence[int]) -> Callable[[int], jt.Var]:
    """The fresh noise of each sampling step."""
    return lambda index: noise.normal(f"step {index}", shape)


def count_images(prompt: Prompt, copies: int) -> int:
    """How many images are asked for. Raises InputError for none."""
    count = copies * (1 if isinstance(prompt, str) else len(prompt))
    if count < 1:
        raise InputError("no image was asked for; give a prompt, and at least one image a prompt")
    return count


def choose_seeds(
    seed: Optional[Seeds], generator: Optional[np.random.Generator], prompt: Prompt, copies: int
) -> Optional[Seeds]:
    """``seed``, or where it is None and there is a ``generator``, one drawn from it for each image."""
    if seed is not None or generator is None:
        return seed
    return [int(number) for number in generator.integers(2**32, size=count_images(prompt, copies))]


def without_gradients(steps: Iterator[Step]) -> Iterator[Step]:
    """The steps of a sampler, each taken without a graph for gradients; who asks for them keeps the flag it had."""
    while True:
        with jt.no_grad():
            step = next(steps, None)
        if step is None:
            return
        yield step


def exhaust_steps(
    steps: Generator[PipelineStep, None, PipelineOutput], on_step: Optional[OnStep] = None
) -> PipelineOutput:
    """Run a sampling to its end; ``on_step`` sees every step."""
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            return end.value
        if on_step is not None:
            on_step(step)
