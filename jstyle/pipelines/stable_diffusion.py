"""Stable Diffusion as one object: loading, saving, encoding, denoising, decoding, and text-to-image."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

from jstyle.adapters import AdapterLoading, LoraAdapters, Vocabulary
from jstyle.adapters.added import hash_chosen
from jstyle.diffusion import prompts
from jstyle.diffusion.guidance import GuidedDenoiser
from jstyle.diffusion.noise import NoiseSource, Seeds, image_seeds
from jstyle.diffusion.samplers import Sampler, Step, sampler
from jstyle.diffusion.schedule import Schedule
from jstyle.errors import InputError, InputWarning
from jstyle.events import exhaust
from jstyle.ops.kernels.operator import find_operations
from jstyle.ops.precision import find_precision
from jstyle.pictures import images
from jstyle.pipelines.latents import Latents
from jstyle.pipelines.starts import Beginning, Finish, FromNoise, Start
from jstyle.runtime import jt
from jstyle.settings.model import ModelSettings
from jstyle.settings.reader import build
from jstyle.settings.vocabulary import MOST_THINGS, Operations, is_guided
from jstyle.weights import backends, checkpoint
from jstyle.weights.configuration import hash_configuration
from jstyle.weights.known_words import describe_unknown_words

Prompt = Union[str, Sequence[str]]
OnStep = Callable[["PipelineStep"], None]

UNUSED_NEGATIVE = "the negative prompt is not used: at a guidance of 1 or less the prompt's prediction stands alone"


@dataclass(frozen=True)
class PipelineOutput:
    """``images``: PIL pictures, or an array as ``output_type`` asks; ``seeds``: the seed of each."""

    images: Any
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class PipelineStep(Step):
    """A sampler's step, and how many latents it sent through the UNet, each half of a guided batch counted."""

    evaluations: int


class StableDiffusionPipeline(AdapterLoading, Latents):
    """Text-to-image, and the parts that every method is built from.

    >>> import jstyle
    >>> pipe = jstyle.StableDiffusionPipeline.from_pretrained("tiny")
    >>> pipe("a house by the sea", num_inference_steps=4, seed=7).images[0].size
    (128, 128)

    Latents are Stable Diffusion's: the VAE's times its scaling factor, (batch, 4, height / 8, width / 8).
    """

    def __init__(self, components: checkpoint.Components) -> None:
        self.components = components
        self.unet = components.unet
        self.vae = components.vae
        self.text_encoder = components.text_encoder
        self.vocabulary = Vocabulary(components.tokenizer, components.text_encoder)
        self.loras = LoraAdapters(components.unet, components.text_encoder)
        self.schedule = Schedule(components.schedule)
        self.vae_tiling = False

    @classmethod
    def from_pretrained(
        cls,
        model: str,
        *,
        revision: Optional[str] = None,
        variant: Optional[str] = None,
        precision: str = "fp32",
        torch_dtype: Any = None,
        dtype: Any = None,
        backend: str = "native",
    ) -> StableDiffusionPipeline:
        """Load a folder in diffusers' layout, a hub id, or "tiny", the embedded model.

        ``variant="fp16"`` reads the files of that variant; ``revision`` picks a commit or branch of a hub id;
        ``precision="bf16"`` runs the UNet in bfloat16, where the processor has instructions for it, "fp16" on a GPU;
        ``torch_dtype`` and ``dtype`` are diffusers' ways to say so, by name or by a library's object.
        ``backend="jdiffusion"`` lets JDiffusion's networks compute, where that is installed.
        Raises InputError for anything missing, damaged or of another architecture.
        """
        for named in (torch_dtype, dtype):
            precision = precision if named is None else find_precision(named)
        fields = {
            "model": str(model),
            "revision": revision,
            "variant": variant,
            "precision": precision,
            "backend": backend,
        }
        return cls.from_settings(build(ModelSettings, fields, "from_pretrained"))

    @classmethod
    def from_single_file(
        cls,
        pretrained_model_link_or_path: Union[str, Path],
        *,
        config: Optional[Union[str, Path]] = None,
        prediction_type: Optional[str] = None,
        vae_weights: Optional[Union[str, Path]] = None,
        revision: Optional[str] = None,
        precision: str = "fp32",
        torch_dtype: Any = None,
        dtype: Any = None,
        original_config: None = None,
    ) -> StableDiffusionPipeline:
        """Load a checkpoint of Stable Diffusion 1.x or 2.x in one safetensors file, with the original code's names.

        ``pretrained_model_link_or_path`` is a file, `owner/name/FILE.safetensors` of the hub, or its address there.
        ``config`` is a folder or hub id in diffusers' layout: what the file lacks, tokenizer, configurations, networks,
        is taken from it; without it the tokenizer is fetched. ``prediction_type``, "epsilon" or "v_prediction", is
        needed where nothing in the file says it. ``vae_weights`` is a file or folder with a VAE in the place of the
        file's. The others are `from_pretrained`'s. Raises InputError, one line, for a file that is damaged, a pickle,
        incomplete or of another model, and for ``original_config``, which is not read: the keys say what it would.
        """
        if original_config is not None:
            raise InputError("original_config is not read: the keys say what it would; give config= or prediction_type")
        for named in (torch_dtype, dtype):
            precision = precision if named is None else find_precision(named)
        fields = {
            "model": str(pretrained_model_link_or_path),
            "base_model": None if config is None else str(config),
            "vae_weights": None if vae_weights is None else str(vae_weights),
            "prediction_type": prediction_type,
            "revision": revision,
            "precision": precision,
        }
        return cls.from_settings(build(ModelSettings, fields, "from_single_file"))

    @classmethod
    def from_settings(cls, model: ModelSettings) -> StableDiffusionPipeline:
        """The model that settings name: a folder, a single file, a hub id. Raises InputError as `from_pretrained`."""
        pipe = cls(backends.load(model))
        pipe.vae_tiling = model.vae_tiling
        return pipe

    @classmethod
    def from_pipe(cls, other: StableDiffusionPipeline) -> StableDiffusionPipeline:
        """This kind of pipeline on another's networks, without a copy, with what was loaded onto them since.

        It works in tiles where the other does.
        """
        pipe = cls(other.components)
        pipe.vocabulary, pipe.loras, pipe.vae_tiling = other.vocabulary, other.loras, other.vae_tiling
        return pipe

    def save_pretrained(self, folder: Union[str, Path], *, variant: Optional[str] = None) -> None:
        """Write diffusers' layout, which diffusers reads; ``variant="fp16"`` halves the files.

        LoRA adapters are written along where they are fused; learnt words are not. Raises InputError where the folder
        already holds something, and where adapters are being trained on the networks.
        """
        self.unet.require_no_adapters()
        self.text_encoder.require_no_adapters()
        checkpoint.save(self.components, Path(folder), variant=variant)

    @cached_property
    def _files_hash(self) -> str:
        return checkpoint.hash_components(self.components)

    @property
    def model_hash(self) -> str:
        """SHA-256 over the weight files that were loaded: what "the same model" means in metadata and caches.

        LoRA adapters in effect, loaded or trained on the networks, and learnt words belong to it.
        """
        learnt = (self.vocabulary.fingerprint(), self.loras.fingerprint())
        more = [text for text in (*learnt, hash_chosen(self.unet), hash_chosen(self.text_encoder)) if text]
        return hashlib.sha256(" ".join([self._files_hash, *more]).encode()).hexdigest() if more else self._files_hash

    @property
    def configuration(self) -> str:
        """SHA-256 over the rest of what the model is: noise schedule, networks' configurations, tokenizer's files."""
        networks = (self.unet, self.vae, self.text_encoder, self.components.image_encoder)
        configs = [None if network is None else network.config for network in networks]
        return hash_configuration(self.schedule.config, configs, self.components.tokenizer_folder)

    @property
    def operations(self) -> Operations:
        """Whose arithmetic computes in this process: it decides over last bits."""
        return find_operations()

    @property
    def tokenizer(self) -> Any:
        """transformers' tokenizer, which spells learnt words too."""
        return self.vocabulary.tokenizer

    def encode_prompt(self, prompt: Prompt, copies: int = 1) -> jt.Var:
        """(prompts * copies, tokens, hidden_size), the copies of one prompt side by side."""
        texts = [prompt] if isinstance(prompt, str) else list(prompt)
        if not texts:
            raise InputError("no prompt was given")
        return prompts.encode(self.tokenizer, self.text_encoder, [text for text in texts for _ in range(copies)])

    def denoiser(
        self,
        prompt: Prompt,
        negative_prompt: Optional[Prompt] = None,
        guidance_scale: float = 1.0,
        copies: int = 1,
        extra: Optional[jt.Var] = None,
    ) -> GuidedDenoiser:
        """The UNet under a text, as samplers take it. ``negative_prompt`` is one for all prompts or one each."""
        text = self.encode_prompt(prompt, copies)
        self.tell_unknown_words([prompt] if isinstance(prompt, str) else prompt)
        negative = None
        if negative_prompt and not is_guided(guidance_scale):
            warnings.warn(UNUSED_NEGATIVE, InputWarning, stacklevel=2)
        if is_guided(guidance_scale):
            negatives = (
                [negative_prompt or ""] if isinstance(negative_prompt or "", str) else list(negative_prompt or [])
            )
            count = text.shape[0] // copies
            if len(negatives) not in (1, count):
                raise InputError(f"{len(negatives)} negative prompts for {count} prompts; give one, or one each")
            negative = self.encode_prompt(negatives * (count // len(negatives)), copies)
        return GuidedDenoiser(self.unet, self.schedule.config.prediction_type, text, negative, guidance_scale, extra)

    def tell_unknown_words(self, texts: Sequence[str]) -> None:
        """Warn (`InputWarning`) of words that the model was not taught, where it has a list of those that it was.

        With a LoRA on it nobody knows which words it was taught.
        """
        known = self.components.words
        if known is not None and not self.loras.fingerprint():
            line = describe_unknown_words(texts, known, self.vocabulary.vectors)
            if line:
                warnings.warn(line, InputWarning, stacklevel=3)

    def sampler(self, name: Optional[str] = None, sigmas: Optional[str] = None) -> Sampler:
        """The sampler of that name over levels along a curve of sigmas, the checkpoint's own by default.

        Raises InputError for one that the checkpoint cannot have, and for one that follows no curve.
        """
        return sampler(self.schedule.config.choose_sampler(name)).follow(sigmas)

    def __call__(
        self,
        prompt: Prompt,
        height: Optional[int] = None,
        width: Optional[int] = None,
        num_inference_steps: int = 50,
        guidance_scale: float = 7.5,
        negative_prompt: Optional[Prompt] = None,
        num_images_per_prompt: int = 1,
        eta: float = 0.0,
        generator: Optional[np.random.Generator] = None,
        latents: Optional[np.ndarray] = None,
        output_type: str = "pil",
        *,
        seed: Optional[Seeds] = None,
        sampler: Optional[str] = None,
        sigmas: Optional[str] = None,
        on_step: Optional[OnStep] = None,
    ) -> PipelineOutput:
        """Images of a text.

        ``seed`` is one number (image i has seed + i) or one an image; ``generator`` draws seeds where none
        are given. ``latents`` (images, 4, height / 8, width / 8) replaces the initial unit noise.
        ``output_type`` is "pil", "np" (images, height, width, 3 in [0, 1]) or "latent". ``on_step`` sees every
        step. Raises InputError for impossible sizes, counts and names.
        """
        steps = self.sample(
            prompt,
            FromNoise(height, width),
            steps=num_inference_steps,
            guidance=guidance_scale,
            negative_prompt=negative_prompt,
            copies=num_images_per_prompt,
            eta=eta,
            seeds=choose_seeds(seed, generator, prompt, num_images_per_prompt),
            unit=latents,
            sampler=sampler,
            sigmas=sigmas,
            output_type=output_type,
        )
        return exhaust(steps, on_step)

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
        unit: Optional[np.ndarray] = None,
        sampler: Optional[str] = None,
        sigmas: Optional[str] = None,
        output_type: str = "pil",
    ) -> Generator[PipelineStep, None, PipelineOutput]:
        """A pipeline's call as a generator: it yields every step, returns the output, and may be closed at any time.

        ``start`` says what the images start from, ``copies`` how many each prompt gets, ``unit`` the initial unit
        noise; otherwise as in the call.
        """
        if isinstance(guidance, bool) or not isinstance(guidance, Real) or not math.isfinite(guidance):
            raise InputError(f"guidance must be a finite number, not {guidance!r:.60}")
        if output_type not in ("pil", "np", "latent"):
            raise InputError(f"output_type {output_type!r} is not known; it must be pil, np or latent")
        method = self.sampler(sampler, sigmas)
        noise = NoiseSource(image_seeds(seeds, count_images(prompt, copies)))
        begun = start.begin(self, method, steps, noise, unit)
        self._check_channels(begun)
        denoiser = self.denoiser(prompt, negative_prompt, guidance, copies, begun.extra)
        fresh = step_noise(noise, begun.x.shape[1:])
        run = method(
            denoiser,
            begun.x,
            self.schedule,
            steps,
            start=begun.index,
            eta=eta,
            noise=fresh,
            after_step=begun.after_step,
        )
        x, before = begun.x, 0
        for step in without_gradients(run):
            x = step.x
            yield PipelineStep(**vars(step), evaluations=denoiser.evaluations - before)
            before = denoiser.evaluations
        return PipelineOutput(self._decode(x, output_type, begun.finish), noise.seeds)

    def _decode(self, x: jt.Var, output_type: str, finish: Optional[Finish]) -> Any:
        if output_type == "latent":
            return np.array(x.numpy())
        decoded = self.decode_latents(x)
        if finish is not None:
            decoded = finish(decoded)
        if output_type == "pil":
            return images.to_images(decoded)
        return np.clip(decoded / 2 + 0.5, 0, 1).transpose(0, 2, 3, 1)

    def _check_channels(self, begun: Beginning) -> None:
        channels = begun.x.shape[1] + (0 if begun.extra is None else begun.extra.shape[1])
        if channels != self.unet.config.in_channels:
            raise InputError(
                f"this model's UNet takes {self.unet.config.in_channels} channels, not {channels}: it was trained for "
                "inpainting; load it with StableDiffusionInpaintPipeline"
            )


def step_noise(noise: NoiseSource, shape: Sequence[int]) -> Callable[[int], jt.Var]:
    """The fresh noise of each sampling step."""
    return lambda index: noise.normal(f"step {index}", shape)


def count_images(prompt: Prompt, copies: int) -> int:
    """How many images are asked for. Raises InputError for none."""
    count = copies * (1 if isinstance(prompt, str) else len(prompt))
    if not 1 <= count <= MOST_THINGS:
        raise InputError(f"from 1 to {MOST_THINGS} images can be asked for, not {count}: give a prompt")
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
