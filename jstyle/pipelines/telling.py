"""What a call's pictures say of themselves: the spec of `txt2img`, and what made them that no command can be told."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Optional

import numpy as np
from PIL import Image

from jstyle.adapters.added import hash_chosen
from jstyle.networks.condition import Condition
from jstyle.ops.precision import find_precision
from jstyle.pictures.finished import hash_pixels, note_spec
from jstyle.pictures.spec import ModelIdentity, PictureSpec, identify_model
from jstyle.pipelines.controls import NO_CONTROLS, Controls
from jstyle.pipelines.starts import FromLatents, FromMaskedPictures, FromNoise, FromPictures, Start, list_pictures
from jstyle.pipelines.texts import Prompt, TwoTexts
from jstyle.settings.identity import identity
from jstyle.settings.leaves import unwrap_numpy
from jstyle.settings.model import ModelSettings
from jstyle.settings.prompts import PromptSettings

if TYPE_CHECKING:
    from jstyle.pipelines.output import PipelineOutput
    from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline


_SAID_OTHERWISE = frozenset(
    ["prompt_2", "negative_prompt_2"]
    + ["negative_prompt", "prompt_embeds", "negative_prompt_embeds", "latents", "seed", "generator", "sampler", "eta"]
    + ["guidance_scale", "num_images_per_prompt", "prompt_weights", "long_prompts", "cross_attention_kwargs"]
    + ["output_type", "return_dict", "on_step", "callback_on_step_end", "callback_on_step_end_tensor_inputs"]
    + ["callback", "callback_steps"]
)
"""Options that are among settings or subject, change nothing, or are noted by what they have done."""


@dataclass(frozen=True)
class Told:
    """What one call was told: ``settings`` of its sampling, and ``options``, which are `CallOptions`."""

    prompt: Prompt
    negative: Optional[Prompt]
    start: Start
    steps: int
    reading: PromptSettings
    settings: Mapping[str, Any]
    options: Mapping[str, Any]
    controls: Controls = NO_CONTROLS


def note_pictures(pipe: StableDiffusionPipeline, output: PipelineOutput, told: Told, *, is_changed: bool) -> None:
    """Write into each PIL picture's ``info`` what our PNGs have as texts, for `jstyle.save_picture`.

    The adapters of ``pipe`` are in effect as they were; ``is_changed`` says that a callback took a hand in it.
    """
    if not isinstance(output.images, list):
        return
    is_as_loaded = pipe.has_what_was_loaded
    model, common = identify_pipeline(pipe, is_as_loaded), dict(_list_common(pipe, told))
    if not is_as_loaded:
        common.update(
            pipe.loras.describe(), **({"words": [*pipe.vocabulary.vectors]} if pipe.vocabulary.vectors else {})
        )
    if is_changed:
        common["callback"] = "changed what was drawn, or ended it"
    count = len(output.images)
    for row, (picture, seed) in enumerate(zip(output.images, output.seeds)):
        beyond = {**common, **dict(_list_given(told, row, count, seed))}
        subject = {
            "prompt": _take_text(told.prompt, row, count),
            "seed": None if "latents" in beyond else seed,
            "image": None,
            "mask": None,
        }
        settings = _list_settings(told, row, count, picture.size)
        note_spec(picture, PictureSpec("txt2img", model, settings, subject, beyond or None))


def identify_pipeline(pipe: StableDiffusionPipeline, is_as_loaded: bool) -> ModelIdentity:
    """What the model of a pipeline is, as it computes now, by the settings that it was loaded by; without what these
    put on it unless it ``is_as_loaded``.
    """
    settings = pipe.loaded_by or ModelSettings(model=pipe.name_or_path)
    if not is_as_loaded:
        settings = ModelSettings(**{field.name: getattr(settings, field.name) for field in fields(ModelSettings)})
    settings = replace(settings, precision=find_precision(pipe.unet.dtype), vae_tiling=pipe.vae_tiling)
    return identify_model(settings, pipe)


def _list_common(pipe: StableDiffusionPipeline, told: Told) -> Iterator[tuple[str, Any]]:
    """What made all pictures of a call, beside settings that commands have."""
    for name, value in told.options.items():
        is_curve = name == "sigmas" and isinstance(value, str)
        if name not in _SAID_OTHERWISE and not is_curve and not _is_nothing(value):
            yield name, _describe(value)
    scale = unwrap_numpy((told.options.get("cross_attention_kwargs") or {}).get("scale", 1.0))
    if scale != 1:
        yield "cross_attention_scale", scale
    trained = "".join((hash_chosen(pipe.unet), hash_chosen(pipe.text_encoder)))
    if trained:
        yield "trained", hashlib.sha256(trained.encode()).hexdigest()
    if pipe.has_own_scheduler:
        yield "scheduler", type(pipe.scheduler).__name__
    yield from told.controls.describe()
    if pipe.unet.attachments:
        yield "editors", [type(attachment.editor).__name__ for attachment in pipe.unet.attachments]


def _list_given(told: Told, row: int, count: int, seed: int) -> Iterator[tuple[str, Any]]:
    """Digests of the arrays and pictures that one picture was made from."""
    options, start = told.options, told.start
    if options.get("latents") is not None:
        yield "latents", _hash_row(options["latents"], row, count)
        yield "step_seed", seed
    for name, text in (("prompt", told.prompt), ("negative_prompt", told.negative)):
        if isinstance(text, Condition):
            yield f"{name}_embeds", _hash_row(text.text, row, count)
        elif isinstance(text, TwoTexts):
            yield f"{name}_2", _take_text(text.second, row, count)
    if isinstance(start, FromLatents):
        yield "image", _hash_row(start.latents, row, count)
    elif isinstance(start, (FromPictures, FromMaskedPictures)):
        yield "image", hash_pixels(_take(list_pictures(start.pictures), row, count))
    elif not isinstance(start, FromNoise):
        yield "start", type(start).__name__
    if isinstance(start, FromMaskedPictures):
        yield "mask", hash_pixels(_take(list_pictures(start.masks), row, count))
        if start.masked_latents is not None:
            yield "masked_image_latents", _hash_row(start.masked_latents, row, count)


def _list_settings(told: Told, row: int, count: int, size: tuple[int, int]) -> dict[str, Any]:
    """The call under the names of `txt2img`, with defaults where it was told nothing, so that one picture is one spec.

    A picture to start from comes to its size by being stretched.
    """
    start, sigmas = told.start, told.settings["sigmas"]
    settings = {
        "negative_prompt": _take_text(told.negative, row, count) or "",
        **identity(told.reading),
        "strength": None,
        "steps": told.steps,
        "guidance": told.settings["guidance"],
        "sampler": told.settings["sampler"],
        **({"sigmas": sigmas} if isinstance(sigmas, str) else {}),
        "eta": told.settings["eta"],
        "width": size[0],
        "height": size[1],
        "fit": "stretch",
        "overlay": True,
        "padding_mask_crop": None,
    }
    if isinstance(start, FromNoise):
        return {**settings, "width": start.width, "height": start.height, "fit": "keep"}
    settings["strength"] = getattr(start, "strength", None)
    if isinstance(start, FromMaskedPictures):
        settings.update(overlay=start.overlay, padding_mask_crop=start.padding_mask_crop)
        if start.padding_mask_crop is not None:
            settings.update(zip(("width", "height"), start.size or (None, None)))
    return settings


def _take(some: Any, row: int, count: int) -> Any:
    """What of several, each for as many images, stands for one of ``count``."""
    return some[row * len(some) // count]


def _take_text(prompt: Optional[Prompt], row: int, count: int) -> Optional[str]:
    """The text of an image; None where there is none, or only what was made of it."""
    first = prompt.first if isinstance(prompt, TwoTexts) else prompt
    texts = [first] if isinstance(first, str) else first
    return _take(texts, row, count) if isinstance(texts, (list, tuple)) else None


def _is_nothing(value: Any) -> bool:
    """Whether an option says no more than one that is left out."""
    plain = unwrap_numpy(value)
    return plain is None or (isinstance(plain, (bool, int, float)) and not plain)


def _describe(value: Any) -> Any:
    """A value as JSON has it; of arrays the digest where they are no short lists, of pictures theirs."""
    value = unwrap_numpy(value)
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Image.Image):
        return hash_pixels(value)
    if isinstance(value, (list, tuple)):
        return [_describe(one) for one in value]
    if isinstance(value, np.ndarray) or callable(getattr(value, "numpy", None)):
        array = _to_array(value)
        return array.reshape(-1).astype(float).tolist() if array.ndim < 2 else _hash_array(array)
    return type(value).__name__


def _to_array(given: Any) -> np.ndarray:
    return np.asarray(given.numpy() if callable(getattr(given, "numpy", None)) else given)


def _hash_row(given: Any, row: int, count: int) -> str:
    """`_hash_array` of what of an array (rows, ...) stands for one of ``count`` images."""
    return _hash_array(_take(_to_array(given), row, count))


def _hash_array(array: np.ndarray) -> str:
    """SHA-256 over the shape and the numbers as float32."""
    numbers = np.ascontiguousarray(array, np.float32)
    return hashlib.sha256(repr(numbers.shape).encode() + numbers.tobytes()).hexdigest()
