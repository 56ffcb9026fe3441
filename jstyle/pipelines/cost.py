"""What a run costs: told while it runs, and found beforehand by running it on networks that answer zeros.

So the cost is never written down beside the code that runs: it is that code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Optional, Protocol

import numpy as np

from jstyle.adapters.put_on import hash_adapted
from jstyle.diffusion.schedule import Schedule
from jstyle.diffusion.schedule_config import ScheduleConfig
from jstyle.diffusion.weighted_text import PLAIN, read_pieces
from jstyle.events import Evaluated, closing
from jstyle.networks import Condition, ControlNetModel, UNet2DConditionModel
from jstyle.networks.config import ControlNetConfig, UNetConfig, VAEConfig
from jstyle.networks.outputs import ControlNetOutput, UNetOutput
from jstyle.ops.precision import unet_dtype
from jstyle.pictures.spec import Identifiable
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.pipelines.texts import Prompt, count_prompts, list_texts
from jstyle.runtime import jt
from jstyle.settings.model import ModelSettings
from jstyle.settings.prompts import PromptSettings
from jstyle.weights.configuration import Configurations
from jstyle.weights.control_files import NetFiles
from jstyle.weights.description import Checkpoint, describe_checkpoint
from jstyle.weights.single_file.families import USUAL_SCHEDULE, USUAL_VAE


class CountingDenoiser(Protocol):
    """A denoiser that knows how many latents have gone through its UNet, as `GuidedDenoiser` does."""

    @property
    def evaluations(self) -> int:
        """All of them, since it was made."""
        ...


class Meter:
    """Reads off a denoiser what has gone through its UNet since the last reading."""

    def __init__(self, stage: str, denoiser: CountingDenoiser) -> None:
        self._stage = stage
        self._denoiser = denoiser
        self._last = denoiser.evaluations

    def read(self) -> Evaluated:
        """The event that a step ends with."""
        before, self._last = self._last, self._denoiser.evaluations
        return Evaluated(self._stage, self._last - before)


def count_evaluations(run: Callable[[Any], Iterable[Any]], pipe: Any) -> int:
    """The latents that ``run(pipe)`` will send through the UNet; what it yields besides `Evaluated` does not matter."""
    counting = pipe if pipe.counts else CountingPipeline.like(pipe)
    with closing(run(counting)) as events:
        return sum(event.count for event in events if isinstance(event, Evaluated))


class CountingUNet(UNet2DConditionModel):
    """A UNet of that configuration whose every answer is zero. Its weights are never made."""

    def __init__(self, config: UNetConfig, dtype: Optional[str] = None) -> None:
        super().__init__(config)
        forget_weights(self)
        self.compute_dtype = dtype

    def execute(self, sample: jt.Var, *_: Any, **__: Any) -> UNetOutput:
        """(batch, in_channels, height, width) to zeros (batch, out_channels, height, width)."""
        return UNetOutput(jt.zeros((sample.shape[0], self.config.out_channels, *sample.shape[2:])))


class CountingNet(ControlNetModel):
    """A ControlNet whose every answer is empty. Its weights are never made."""

    def __init__(self, config: ControlNetConfig) -> None:
        super().__init__(config)
        forget_weights(self)

    def execute(self, *_: Any, **__: Any) -> ControlNetOutput:
        """Of anything nothing."""
        return ControlNetOutput((), jt.zeros((1,)))


def forget_weights(network: jt.Module) -> None:
    """Put a single zero in the place of every parameter before it is made.

    Jittor makes them all as soon as it computes anything while they are there, and keeps them.
    """
    for module in network.modules():
        for name, value in vars(module).items():
            if isinstance(value, jt.Var):
                setattr(module, name, jt.zeros(1))


class _Autoencoder:
    """What methods ask of an autoencoder beside its work."""

    use_tiling = False

    def __init__(self, config: VAEConfig) -> None:
        self.config = config


class _Vocabulary:
    """Words that no text encoder looks up."""

    def learn(self, token: str, array: np.ndarray) -> None:
        """Any word is as good as another."""

    def remove(self, tokens: Optional[Iterable[str]] = None) -> None:
        """There is nothing to forget."""


class CountingPipeline(StableDiffusionPipeline):
    """Sizes, samplers and attention layers as a model has them; nothing is encoded, predicted or decoded."""

    counts = True

    def __init__(
        self,
        unet: UNetConfig,
        vae: VAEConfig,
        schedule: ScheduleConfig,
        dtype: Optional[str] = None,
        model: Optional[Identifiable] = None,
    ) -> None:
        """``dtype`` is what the UNet computes in, ``model`` what this stands for, where its identity matters."""
        self._model = model
        self.unet = CountingUNet(unet, dtype)
        self.vae: Any = _Autoencoder(vae)
        self.schedule = Schedule(schedule)
        self.vocabulary: Any = _Vocabulary()
        self.vocabulary_2 = self.text_encoder_2 = None  # texts have a row each, whoever reads them

    @classmethod
    def like(cls, pipe: StableDiffusionPipeline) -> CountingPipeline:
        """For a model that is loaded."""
        return cls(pipe.unet.config, pipe.vae.config, pipe.schedule.config, pipe.unet.dtype, pipe)

    @classmethod
    def from_settings(cls, model: ModelSettings) -> CountingPipeline:
        """For a model that is not loaded: its configurations are read, and its files' hashes.

        Raises InputError for a model that is not there, and a precision that this machine does not have.
        """
        checkpoint = describe_checkpoint(model)
        adapted = replace(checkpoint, model_hash=hash_adapted(checkpoint.model_hash, model))
        pipe = cls.of_checkpoint(adapted, unet_dtype(model.precision))
        pipe.vae_tiling = model.vae_tiling
        return pipe

    @classmethod
    def of_checkpoint(cls, checkpoint: Checkpoint, dtype: Optional[str] = None) -> CountingPipeline:
        """For a checkpoint that was described; where its files are not here, of Stable Diffusion's usual shape."""
        if checkpoint.model is None:
            return cls(UNetConfig(), USUAL_VAE, USUAL_SCHEDULE, dtype, checkpoint)
        return cls.of_configurations(checkpoint.model.configurations, dtype, checkpoint)

    @classmethod
    def of_configurations(
        cls, read: Configurations, dtype: Optional[str] = None, model: Optional[Identifiable] = None
    ) -> CountingPipeline:
        """For a model of which the configurations alone were read."""
        return cls(read.unet, read.vae, read.schedule, dtype, model)

    @property
    def model_hash(self) -> str:
        """The model's, so that what a method has kept of it is found; of configurations alone none."""
        return "" if self._model is None else self._model.model_hash

    @property
    def files_hash(self) -> str:
        """The model's; of configurations alone none."""
        return "" if self._model is None else self._model.files_hash

    @property
    def configuration(self) -> str:
        """The model's; of configurations alone none."""
        return "" if self._model is None else self._model.configuration

    def open_net(self, files: NetFiles) -> ControlNetModel:
        """One that is not loaded."""
        return CountingNet(files.config)

    @property
    def zeroes_no_negative(self) -> bool:
        """No: a negative text has a row like every text."""
        return False

    def condition_texts(
        self, prompt: Prompt, copies: int = 1, skip: int = 0, reading: PromptSettings = PLAIN
    ) -> Condition:
        """A row a text, of no meaning. Raises InputError for weights that cannot be read."""
        for text in list_texts(prompt):
            read_pieces(text, reading)
        return Condition(jt.zeros((copies * count_prompts(prompt), 1, 1)))

    def tell_unknown_words(self, texts: Sequence[str]) -> None:
        """Nobody looks them up."""

    def encode_images(self, pictures: jt.Var, noise: Optional[jt.Var] = None) -> jt.Var:
        """Zeros of the latents' shape."""
        return jt.zeros((pictures.shape[0], *self.latent_shape(*pictures.shape[2:])))

    def decode_latents(self, latents: jt.Var) -> np.ndarray:
        """A grey pixel a latent: nobody looks at it."""
        return np.zeros((latents.shape[0], 3, 1, 1), np.float32)
