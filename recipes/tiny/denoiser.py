"""The denoiser: latents of the pictures, captions, and training with the diffusion loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Optional

import numpy as np

from jstyle.diffusion import prompts
from jstyle.diffusion.schedule import Schedule
from jstyle.networks import AutoencoderKL, CLIPTextModel, UNet2DConditionModel
from jstyle.networks.initial import initialise
from jstyle.runtime import jt
from jstyle.training import TrainState, TrainStep, ask, diffusion_loss
from jstyle.training.data import batch_indices
from jstyle.training.draws import make_generator
from jstyle.weights.loading import save_weights
from recipes.tiny.autoencoder import encode
from recipes.tiny.fit import fit
from recipes.tiny.growing import fill_array
from recipes.tiny.pictures import Scene, write_captions
from recipes.tiny.settings import UnetSettings

FILE = "unet.safetensors"
LATENTS = "latents.npy"
ZERO = ("conv2", "proj_out", "conv_out")
_CHUNK = 64

Batch = tuple[np.ndarray, np.ndarray]
DrawSheet = Callable[[UNet2DConditionModel, Path], None]


def write_latents(vae: AutoencoderKL, pictures: np.ndarray, folder: Path) -> None:
    """Write ``latents.npy``, the means of all pictures (n, channels, h, w) in fp16, unless it is there."""
    side = pictures.shape[1] // vae.config.factor
    shape = (len(pictures), vae.config.latent_channels, side, side)

    def encode_rest(start: int) -> Iterator[np.ndarray]:
        for first in range(start, len(pictures), _CHUNK):
            yield encode(vae, pictures[first : first + _CHUNK])

    fill_array(folder / LATENTS, shape, np.float16, {}, encode_rest)


def train_unet(
    settings: UnetSettings,
    folder: Path,
    latents: np.ndarray,
    scenes: Sequence[Scene],
    text: CLIPTextModel,
    words: Any,
    schedule: Schedule,
    draw_sheet: DrawSheet,
    fill: Optional[Callable[[UNet2DConditionModel], None]] = None,
) -> None:
    """Train the denoiser and write the average of its weights to ``unet.safetensors``.

    ``latents`` (n, channels, h, w) belong to the scenes; ``words`` is the tokenizer; ``draw_sheet`` writes a sheet of
    the network's samples to a file; ``fill`` may give the network weights that were learnt before.
    """
    unet = UNet2DConditionModel(settings.network)
    initialise(unet, settings.loop.seed, ZERO)
    if fill is not None:
        fill(unet)
    seed = settings.loop.seed

    def batch(index: int) -> Batch:
        numbers = batch_indices(index, settings.batch, len(scenes), seed)
        texts = write_captions([scenes[i] for i in numbers], seed, index)
        texts = drop_captions(texts, settings.caption_dropout, seed, index)
        return latents[numbers].astype(np.float32), prompts.token_ids(words, texts)

    def loss(examples: Batch, index: int) -> jt.Var:
        clean, ids = examples
        question = ask(clean, schedule, settings.loss, seed, index)
        with jt.no_grad():
            context = text(jt.array(ids)).last_hidden_state
        return diffusion_loss(unet(question.x, question.times.tolist(), context).sample, question)

    def sheet(step: TrainStep, state: TrainState) -> None:
        if step.step % settings.sample_every == 0:
            with state.averaged():
                draw_sheet(unet, folder / f"samples-{step.step:06d}.png")

    identity = {**asdict(settings), "latents": len(latents)}
    for name in ("loop", "sample_every"):
        del identity[name]
    state = fit(folder, dict(unet.named_parameters()), batch, loss, settings.loop, identity, sheet)
    with state.averaged():
        save_weights(unet, folder / FILE)


def drop_captions(captions: Sequence[str], share: float, seed: int, index: int) -> list[str]:
    """The captions, with this share of them emptied: guidance needs predictions without a text."""
    emptied = make_generator(seed, index, "dropout").random(len(captions)) < share
    return ["" if is_empty else caption for caption, is_empty in zip(captions, emptied)]
