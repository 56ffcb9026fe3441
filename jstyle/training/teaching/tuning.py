"""What the trainers share: a pipeline whose networks are frozen, its examples, and the diffusion loss over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from jstyle.diffusion import prompts
from jstyle.errors import InputError
from jstyle.ops.precision import unet_dtype
from jstyle.pictures import images
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.training import TrainState, TrainStep, ask, diffusion_loss
from jstyle.training.data import batch_indices
from jstyle.training.draws import generator
from jstyle.training.fit import fit
from jstyle.training.report import sample_grid
from jstyle.training.teaching import examples
from jstyle.training.teaching.examples import Moments
from jstyle.training.teaching.recompute import recomputed
from jstyle.training.teaching.settings import CaptionedSettings, TuneSettings

# What may differ between a run and its continuation without changing its result.
_FREE = (
    "data",  # the pictures' own bytes count
    "picture",
    "output",
    "loop",
    "recompute",
    "validation_prompts",
    "validation_every",
    "validation_steps",
    "guidance",
    "model",
    "revision",
)

FP16_LOSS_SCALE = 65536.0

Read = Callable[[Sequence[str]], jt.Var]


@dataclass(frozen=True)
class Pictures:
    """What a run learns from. With ``flip`` the posteriors of the mirrored pictures follow those of the others."""

    files: Tuple[Path, ...]
    names: Tuple[str, ...]
    moments: Moments


@dataclass(frozen=True)
class Batch:
    """Latents (n, channels, h, w), a caption for each, and their weights in the loss."""

    latents: np.ndarray
    captions: Sequence[str]
    weights: np.ndarray


class Clock:
    """Which batch is being computed; None while nothing is trained. Dropout draws by it."""

    index: Optional[int] = None


def opened(settings: TuneSettings, *, whole: bool = False) -> StableDiffusionPipeline:
    """The model, its UNet in ``settings.precision``; ``whole``, where it is trained itself, keeps its weights in fp32.

    Raises InputError for one that cannot be trained on pictures and captions alone.
    """
    dtype = unet_dtype(settings.precision)
    pipe = StableDiffusionPipeline.from_pretrained(
        settings.model,
        revision=settings.revision,
        variant=settings.variant,
        precision="fp32" if whole else settings.precision,
        backend=settings.backend,
    )
    if whole and dtype != pipe.unet.dtype:
        pipe.unet.compute_dtype = dtype
    return trainable(pipe, settings)


def trainable(pipe: StableDiffusionPipeline, settings: TuneSettings) -> StableDiffusionPipeline:
    """The pipeline itself. Raises InputError where it cannot be trained on pictures and captions alone."""
    # Where torch is JTorch, tensorboardX imports it, and it turns this on: then nothing would ask for a gradient.
    jt.flags.th_mode = 0
    if pipe.unet.config.in_channels != pipe.vae.config.latent_channels:
        raise InputError(f"{settings.model} is an inpainting model, whose UNet wants a mask too; train another")
    return pipe


def pictures(pipe: StableDiffusionPipeline, settings: TuneSettings, files: Sequence[Path]) -> Pictures:
    """Open and encode the pictures."""
    _, height, width = pipe.latent_shape(settings.height, settings.width)
    factor = pipe.vae.config.factor
    several = [images.open_image(file) for file in files]
    moments = examples.encode(pipe.vae, several, width * factor, height * factor, settings.flip)
    return Pictures(tuple(files), tuple(examples.names(files)), moments)


def chosen(shown: Pictures, settings: TuneSettings, index: int, purpose: str = "") -> Tuple[np.ndarray, np.ndarray]:
    """Which pictures make up the batch of this index, and a latent of each. Of every epoch each comes once."""
    seed, count = settings.loop.seed, len(shown.files)
    which = batch_indices(index, settings.batch, count, seed)
    turned = mirrored(settings, index, purpose)
    return which, shown.moments.draw(which + turned * count, generator(seed, index, f"posterior{purpose}"))


def mirrored(settings: TuneSettings, index: int, purpose: str = "") -> np.ndarray:
    """Which pictures of the batch of this index are shown mirrored: (batch,) of 0 and 1."""
    if not settings.flip:
        return np.zeros(settings.batch, np.int64)
    return generator(settings.loop.seed, index, f"flip{purpose}").integers(2, size=settings.batch)


def constant(pipe: StableDiffusionPipeline) -> Read:
    """Reads captions with a text encoder that does not change: each is encoded once."""
    known: Dict[str, jt.Var] = {}

    def read(captions: Sequence[str]) -> jt.Var:
        for caption in captions:
            if caption not in known:
                known[caption] = pipe.encode_prompt(caption).stop_grad()
                known[caption].sync()
        return jt.concat([known[caption] for caption in captions], dim=0)

    return read


def learning(pipe: StableDiffusionPipeline) -> Read:
    """Reads captions with a text encoder through which gradients pass."""
    return lambda captions: pipe.text_encoder(jt.array(prompts.token_ids(pipe.tokenizer, captions)))


def reading(pipe: StableDiffusionPipeline, settings: CaptionedSettings) -> Read:
    """Reads captions as the training asks."""
    return learning(pipe) if settings.text_encoder else constant(pipe)


def tune(
    pipe: StableDiffusionPipeline,
    settings: TuneSettings,
    parameters: Mapping[str, jt.Var],
    batch: Callable[[int], Batch],
    read: Read,
    identity: Mapping[str, Any],
    clock: Optional[Clock] = None,
) -> TrainState:
    """Train ``parameters``, named by "unet." or another network's name and a path, while all else stands still."""
    clock = clock or Clock()
    loss = noise_loss(pipe, settings, read, clock)

    def on_step(step: TrainStep, state: TrainState) -> None:
        clock.index = None
        if settings.validation_prompts and step.step % settings.validation_every == 0:
            with state.averaged():
                validate(pipe, settings, settings.output / f"validation-{step.step:06d}.png")

    whole = {**own_settings(settings), "model": pipe.model_hash, **identity}
    loop = settings.loop
    if settings.precision == "fp16" and loop.loss_scale is None:
        loop = replace(loop, loss_scale=FP16_LOSS_SCALE)
    with ExitStack() as stack:
        stack.enter_context(frozen(pipe.unet, pipe.vae, pipe.text_encoder))
        if settings.recompute:
            inside = {name[len("unet.") :]: one for name, one in parameters.items() if name.startswith("unet.")}
            stack.enter_context(recomputed(pipe.unet, inside))
        state = fit(settings.output, parameters, batch, loss, loop, whole, on_step)
        clock.index = None
    return state


def own_settings(settings: TuneSettings) -> Dict[str, Any]:
    """What a run and its continuation must have in common, beside what the loop sees to."""
    return {name: value for name, value in asdict(settings).items() if name not in _FREE}


def noise_loss(
    pipe: StableDiffusionPipeline, settings: TuneSettings, read: Read, clock: Clock
) -> Callable[[Batch, int], jt.Var]:
    """The loss of a batch: how far the UNet's answer at drawn noise levels is from what it should be."""

    def loss(batch: Batch, index: int) -> jt.Var:
        clock.index = index
        question = ask(batch.latents, pipe.schedule, settings.loss, settings.loop.seed, index)
        output = pipe.unet(question.x, question.times.tolist(), read(batch.captions))
        return diffusion_loss(output, question, batch.weights.tolist())

    return loss


def validate(pipe: StableDiffusionPipeline, settings: TuneSettings, path: Path) -> None:
    """Draw the validation prompts, each from its own unchanging noise, into one picture."""
    drawn: List[Any] = []
    for i, prompt in enumerate(settings.validation_prompts):
        drawn += pipe(
            prompt,
            settings.height,
            settings.width,
            settings.validation_steps,
            settings.guidance,
            seed=settings.loop.seed + i,
        ).images
    sample_grid([drawn], path, column_labels=settings.validation_prompts)


@contextmanager
def frozen(*networks: jt.Module) -> Iterator[None]:
    """No gradients of these networks' own weights until the end of the ``with``; what passes through them does."""
    held = [parameter for network in networks for parameter in network.parameters() if not parameter.is_stop_grad()]
    for parameter in held:
        parameter.stop_grad()
    try:
        yield
    finally:
        for parameter in held:
            parameter.start_grad()
