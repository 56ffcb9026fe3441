"""Imagic's first two stages (arXiv 2210.09276, section 3.2): a text's embedding, then the UNet, learn one picture."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Optional

import numpy as np

from jstyle.adapters.lora import ATTENTION, FEED_FORWARD, Lora, LowRank, changed, layers
from jstyle.errors import InputError
from jstyle.events import Updated
from jstyle.holding import held
from jstyle.methods.imagic.settings import ImagicSettings
from jstyle.pictures.spec import Identifiable
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.settings.identity import digest, identity
from jstyle.training import LoopSettings, LossSettings
from jstyle.training.average import Average
from jstyle.training.step_folders import find_latest_step
from jstyle.training.teaching.lora.train import name_matrices, start_layer
from jstyle.training.teaching.tuning import Batch, Clock, Course, learning

_EMBEDDING = "embedding"


@dataclass(frozen=True)
class EmbeddingStage:
    """What the first stage's result depends on; ``picture`` is the hash of the pixels that are learnt."""

    model: str
    configuration: str
    dtype: str
    picture: str
    prompt: str
    loss: LossSettings
    loop: LoopSettings


@dataclass(frozen=True)
class TuningStage:
    """What the second stage's result depends on."""

    embedding: EmbeddingStage
    tune: Literal["unet", "lora"]
    rank: Optional[int]
    loop: LoopSettings


class Stages:
    """Both trainings of one picture and one text on a model, each in a folder of its own below ``folder``.

    A training is found again, or gone on with, by what its result depends on, so no other is ever in its place.
    """

    def __init__(
        self, settings: ImagicSettings, model: Identifiable, dtype: str, picture: str, prompt: str, folder: Path
    ) -> None:
        self.settings = settings
        rank = settings.lora_rank if settings.tune == "lora" else None
        self.first = EmbeddingStage(
            model.model_hash, model.configuration, dtype, picture, prompt, settings.loss, settings.embedding_loop
        )
        self.second = TuningStage(self.first, settings.tune, rank, settings.tuning)
        self.embedding_folder = folder / f"embedding-{digest(self.first)[:16]}"
        self.tuning_folder = folder / f"{settings.tune}-{digest(self.second)[:16]}"

    def count_updates(self) -> int:
        """The updates that both have still to make."""
        folders = {self.embedding_folder: self.first.loop, self.tuning_folder: self.second.loop}
        return sum(max(0, loop.steps - find_latest_step(folder / "checkpoint")) for folder, loop in folders.items())

    def optimise_embedding(
        self, pipe: StableDiffusionPipeline, latents: np.ndarray
    ) -> Generator[Updated, None, np.ndarray]:
        """The embedding (1, tokens, hidden_size), from the text's own, with which the UNet predicts the picture best.

        ``latents`` (1, channels, height, width) are the picture's. Goes on from a checkpoint; closing it writes one.
        """
        text = pipe.encode_texts(self.first.prompt)
        with jt.no_grad():
            embedding = text.copy()
        course = Course(self.embedding_folder, self.first.loop, self.first.loss, self.settings.recompute)
        with held(course.output):
            learnt = self._learn(pipe, course, identity(self.first), {_EMBEDDING: embedding}, embedding, latents)
            average = yield from learnt
        with hold_average(average):
            return np.array(embedding.numpy())

    def tune_network(
        self, stack: ExitStack, pipe: StableDiffusionPipeline, latents: np.ndarray, embedding: np.ndarray
    ) -> Generator[Updated, None, None]:
        """Tune the UNet to predict the picture under the optimised embedding. It stays so until ``stack`` is closed."""
        course = Course(self.tuning_folder, self.second.loop, self.first.loss, self.settings.recompute)
        if self.second.rank is None:
            stack.enter_context(restored(pipe.unet))
            parameters = {f"unet.{name}": parameter for name, parameter in pipe.unet.named_parameters()}
        else:
            lora = start_lora(pipe, self.second.rank, self.second.loop.seed)
            stack.enter_context(changed(pipe.unet, [lora.unet]))
            parameters = name_matrices(lora)
        with held(course.output):
            whole = identity(self.second)
            average = yield from self._learn(pipe, course, whole, parameters, jt.array(embedding), latents)
        stack.enter_context(hold_average(average))

    def _learn(
        self,
        pipe: StableDiffusionPipeline,
        course: Course,
        whole: Mapping[str, Any],
        parameters: Mapping[str, jt.Var],
        embedding: jt.Var,
        latents: np.ndarray,
    ) -> Generator[Updated, None, Optional[Average]]:
        """Train; returns the parameters' averages, where there are any, and lets go of the optimizer."""
        batch = Batch(latents, [self.first.prompt], np.ones(1))
        with learning(pipe, course, parameters, lambda index: batch, lambda _: embedding, whole, Clock()) as (
            state,
            steps,
        ):
            for step in steps:
                yield Updated(course.output.name.split("-")[0], 1, step.loss)
        return state.average


def start_lora(pipe: StableDiffusionPipeline, rank: int, seed: int) -> Lora[LowRank]:
    """Changes of the transformers' layers that change nothing yet. Raises InputError where LoRAs are in effect."""
    if pipe.get_active_adapters():  # the new one would stand in their place, not beside them
        raise InputError("LoRAs are in effect on the pipeline; unload_lora_weights() or disable_lora() first")
    found = layers(pipe.unet, (*ATTENTION, *FEED_FORWARD))
    return Lora({path: start_layer(f"unet.{path}", layer, rank, seed) for path, layer in found.items()}, {})


@contextmanager
def restored(network: jt.Module) -> Iterator[None]:
    """At the end of the ``with`` the network's weights are those of now again, to the bit: they are kept meanwhile."""
    kept = [(one, one.copy().stop_grad(), one.is_stop_grad()) for one in network.parameters()]
    jt.sync([copy for _, copy, _ in kept])
    try:
        yield
    finally:
        for parameter, copy, stands_still in kept:
            parameter.assign(copy)
            parameter.stop_grad() if stands_still else parameter.start_grad()


def hold_average(average: Optional[Average]) -> AbstractContextManager:
    """The parameters hold their averages while this is open, where there are any."""
    return nullcontext() if average is None else average.swapped_in()
