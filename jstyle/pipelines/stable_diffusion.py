"""Stable Diffusion as one object: text-to-image, and the call of every pipeline as a generator."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Optional, Union

import numpy as np

from jstyle.adapters import AdapterLoading
from jstyle.diffusion.guidance import GuidedDenoiser
from jstyle.diffusion.noise import NoiseSource, Seeds, image_seeds, name_step
from jstyle.diffusion.samplers import AfterStep, Sampler, Step, sampler
from jstyle.diffusion.schedule import Level
from jstyle.diffusion.weighted_text import PLAIN
from jstyle.errors import InputError
from jstyle.pipelines.call import CallOptions, run_call
from jstyle.pipelines.callbacks import Watcher
from jstyle.pipelines.controls import NO_CONTROLS, Controls
from jstyle.pipelines.diffusers_names import DiffusersNames
from jstyle.pipelines.latents import Latents
from jstyle.pipelines.output import PipelineOutput, PipelineStep, check_output_type, present
from jstyle.pipelines.reading import TextReading
from jstyle.pipelines.sizes import OWN_SIZES, PictureSizes
from jstyle.pipelines.starts import Beginning, Finish, FromNoise, Start
from jstyle.pipelines.texts import Prompt, count_images
from jstyle.runtime import jt
from jstyle.settings.arguments import read_number, read_share
from jstyle.settings.prompts import PromptSettings

if TYPE_CHECKING:
    from typing_extensions import Unpack

OnStep = Callable[[PipelineStep], None]


class StableDiffusionPipeline(AdapterLoading, TextReading, DiffusersNames, Latents):
    """Text-to-image, and the parts that every method is built from.

    >>> import jstyle
    >>> pipe = jstyle.StableDiffusionPipeline.from_pretrained("tiny")
    >>> pipe("a house by the sea", num_inference_steps=4, seed=7).images[0].size
    (128, 128)

    Latents are Stable Diffusion's: the VAE's times its scaling factor, (batch, 4, height / 8, width / 8).
    """

    usual_guidance = 7.5
    """The ``guidance_scale`` of a call that names none."""

    def sampler(self, name: Optional[str] = None, sigmas: Union[str, Sequence[Level], None] = None) -> Sampler:
        """The sampler of that name over levels along a curve of sigmas, or over these, the checkpoint's own by default.

        Raises InputError for one that the checkpoint cannot have, and for one that follows no curve or list.
        """
        method = sampler(self.schedule.config.choose_sampler(name))
        return method.follow(sigmas) if isinstance(sigmas, (str, type(None))) else method.choose(sigmas)

    def __call__(
        self,
        prompt: Optional[Prompt] = None,
        height: Optional[int] = None,
        width: Optional[int] = None,
        num_inference_steps: int = 50,
        **options: Unpack[CallOptions],
    ) -> Any:
        """Images of a text: a `PipelineOutput`.

        A prompt is a text, or several for as many images; ``height`` and ``width`` are in pixels, by default the
        model's own. What else there is to say by name stands in `CallOptions`. Raises InputError for what cannot be.
        """
        return run_call(self, prompt, FromNoise(height, width), num_inference_steps, options)

    def sample(
        self,
        prompt: Prompt,
        start: Start,
        *,
        steps: int,
        guidance: float,
        negative_prompt: Optional[Prompt] = None,
        copies: int = 1,
        eta: float = 0.0,
        seeds: Optional[Seeds] = None,
        unit: Optional[jt.Var] = None,
        sampler: Optional[str] = None,
        sigmas: Union[str, Sequence[Level], None] = None,
        output_type: str = "pil",
        rescale: float = 0.0,
        skip: int = 0,
        watcher: Optional[Watcher] = None,
        reading: PromptSettings = PLAIN,
        sizes: PictureSizes = OWN_SIZES,
        controls: Controls = NO_CONTROLS,
    ) -> Generator[PipelineStep, None, PipelineOutput]:
        """A pipeline's call as a generator: it yields every step, returns the output, and may be closed at any time.

        ``start`` says what the images start from, ``copies`` how many each prompt gets, ``unit`` the initial unit
        noise, ``watcher`` what looks on and may change x, ``controls`` which ControlNets steer; otherwise as in the
        call and in `denoiser`.
        """
        read_number("guidance", guidance)
        read_share("guidance_rescale", rescale)
        read_share("eta", eta)
        check_output_type(output_type)
        self.schedule.stride(steps)
        method = self.sampler(sampler, sigmas)
        controls.check(self, start)
        noise = NoiseSource(image_seeds(seeds, count_images(prompt, copies)))
        begun = start.begin(self, method, steps, noise, unit)
        self._check_channels(begun)
        from_noise = isinstance(start, FromNoise)
        steering = controls.steer(self, begun.x.shape[2:], begun.x.shape[0], steps, begun.index)
        denoiser = self.denoiser(
            prompt,
            negative_prompt,
            guidance,
            copies,
            begun.extra,
            rescale,
            skip,
            reading,
            sizes,
            from_noise,
            steering,
        )
        after_step = begun.after_step
        if watcher is not None:
            watcher.begin(method, denoiser, steps, begun)
            after_step = chain_changes(begun.after_step, watcher.note)
        fresh = step_noise(noise, begun.x.shape[1:])
        run = method(
            denoiser,
            begun.x,
            self.schedule,
            steps,
            start=begun.index,
            eta=eta,
            noise=fresh,
            after_step=after_step,
        )
        x = begun.x
        try:
            for step in note_evaluations(without_gradients(run), denoiser):
                x = step.x
                yield step
                if watcher is not None and self.interrupt:
                    break
        finally:
            if watcher is not None:
                watcher.end()
        return PipelineOutput(self._decode(x, output_type, begun.finish), noise.seeds)

    def _decode(self, x: jt.Var, output_type: str, finish: Optional[Finish]) -> Any:
        if output_type == "latent":
            return np.array(x.numpy())
        decoded = self.decode_latents(x)
        return present(decoded if finish is None else finish(decoded), output_type)

    def _check_channels(self, begun: Beginning) -> None:
        channels = begun.x.shape[1] + (0 if begun.extra is None else begun.extra.shape[1])
        if channels != self.unet.config.in_channels:
            raise InputError(
                f"this model's UNet takes {self.unet.config.in_channels} channels, not {channels}: it was trained for "
                "inpainting; load it with StableDiffusionInpaintPipeline"
            )


def step_noise(noise: NoiseSource, shape: Sequence[int]) -> Callable[[int], jt.Var]:
    """The fresh noise of each sampling step."""
    return lambda index: noise.normal(name_step(index), shape)


def chain_changes(first: Optional[AfterStep], second: AfterStep) -> AfterStep:
    """What is done to x by both, one after the other."""
    if first is None:
        return second
    return lambda x, index, level: second(first(x, index, level), index, level)


def without_gradients(steps: Iterator[Step]) -> Iterator[Step]:
    """The steps of a sampler, each taken without a graph for gradients; who asks for them keeps the flag it had."""
    while True:
        with jt.no_grad():
            step = next(steps, None)
        if step is None:
            return
        yield step


def note_evaluations(steps: Iterator[Step], denoiser: GuidedDenoiser) -> Iterator[PipelineStep]:
    """The steps, each with the latents that it sent through the UNet."""
    before = denoiser.evaluations
    for step in steps:
        yield PipelineStep(**vars(step), evaluations=denoiser.evaluations - before)
        before = denoiser.evaluations
