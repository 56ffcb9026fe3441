"""Pictures of a text and nothing else, on a model that something learnt may have been put on."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional

from PIL import Image

from jstyle.adapters.spec import AdapterSpec
from jstyle.events import Evaluated
from jstyle.pictures.spec import ModelIdentity
from jstyle.settings.vocabulary import SamplerName

if TYPE_CHECKING:
    from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline


@dataclass(frozen=True)
class PromptedPicture:
    """A picture of a prompt, (width, height) pixels; what it is depends on nothing else."""

    model: ModelIdentity
    width: int
    height: int
    prompt: str
    steps: int
    guidance: float
    seed: int
    negative_prompt: str = ""

    sampler: Optional[SamplerName] = None
    """The model's own by default."""

    eta: float = 0.0
    """Noise of ddim."""

    adapters: tuple[AdapterSpec, ...] = ()
    """What is put on the model, in this order."""


def draw_prompted(pipe: StableDiffusionPipeline, spec: PromptedPicture) -> Generator[Evaluated, None, Image.Image]:
    """The picture, on a pipeline that has the spec's model and adapters."""
    from jstyle.pipelines.starts import FromNoise

    steps = pipe.sample(
        spec.prompt,
        FromNoise(spec.height, spec.width),
        steps=spec.steps,
        guidance=spec.guidance,
        negative_prompt=spec.negative_prompt,
        eta=spec.eta,
        seeds=spec.seed,
        sampler=spec.sampler,
    )
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            return end.value.images[0]
        yield Evaluated("picture", step.evaluations)
