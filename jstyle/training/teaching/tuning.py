"""What all ways to teach share: a model that stands still, its examples, and the diffusion loss over them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
from PIL import Image

from jstyle.errors import InputError
from jstyle.events import Evaluated, Event, PictureWritten, Updated
from jstyle.networks import Condition
from jstyle.networks.condition import join_conditions
from jstyle.networks.recompute import recomputed
from jstyle.ops.precision import unet_dtype
from jstyle.pictures import images
from jstyle.pictures.colours import Tell
from jstyle.pipelines.controls import NO_CONTROLS, Controls
from jstyle.pipelines.prompted import tell_evaluations
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.pipelines.starts import FromNoise
from jstyle.runtime import jt
from jstyle.settings.identity import identity
from jstyle.training import LoopSettings, LossSettings, TrainState, TrainStep, ask, diffusion_loss
from jstyle.training.data import batch_indices
from jstyle.training.draws import make_generator
from jstyle.training.fit import fit_steps
from jstyle.training.loss import Question
from jstyle.training.report import write_grid
from jstyle.training.teaching import examples
from jstyle.training.teaching.examples import Moments
from jstyle.training.teaching.settings import CaptionedSettings, TeachSettings
from jstyle.training.teaching.table import find_teaching

FP16_LOSS_SCALE = 65536.0

Reader = Callable[[Sequence[str]], Condition]
"""Captions to what the UNet reads, a row each; SDXL is told the size that is trained at."""


@dataclass(frozen=True)
class EncodedPictures:
    """What a run learns from. With ``flip`` the posteriors of the mirrored pictures follow those of the others."""

    files: tuple[Path, ...]
    names: tuple[str, ...]
    moments: Moments


@dataclass(frozen=True)
class Batch:
    """Latents (n, channels, h, w), a caption for each, and their weights in the loss."""

    latents: np.ndarray
    captions: Sequence[str]
    weights: np.ndarray
    maps: Optional[np.ndarray] = None
    """What a ControlNet is shown, (n, 3, height, width) in [0, 1]."""


Answer = Callable[[Question, jt.Var, Batch], jt.Var]
"""What is answered to a question about a batch under its texts (n, tokens, hidden_size), of the latents' shape."""


Steer = Callable[[int], Controls]
"""What steers the validation picture of a number."""


def leave_alone(number: int) -> Controls:
    """Nothing steers it."""
    return NO_CONTROLS


@dataclass(frozen=True)
class Course:
    """How parameters are trained by the diffusion loss, with checkpoints and reports in ``output``."""

    output: Path
    loop: LoopSettings
    loss: LossSettings
    recompute: bool = False


class Clock:
    """Which batch is being computed; None while nothing is trained. Dropout draws by it."""

    index: Optional[int] = None


def open_model(settings: TeachSettings, pipe: Optional[StableDiffusionPipeline] = None) -> StableDiffusionPipeline:
    """The model to teach, its UNet in the settings' precision; ``pipe`` itself where that computes in it.

    Raises InputError for a model that cannot be taught by pictures and captions alone.
    """
    if pipe is None or pipe.unet.dtype != unet_dtype(settings.model.precision):
        pipe = StableDiffusionPipeline.from_settings(settings.model)
    return require_teachable(pipe, settings.model.model)


def require_teachable(pipe: StableDiffusionPipeline, name: str) -> StableDiffusionPipeline:
    """The pipeline itself. Raises InputError where it cannot be taught by pictures and captions alone."""
    jt.flags.th_mode = 0  # who has imported JTorch has turned this on: then nothing would ask for a gradient
    if pipe.unet.config.in_channels != pipe.vae.config.latent_channels:
        raise InputError(f"{name} is an inpainting model, whose UNet wants a mask too; train another")
    if pipe.unet.config.reads_guidance:
        raise InputError(f"{name} was distilled to a few steps; train the one that it was distilled from")
    return pipe


def encode_pictures(
    pipe: StableDiffusionPipeline, settings: TeachSettings, files: Sequence[Path], tell: Tell = warnings.warn
) -> EncodedPictures:
    """Open the pictures, one at a time at its full size, bring them to the settings' size, and encode them.

    ``tell`` is given a line for what a person should know of them, such as sides that are cut.
    """
    frame = pipe.make_frame(settings.width, settings.height, settings.fit)
    fitted, sizes = [], {}
    for file in files:
        picture = images.open_image(file, tell)
        sizes[str(file)] = picture.size
        fitted.append(frame.fit(picture))
    for line in frame.describe_losses(sizes):
        tell(line)
    moments = examples.encode_moments(pipe, fitted, settings.flip)
    return EncodedPictures(tuple(files), tuple(examples.read_names(files)), moments)


def draw_batch(
    pictures: EncodedPictures, settings: TeachSettings, index: int, purpose: str = ""
) -> tuple[np.ndarray, np.ndarray]:
    """Which pictures make up the batch of this index, and a latent of each. Of every epoch each comes once."""
    seed, count = settings.loop.seed, len(pictures.files)
    indices = batch_indices(index, settings.batch, count, seed)
    mirrored = draw_mirrored(settings, index, purpose)
    rng = make_generator(seed, index, f"posterior{purpose}")
    return indices, pictures.moments.draw(indices + mirrored * count, rng)


def draw_mirrored(settings: TeachSettings, index: int, purpose: str = "") -> np.ndarray:
    """Which pictures of the batch of this index are shown mirrored: (batch,) of 0 and 1."""
    if not settings.flip:
        return np.zeros(settings.batch, np.int64)
    return make_generator(settings.loop.seed, index, f"flip{purpose}").integers(2, size=settings.batch)


def make_constant_reader(pipe: StableDiffusionPipeline) -> Reader:
    """A reader by a text encoder that does not change: each caption is encoded once."""
    known: dict[str, Condition] = {}

    def read(captions: Sequence[str]) -> Condition:
        for caption in captions:
            if caption not in known:
                with jt.no_grad():  # else all that the text encoder computes on the way is kept, some MB a caption
                    known[caption] = pipe.condition_texts(caption).stop_grad()
                jt.sync(known[caption].list_arrays())
        return join_conditions([known[caption] for caption in captions])

    return read


def make_learning_reader(pipe: StableDiffusionPipeline) -> Reader:
    """A reader by text encoders through which gradients pass."""
    return pipe.learn_texts


def make_reader(pipe: StableDiffusionPipeline, settings: CaptionedSettings) -> Reader:
    """The reader that the settings ask for."""
    return make_learning_reader(pipe) if settings.text_encoder else make_constant_reader(pipe)


def tune(
    pipe: StableDiffusionPipeline,
    settings: TeachSettings,
    parameters: Mapping[str, jt.Var],
    make_batch: Callable[[int], Batch],
    read: Reader,
    more_identity: Mapping[str, Any],
    clock: Optional[Clock] = None,
    answer: Optional[Answer] = None,
    steer: Steer = leave_alone,
) -> Generator[Event, None, TrainState]:
    """Train ``parameters``, named by "unet." or another network's name and a path, while all else stands still.

    Args:
        make_batch: what is learnt from at an index.
        read: captions to what the UNet reads.
        more_identity: what tells the run apart beside its settings and the way to teach, such as its pictures.
        clock: told which batch is being computed.
        answer: what is trained to be right; by default the UNet alone.
        steer: what steers a validation picture, by its number.

    Returns what was trained. Closing the run writes a checkpoint. Raises InputError where the checkpoint in
    ``settings.output`` is of another run.
    """
    clock = clock or Clock()
    model = {"model": pipe.model_hash, "configuration": pipe.configuration}
    whole = {**fixed_settings(settings), "method": find_teaching(settings).name, **model, **more_identity}
    course = Course(settings.output, settings.loop, settings.loss, settings.recompute)
    with learning(pipe, course, parameters, make_batch, read, whole, clock, answer) as (state, steps):
        for step in steps:
            yield Updated(settings.output.name, 1, step.loss)
            if is_validation_due(settings, step.step):
                yield from write_validation(pipe, settings, state, steer)
    return state


@contextmanager
def learning(
    pipe: StableDiffusionPipeline,
    course: Course,
    parameters: Mapping[str, jt.Var],
    make_batch: Callable[[int], Batch],
    read: Reader,
    whole_identity: Mapping[str, Any],
    clock: Clock,
    answer: Optional[Answer] = None,
) -> Iterator[tuple[TrainState, Iterator[TrainStep]]]:
    """What `tune` trains, and the updates that are still to be made, as they are made.

    Until the end of the ``with`` nothing else of the model learns. Leaving it early writes a checkpoint.
    """
    loop = course.loop
    if pipe.unet.dtype == "float16" and loop.loss_scale is None:
        loop = replace(loop, loss_scale=FP16_LOSS_SCALE)
    with ExitStack() as stack:
        stack.enter_context(frozen(pipe.vae, *pipe.adaptable))
        if course.recompute:
            of_unet = {name[len("unet.") :]: var for name, var in parameters.items() if name.startswith("unet.")}
            stack.enter_context(recomputed(pipe.unet, of_unet))
        state = TrainState(parameters, loop)
        loss = make_loss(pipe, course, read, clock, answer)
        steps = stack.enter_context(closing(fit_steps(course.output, state, make_batch, loss, loop, whole_identity)))
        yield state, _pause_clock(steps, clock)


def _pause_clock(steps: Iterator[TrainStep], clock: Clock) -> Iterator[TrainStep]:
    for step in steps:
        clock.index = None
        yield step


def fixed_settings(settings: TeachSettings) -> dict[str, Any]:
    """What a run and its continuation must have in common, beside what the loop sees to."""
    return {name: value for name, value in identity(settings).items() if name != "loop"}


def make_loss(
    pipe: StableDiffusionPipeline,
    settings: Union[Course, TeachSettings],
    read: Reader,
    clock: Clock,
    answer: Optional[Answer] = None,
) -> Callable[[Batch, int], jt.Var]:
    """The loss of a batch: how far the answer at drawn noise levels, by default the UNet's, is from the right one."""

    def answer_alone(question: Question, text: jt.Var, batch: Batch) -> jt.Var:
        return pipe.unet(question.x, question.times.tolist(), text).sample

    given = answer or answer_alone

    def loss(batch: Batch, index: int) -> jt.Var:
        clock.index = index
        question = ask(batch.latents, pipe.schedule, settings.loss, settings.loop.seed, index)
        output = given(question, read(batch.captions), batch)
        return diffusion_loss(output, question, batch.weights.tolist())

    return loss


def is_validation_due(settings: TeachSettings, step: int) -> bool:
    """Whether the validation prompts are drawn after this update, counted from 1."""
    return bool(settings.validation_prompts) and step % settings.validation_every == 0


def write_validation(
    pipe: StableDiffusionPipeline, settings: TeachSettings, state: TrainState, steer: Steer = leave_alone
) -> Generator[Event, None, None]:
    """Draw the validation prompts as the parameters, or their averages, are now, on one sheet."""
    sheet = settings.output / f"validation-{state.step:06d}.png"
    with state.averaged():
        pictures = yield from draw_validation(pipe, settings, steer)
    write_grid([pictures], sheet, column_labels=settings.validation_prompts)
    yield PictureWritten(sheet)


def draw_validation(
    pipe: StableDiffusionPipeline, settings: TeachSettings, steer: Steer = leave_alone
) -> Generator[Evaluated, None, list[Image.Image]]:
    """A picture of each validation prompt, from its own unchanging noise."""
    pictures: list[Image.Image] = []
    for i, prompt in enumerate(settings.validation_prompts):
        steps = pipe.sample(
            prompt,
            FromNoise(settings.height, settings.width),
            steps=settings.validation_steps,
            guidance=settings.guidance,
            seeds=settings.loop.seed + i,
            controls=steer(i),
        )
        pictures += (yield from tell_evaluations(steps, "validation")).images
    return pictures


@contextmanager
def frozen(*networks: jt.Module) -> Iterator[None]:
    """No gradients of these networks' own weights until the end of the ``with``; what passes through them does."""
    learnt = [var for network in networks for var in network.parameters() if not var.is_stop_grad()]
    for parameter in learnt:
        parameter.stop_grad()
    try:
        yield
    finally:
        for parameter in learnt:
            parameter.start_grad()
