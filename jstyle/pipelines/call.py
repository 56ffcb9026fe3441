"""The arguments that a call has in all three pipelines: read, refused, and handed to the pipeline's `sample`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Optional, TypedDict, Union

from jstyle.diffusion.noise import Seeds
from jstyle.diffusion.samplers.levels import find_levels
from jstyle.diffusion.schedule import Level
from jstyle.errors import InputError, InputWarning
from jstyle.events import exhaust
from jstyle.networks.condition import Size
from jstyle.pipelines.arrays import Array, read_var
from jstyle.pipelines.callbacks import OldCallback, OnStepEnd, Watcher
from jstyle.pipelines.controls import NO_CONTROLS, Controls
from jstyle.pipelines.diffusers_names import NO_IP_ADAPTER, NO_REFINER
from jstyle.pipelines.seeds import choose_seeds
from jstyle.pipelines.sizes import read_sizes
from jstyle.pipelines.starts import Start
from jstyle.pipelines.telling import Told, note_pictures
from jstyle.pipelines.texts import Prompt, Texts, choose_prompt, require_prompt
from jstyle.settings.arguments import (
    list_arguments,
    read_function,
    read_number,
    read_share,
    read_whole,
    read_yes,
    refuse_unknown,
)
from jstyle.settings.fields import level_fields
from jstyle.settings.messages import show
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
    """Noise of ddim (0 none, 1 as much as ddpm) and of tcd."""

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


# Demands on the value of an argument that is None where it is left out, in the order in which they are looked at. What
# depends on the model, the prompts or the sampler is looked at where these are known.
_DEMANDS: Mapping[str, Callable[[str, Any], Any]] = {
    "guidance_scale": read_number,
    "guidance_rescale": read_share,
    "num_images_per_prompt": partial(read_whole, least=1),
    "clip_skip": read_whole,
    "eta": read_share,
    "return_dict": read_yes,
    "callback_on_step_end": read_function,
    "callback": read_function,
    "callback_steps": partial(read_whole, least=1),
    "on_step": read_function,
}
_DEFAULTS: Mapping[str, Any] = {"guidance_scale": None, "guidance_rescale": 0.0, "eta": 0.0, "return_dict": True}
"""Of the arguments that None does not leave out; the usual guidance is the model's."""


def run_call(
    pipe: StableDiffusionPipeline,
    prompt: Optional[Prompt],
    start: Start,
    steps: int,
    options: CallOptions,
    controls: Controls = NO_CONTROLS,
) -> Any:
    """The images of a call, steered by ``controls``, with what they are in each picture's ``info``.

    Raises InputError, before anything is computed, for arguments that are not known, are wrong or cannot be obeyed.
    """
    given = read_options(pipe, options)
    text, negative = _choose_prompts(pipe, prompt, options)
    sizes = read_sizes(options)
    latents, skip, attention = (given.get(name) for name in ("latents", "clip_skip", "cross_attention_kwargs"))
    steps, sigmas = choose_levels(pipe, steps, options)
    copies = given.get("num_images_per_prompt") or 1
    settings = {
        "guidance": given["guidance_scale"],
        "rescale": given["guidance_rescale"],
        "eta": given["eta"],
        "sampler": given.get("sampler"),
        "sigmas": sigmas,
    }
    reading = build(PromptSettings, {name: given[name] for name in level_fields(PromptSettings) if name in given})
    watched = ("callback_on_step_end", "callback_on_step_end_tensor_inputs", "callback", "callback_steps")
    watcher = Watcher(pipe, *(given.get(name) for name in watched))
    scale = read_scale(attention)
    pipe.note_call(guidance=settings["guidance"], rescale=settings["rescale"], skip=skip, attention=attention)
    with pipe.loras.scaled(scale):
        run = pipe.sample(
            text,
            start,
            steps=steps,
            negative_prompt=negative,
            copies=copies,
            seeds=choose_seeds(given.get("seed"), given.get("generator"), text, copies),
            unit=None if latents is None else read_var(latents, "latents"),
            output_type=given.get("output_type", "pil"),
            skip=skip or 0,
            watcher=watcher,
            reading=reading,
            sizes=sizes,
            controls=controls,
            **settings,
        )
        output = exhaust(run, given.get("on_step"))
        told = Told(text, negative, start, steps, reading, settings, options, controls)
        note_pictures(pipe, output, told, is_changed=watcher.has_changed)
    return output if given["return_dict"] else output.to_tuple()


def read_options(pipe: StableDiffusionPipeline, options: CallOptions) -> dict[str, Any]:
    """The options of a call, looked at one by one, with the defaults of those that must have a value.

    Raises InputError for one that is not known, with the one that was meant, is wrong, or is not here.
    """
    refuse_unknown("this call", options, [*list_arguments(type(pipe).__call__), *CallOptions.__annotations__])
    for name, reason in _REFUSED.items():
        if options.get(name) is not None:
            raise InputError(f"{name}: {reason}")
    given: dict[str, Any] = {**_DEFAULTS, "guidance_scale": pipe.usual_guidance, **options}
    for name, read in _DEMANDS.items():
        if name in _DEFAULTS or given.get(name) is not None:
            given[name] = read(name, given[name])
    return given


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


def read_scale(attention: Optional[dict[str, Any]]) -> float:
    """The strength of LoRAs that ``cross_attention_kwargs`` ask for, 1 where they do not."""
    if attention is None:
        return 1.0
    if not isinstance(attention, dict):
        raise InputError(f"cross_attention_kwargs must be a dictionary, not {show(attention)}")
    for name in attention:
        if name != "scale":
            raise InputError(f"cross_attention_kwargs has nothing of the name {name!r:.60}; there is: scale")
    return float(read_number("the scale of cross_attention_kwargs", attention.get("scale", 1.0)))
