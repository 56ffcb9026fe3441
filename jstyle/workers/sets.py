"""Methods that make a style's pictures as one set.

A task is one picture all the same, in a batch of its own, so nothing depends on which worker makes it. A worker keeps
what the last set's reference has left, and the set's next picture starts from there.
"""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple

from PIL import Image

from jstyle.competition.fields import build, checked
from jstyle.competition.recipe import SetMethod
from jstyle.competition.settings import Picture
from jstyle.diffusion.samplers import sampler
from jstyle.errors import InputError
from jstyle.pictures import images
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from style_align.request import ImageReference, Target, TextReference
from style_align.settings import StyleAlignSettings
from style_align.transfer import StyleAlign

# What a picture's own settings say, what must not depend on the machine, and what makes no set of single pictures.
_GIVEN = ("steps", "guidance", "negative_prompt", "sampler", "eta", "seed", "width", "height", "image_strength")
_REFUSED = ("batch_size", "panorama", "window", "stride", "circular")


def check(picture: Picture, place: str) -> None:
    """Raises ValueError, one line that starts with ``place``, for settings that a set of the picture cannot have."""
    assert picture.set is not None
    own = checked(StyleAlignSettings, picture.set.settings, place)
    for name in (*_GIVEN, *_REFUSED):
        if name in own:
            said = "is the picture's own" if name in _GIVEN else "is nothing that a set in a recipe has"
            raise ValueError(f"{place}: {name} {said}")
    built = _settings(picture, place)
    if built.features == "auto":  # then the machine's memory would decide over last bits
        raise ValueError(f"{place}: features must be memory or recompute, not auto")
    if built.sharing(picture.set.reference != "prompt").full_attention_share:
        raise ValueError(f"{place}: full_attention_share makes a set depend on all its pictures; leave it off")
    if picture.set.reference == "prompt" and picture.start is not None:
        raise ValueError(f"{place}: a set that takes after its first prompt's picture starts from noise: start: null")


def evaluations(picture: Picture, default_sampler: str, is_reference: bool) -> Tuple[int, int]:
    """Of a picture, which may be its set's reference itself, and of what is done once a set."""
    assert picture.set is not None
    built, method = _settings(picture, "set"), sampler(picture.sampler or default_sampler)
    halves = 1 if picture.guidance == 1.0 else 2
    start = 0 if picture.start is None else picture.steps - int(picture.steps * picture.start.strength)
    own = method.calls(picture.steps, start) * halves
    of_prompt = picture.set.reference == "prompt"
    reference = method.calls(picture.steps, 0 if of_prompt else start) * halves
    path = method.calls(picture.steps) * (halves if of_prompt else 1 if built.inversion_guidance == 1.0 else 2)
    if built.features == "recompute":
        return 0 if is_reference else own + reference, path
    return 0 if is_reference else own, path + (0 if of_prompt else reference)  # a generation leaves its features


class Sets:
    """Makes pictures of sets, and keeps the last set."""

    def __init__(self, pipe: StableDiffusionPipeline) -> None:
        self._pipe = pipe
        self._key = ""
        self._method: Optional[StyleAlign] = None

    def picture(
        self, meaning: Mapping[str, Any], files: Mapping[str, str], start: Optional[Image.Image]
    ) -> Image.Image:
        """The picture of a task. Raises InputError where it is not finite."""
        method = self._set(meaning, files)
        if meaning["set"]["is_reference"]:
            return method.reference_images()[0]
        done = next(method.run([Target(meaning["prompt"], meaning["seed"], start)]))
        if done.image is None:
            raise InputError(done.error)
        return done.image

    def _set(self, meaning: Mapping[str, Any], files: Mapping[str, str]) -> StyleAlign:
        key = {name: value for name, value in meaning.items() if name not in ("prompt", "seed", "finish")}
        key["set"] = {name: value for name, value in meaning["set"].items() if name != "is_reference"}
        text = json.dumps(key, sort_keys=True)
        if self._method is None or text != self._key:
            self._method = None  # its features go before others come
            self._method, self._key = self._made(meaning, files), text
        return self._method

    def _made(self, meaning: Mapping[str, Any], files: Mapping[str, str]) -> StyleAlign:
        told = meaning["set"]["reference"]
        if "picture" in told:
            reference: Any = ImageReference(told["text"], images.open_image(Path(files[told["picture"]])))
        else:
            reference = TextReference(told["text"], told["seed"])
        values = {name: meaning[name] for name in _GIVEN if name in meaning and name != "seed"}
        if meaning["start"] is not None:
            values["image_strength"] = meaning["start"]["strength"]
        settings = build(StyleAlignSettings, _whole(meaning["set"]["settings"], values), "set.settings")
        return StyleAlign(self._pipe, settings, [reference])


def _settings(picture: Picture, place: str) -> StyleAlignSettings:
    assert picture.set is not None
    names = {field.name for field in fields(picture)} & set(_GIVEN) - {"seed"}
    return build(
        StyleAlignSettings, _whole(picture.set.settings, {name: getattr(picture, name) for name in names}), place
    )


def _whole(own: Mapping[str, Any], given: Mapping[str, Any]) -> Dict[str, Any]:
    """In batches of one; a set's features are kept unless its settings want them computed again."""
    return {"features": "memory", **own, **given, "batch_size": 1}


METHODS: Mapping[str, SetMethod] = {"style_align": SetMethod(check, evaluations)}
