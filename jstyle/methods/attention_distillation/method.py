"""Attention Distillation on latents: moved by the gradient of the loss on their attention (arXiv 2502.20235)."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Optional

from jstyle.diffusion.adain import adain
from jstyle.diffusion.guidance import GuidedDenoiser
from jstyle.diffusion.noise import NoiseSource
from jstyle.diffusion.samplers import ddim
from jstyle.diffusion.schedule import Level, diffuse
from jstyle.errors import InputError
from jstyle.events import Evaluated
from jstyle.methods.attention_distillation.objective import Targets, join_styles, measure_loss
from jstyle.methods.attention_distillation.settings import Distillation
from jstyle.methods.layers import choose_layers
from jstyle.networks.editing import QKV, Keep, Seen, Site, Watcher, attached
from jstyle.networks.recompute import recomputed
from jstyle.pipelines.cost import Meter
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.settings.model import ModelSettings
from jstyle.training.optimizer import AdamW, gradients_of
from jstyle.training.teaching.tuning import frozen, require_teachable

_COARSE = "gradients are computed in fp32 or fp16, not bf16: load the model with precision fp32"
ADAIN_EPS = 1e-6  # as the paper's code
FP16_SCALE = 65536.0  # of the loss, whose gradients would vanish in fp16


@dataclass(frozen=True)
class StyleLatents:
    """Clean latents of styles that are taken together, each (1, channels, height, width), and their weights."""

    latents: Sequence[jt.Var]
    weights: Sequence[float]


class AttentionDistillationOnLatents:
    """The method on one UNet, under the empty prompt, with these styles as one.

    Its generators yield what has gone through the UNet, after every time, and return clean latents (batch, channels,
    height, width). Raises InputError where the settings name a layer that the UNet does not have.
    """

    def __init__(self, pipe: StableDiffusionPipeline, settings: Distillation, styles: StyleLatents) -> None:
        self._pipe = pipe
        self._settings = settings
        self.styles = styles
        self._paths = choose_layers(pipe.unet.sites, settings.layers)
        self._denoiser = pipe.denoiser("")

    def optimise(
        self, x: jt.Var, contents: Optional[jt.Var] = None, content_weight: float = 0.0
    ) -> Generator[Evaluated, None, jt.Var]:
        """Latents from where they start: the contents' own, or noise. One Adam goes through all times.

        Nothing is noised: the clean pictures, and what is made, are fed at every time.
        """
        optimizer, meter = start_adam(x), Meter("distillation", self._denoiser)
        with self._standing_still():
            for step, level in enumerate(self._pipe.schedule.levels(self._settings.steps)):
                targets = self.read_targets(self.styles.latents, level, step, contents, content_weight)
                first = step * self._settings.iterations + 1
                for number in range(first, first + self._settings.iterations):
                    self._update(optimizer, number, targets, level, step)
                yield meter.read()
        return optimizer.parameters["latents"].detach()

    def sample(
        self, denoiser: GuidedDenoiser, x: jt.Var, noise: NoiseSource, *, match_statistics: bool
    ) -> Generator[Evaluated, None, jt.Var]:
        """Latents from noise under a text, by DDIM: after each step they are moved, at the level that they then have.

        The styles are noised to that level, with the noise of ``noise``'s first seed, and an Adam begins each time.
        With ``match_statistics`` the latents are first given the mean and deviation of the styles' channels.
        """
        meters = [Meter("denoising", denoiser), Meter("distillation", self._denoiser)]
        steps = ddim(denoiser, x, self._pipe.schedule, self._settings.steps)
        noise, sent = NoiseSource(noise.seeds[:1]), None
        with self._standing_still():
            while True:
                with jt.no_grad():
                    try:
                        step = steps.send(sent)
                    except StopIteration:
                        return x
                level = self._pipe.schedule.level(max(step.next_level.t, 0))
                x = sent = self._move(step.x, level, step.index, noise, match_statistics=match_statistics)
                yield from (meter.read() for meter in meters)

    def _move(self, x: jt.Var, level: Level, step: int, noise: NoiseSource, *, match_statistics: bool) -> jt.Var:
        """Latents at a level, nearer to the styles noised to it."""
        with jt.no_grad():
            if match_statistics:
                noised = self._noise_styles(level, noise, f"statistics {step}")
                joined = jt.concat([latent.reshape(1, latent.shape[1], -1, 1) for latent in noised], dim=2)
                x = adain(x, joined, ADAIN_EPS)
            noised = self._noise_styles(level, noise, f"features {step}")
        targets, optimizer = self.read_targets(noised, level, step), start_adam(x)
        for number in range(1, self._settings.iterations + 1):
            self._update(optimizer, number, targets, level, step)
        return optimizer.parameters["latents"].detach()

    def _noise_styles(self, level: Level, noise: NoiseSource, purpose: str) -> list[jt.Var]:
        """The styles at a level, each by its own noise."""
        return [
            diffuse(latent, noise.normal(f"style {number}, {purpose}", latent.shape[1:]), level.alpha_bar)
            for number, latent in enumerate(self.styles.latents)
        ]

    def read_targets(
        self,
        styles: Sequence[jt.Var],
        level: Level,
        step: int,
        contents: Optional[jt.Var] = None,
        content_weight: float = 0.0,
    ) -> Targets:
        """What latents are to be compared with at a level: what the styles, and the contents, leave there."""
        queries = None if contents is None else self._record(contents, level, step, keep_queries)
        seen = [self._record(latent, level, step, keep_keys) for latent in styles]
        with jt.no_grad():
            return Targets(join_styles(seen, self.styles.weights), queries, content_weight)

    def _record(self, latents: jt.Var, level: Level, step: int, keep: Keep) -> Seen:
        """What these latents leave at the layers, at a level."""
        watcher = Watcher(keep)
        with jt.no_grad(), attached(self._pipe.unet, watcher, self.is_compared):
            self._denoiser.ask(latents, level, step)
        seen = watcher.take()
        jt.sync([value for values in seen.values() for value in values])
        return seen

    def _update(self, optimizer: AdamW, number: int, targets: Targets, level: Level, step: int) -> None:
        """Move the latents once. Of a network that only counts there is nothing to be had."""
        settings, latents = self._settings, optimizer.parameters["latents"]
        watcher = Watcher(keep_outputs)
        scale = FP16_SCALE if self._pipe.unet.dtype == "float16" else 1.0
        with attached(self._pipe.unet, watcher, self.is_compared):
            self._denoiser.ask(latents, level, step)
        seen = watcher.take()
        if seen:
            loss = measure_loss(seen, targets, settings.temperature)
            optimizer.update(gradients_of(loss * scale, [latents]), number, settings.rate, 1 / scale)

    @contextmanager
    def _standing_still(self) -> Iterator[None]:
        """The UNet's weights learn nothing meanwhile, and its blocks are recomputed where that is asked for."""
        with ExitStack() as stack:
            stack.enter_context(frozen(self._pipe.unet))
            if self._settings.recompute:
                stack.enter_context(recomputed(self._pipe.unet, {}))
            yield

    def is_compared(self, site: Site) -> bool:
        """Whether a layer is one of those whose attention is compared."""
        return site.path in self._paths


def refuse_coarse(model: ModelSettings) -> None:
    """Raise InputError for settings that want a precision without gradients, whether or not this processor has it."""
    if model.precision == "bf16":
        raise InputError(_COARSE)


def require_gradients(pipe: StableDiffusionPipeline) -> StableDiffusionPipeline:
    """The pipeline itself. Raises InputError where no gradient comes to the latents of a picture."""
    if pipe.unet.dtype == "bfloat16":
        raise InputError(_COARSE)
    return require_teachable(pipe, "the model")


def start_adam(x: jt.Var) -> AdamW:
    """An Adam (arXiv 1412.6980) over latents, which it holds as its parameter "latents"; x stays as it is."""
    return AdamW({"latents": x.copy()}, weight_decay=0.0)


def keep_keys(qkv: QKV) -> Sequence[jt.Var]:
    """Of a style."""
    return qkv.k, qkv.v


def keep_queries(qkv: QKV) -> Sequence[jt.Var]:
    """Of a content."""
    return (qkv.q,)


def keep_outputs(qkv: QKV) -> Sequence[jt.Var]:
    """Of what is made."""
    return qkv.q, qkv.attend()
