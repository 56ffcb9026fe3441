"""The arguments that a call has in all three pipelines: read, refused, and handed to the pipeline's `sample`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Optional, TypedDict, Union

import numpy as np

from jstyle.diffusion.noise import Seeds
from jstyle.diffusion.samplers.levels import find_levels
from jstyle.diffusion.schedule import Level
from jstyle.errors import InputError, InputWarning
from jstyle.events import exhaust
from jstyle.networks.condition import Size
from jstyle.pipelines.arrays import Array, read_var
from jstyle.pipelines.callbacks import OldCallback, OnStepEnd, Watcher
from jstyle.pipelines.diffusers_names import NO_IP_ADAPTER, NO_REFINER
from jstyle.pipelines.seeds import choose_seeds
from jstyle.pipelines.sizes import read_sizes
from jstyle.pipelines.starts import Start
from jstyle.pipelines.telling import Told, note_pictures
from jstyle.pipelines.texts import Prompt, Texts, choose_prompt, require_prompt
from jstyle.settings.fields import level_fields
from jstyle.settings.leaves import unwrap_numpy
from jstyle.settings.messages import show, suggest
from jstyle.settings.prompts import PromptSettings
from jstyle.settings.reader import build

if TYPE_CHECKING:
    from jstyle.pipelines.stable_diffusion import OnStep, StableDiffusionPipeline

_REFUSED = {
    "ip_adapter_image": NO_IP_ADAPTER,
    "ip_adapter_image_embeds": NO_IP_ADAPTER,
    "denoising_end": NO_REFINER,
    "denoising_start": NO_REFINER,
}
_UNUSED_SECOND = (
    "negative_prompt_2 is not used without negative_prompt, as in diffusers: zeros stand against the prompt"
)


class CallOptions(TypedDict, total=False):
    """What a call may be told by name, in text-to-image, image-to-image and inpainting alike; diffusers' names."""

    negative_prompt: Optional[Prompt]
    """What the images should not show: one for all prompts, or one each."""

    prompt_embeds: Optional[Array]
    """What a text encoder made of the prompts, (prompts, tokens, width), in the place of ``prompt``."""

    negative_prompt_embeds: Optional[Array]
    """The same of the negative prompts."""

    prompt_2: Optional[Texts]
    """What SDXL's second text encoder reads, by default the prompt."""

    negative_prompt_2: Optional[Texts]
    """The same of the negative prompts."""

    pooled_prompt_embeds: Optional[Array]
    """SDXL's vectors of the prompts, (prompts, width), beside ``prompt_embeds``."""

    negative_pooled_prompt_embeds: Optional[Array]
    """The same of the negative prompts."""

    original_size: Optional[Size]
    """(height, width) that SDXL is told a picture had; this and the next six are described in `PictureSizes`."""

    crops_coords_top_left: Size
    """(top, left) of what was cut out of it, (0, 0)."""

    target_size: Optional[Size]
    """(height, width) of what was cut out."""

    negative_original_size: Optional[Size]
    """The same of the row against the prompt."""

    negative_crops_coords_top_left: Size
    """The same."""

    negative_target_size: Optional[Size]
    """The same."""

    aesthetic_score: float
    """6; read by UNets that were taught a score."""

    negative_aesthetic_score: float
    """2.5."""

    guidance_scale: float
    """Classifier-free guidance, 7.5, or the pipeline's own; at 1 or less the prompt's prediction stands alone."""

    guidance_rescale: float
    """Share of arXiv 2305.08891's rescaled guidance, 0."""

    num_images_per_prompt: int
    """Images of each prompt, side by side, 1."""

    clip_skip: Optional[int]
    """Last layers of the text encoder that do not read the prompt; all read the negative prompt, as in diffusers."""

    prompt_weights: str
    """"a1111" reads weights such as (word:1.3) in prompts; "none" takes brackets as they stand."""

    long_prompts: str
    """"chunk" reads texts of any length, "cut" the first 77 tokens (`PromptSettings`)."""

    seed: Optional[Seeds]
    """One number (image i has seed + i), or one an image."""

    generator: Any
    """What seeds are drawn from where none are given; see `choose_seeds`."""

    latents: Optional[Array]
    """The initial unit noise, (images, 4, height / 8, width / 8)."""

    eta: float
    """Noise of ddim: 0 none, 1 as much as ddpm."""

    sampler: Optional[str]
    """By default the checkpoint's own, or that of the ``scheduler`` in its place."""

    timesteps: Any
    """The times to go by, falling, in the place of ``num_inference_steps``."""

    sigmas: Any
    """The name of a curve of sigmas, or the noise-to-signal ratios to go by, down to 0."""

    output_type: str
    """"pil", "np" (images, height, width, 3), "pt" (images, 3, height, width), both in [0, 1], or "latent"."""

    return_dict: bool
    """Whether an output with names is returned, as by default, or the tuple (images, None)."""

    cross_attention_kwargs: Optional[dict[str, Any]]
    """``{"scale": 0.5}`` weakens the LoRAs in effect, for this call."""

    callback_on_step_end: Optional[OnStepEnd]
    """Sees, and may change, what `Watcher` says, after every step."""

    callback_on_step_end_tensor_inputs: Optional[Sequence[str]]
    """The tensors it is shown: latents, prompt_embeds, negative_prompt_embeds, and of SDXL `XL_TENSORS`."""

    callback: Optional[OldCallback]
    """diffusers' older way: (index, time, latents), every ``callback_steps`` steps."""

    callback_steps: Optional[int]
    """1 by default."""

    on_step: Optional[OnStep]
    """Sees every step."""

    ip_adapter_image: None
    """Refused."""

    ip_adapter_image_embeds: None
    """Refused."""

    denoising_end: None
    """Refused."""

    denoising_start: None
    """Refused."""


def run_call(
    pipe: StableDiffusionPipeline, prompt: Optional[Prompt], start: Start, steps: int, options: CallOptions
) -> Any:
    """The images of a call, with what they are in each picture's ``info``.

    Raises InputError, before anything is computed, for arguments that are not known, are wrong or cannot be obeyed.
    """
    check_names(options, CallOptions.__annotations__, "this call has no argument")
    for name, reason in _REFUSED.items():
        if options.get(name) is not None:
            raise InputError(f"{name}: {reason}")
    text, negative = _choose_prompts(pipe, prompt, options)
    sizes = read_sizes(options)
    latents = options.get("latents")
    steps, sigmas = choose_levels(pipe, steps, options)
    copies = read_count(options.get("num_images_per_prompt", 1))
    settings = {
        "guidance": options.get("guidance_scale", pipe.usual_guidance),
        "rescale": options.get("guidance_rescale", 0.0),
        "eta": options.get("eta", 0.0),
        "sampler": options.get("sampler"),
        "sigmas": sigmas,
    }
    given: dict[str, Any] = dict(options)
    reading = build(PromptSettings, {name: given[name] for name in level_fields(PromptSettings) if name in given})
    watched = ("callback_on_step_end", "callback_on_step_end_tensor_inputs", "callback", "callback_steps")
    watcher = Watcher(pipe, *(given.get(name) for name in watched))
    pipe.note_call(
        guidance=settings["guidance"],
        rescale=settings["rescale"],
        skip=options.get("clip_skip"),
        attention=options.get("cross_attention_kwargs"),
    )
    with pipe.loras.scaled(read_scale(options.get("cross_attention_kwargs"))):
        run = pipe.sample(
            text,
            start,
            steps=steps,
            negative_prompt=negative,
            copies=copies,
            seeds=choose_seeds(options.get("seed"), options.get("generator"), text, copies),
            unit=None if latents is None else read_var(latents, "latents"),
            output_type=options.get("output_type", "pil"),
            skip=options.get("clip_skip") or 0,
            watcher=watcher,
            reading=reading,
            sizes=sizes,
            **settings,
        )
        output = exhaust(run, options.get("on_step"))
        told = Told(text, negative, start, steps, reading, settings, options)
        note_pictures(pipe, output, told, is_changed=watcher.has_changed)
    return output if options.get("return_dict", True) else output.to_tuple()


def _choose_prompts(
    pipe: StableDiffusionPipeline, prompt: Optional[Prompt], options: CallOptions
) -> tuple[Prompt, Optional[Prompt]]:
    """The prompts of a call, and what stands against them. Raises InputError as `choose_prompt`."""
    text = require_prompt(
        prompt, options.get("prompt_embeds"), options.get("prompt_2"), options.get("pooled_prompt_embeds")
    )
    negative, second = options.get("negative_prompt"), options.get("negative_prompt_2")
    embeds, vectors = options.get("negative_prompt_embeds"), options.get("negative_pooled_prompt_embeds")
    if second and negative is None and embeds is None:
        if pipe.zeroes_no_negative:
            warnings.warn(_UNUSED_SECOND, InputWarning, stacklevel=4)
            return text, None
        negative = ""
    return text, choose_prompt(negative, embeds, "negative_prompt", second, vectors)


def choose_levels(
    pipe: StableDiffusionPipeline, steps: int, options: CallOptions
) -> tuple[int, Union[str, Sequence[Level], None]]:
    """How many steps, and the curve of sigmas that they follow, or the levels of the caller's own lists."""
    timesteps, sigmas = options.get("timesteps"), options.get("sigmas")
    if timesteps is None and isinstance(sigmas, (str, type(None))):
        return steps, sigmas
    levels = find_levels(pipe.schedule, timesteps, sigmas)
    return len(levels), levels


def check_names(given: Any, known: Any, refusal: str) -> None:
    """Raise InputError for the first name that is not known, with the one that was meant."""
    for name in given:
        if name not in known:
            raise InputError(f"{refusal} {name!r:.60}; {suggest(name, known)}")


def read_count(copies: Any) -> int:
    """How many images each prompt gets; None is one, as in diffusers."""
    number = 1 if copies is None else unwrap_numpy(copies)
    if isinstance(number, bool) or not isinstance(number, int):
        raise InputError(f"num_images_per_prompt must be a whole number, not {show(copies)}")
    return number


def read_scale(attention: Optional[dict[str, Any]]) -> float:
    """The strength of LoRAs that ``cross_attention_kwargs`` ask for, 1 where they do not."""
    if attention is None:
        return 1.0
    if not isinstance(attention, dict):
        raise InputError(f"cross_attention_kwargs must be a dictionary, not {show(attention)}")
    check_names(attention, ("scale",), "cross_attention_kwargs has nothing of the name")
    scale = unwrap_numpy(attention.get("scale", 1.0))
    if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not np.isfinite(scale):
        raise InputError(f"the scale of cross_attention_kwargs must be a finite number, not {show(scale)}")
    return float(scale)
