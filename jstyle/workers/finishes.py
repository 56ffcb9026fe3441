"""Methods that turn a finished picture into another, in the style of one of the references."""

from __future__ import annotations

import random
from typing import Any, Mapping, Sequence

import numpy as np
from PIL import Image
from styleid.transfer import Transfer

from jstyle.competition.fields import build
from jstyle.competition.recipe import FinishMethod
from jstyle.errors import InputError
from jstyle.metrics import hist
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from styleid.settings import StyleIDSettings

_GIVEN = ("width", "height", "batch_size")


def styleid_settings(settings: Mapping[str, Any], place: str) -> StyleIDSettings:
    """A recipe's settings of StyleID. Raises ValueError, one line that starts with ``place``."""
    built = build(StyleIDSettings, settings, place)
    if built.features == "disk":  # gigabytes a picture, which no other picture would read
        raise ValueError(f"{place}: features must be memory or recompute, not disk")
    return built


def styleid_evaluations(settings: Mapping[str, Any]) -> int:
    """Two inversions and the stylisation; features that are computed again take more of both inversions."""
    built = styleid_settings(settings, "StyleID")
    sampling = built.steps - int(built.skip_first_step)
    again = 2 * sampling if built.features == "recompute" and built.injection else 0
    return 2 * built.steps + sampling + again


def styleid(
    pipe: StableDiffusionPipeline, picture: Image.Image, reference: Image.Image, settings: Mapping[str, Any]
) -> Image.Image:
    """The picture as content, the reference as style. Raises InputError where the result is not finite."""
    width, height = picture.size
    built = styleid_settings({**settings, "width": width, "height": height}, "StyleID")
    done = next(Transfer(pipe, built).run([picture], [reference]))
    if done.image is None:
        raise InputError(done.error)
    return done.image


METHODS: Mapping[str, FinishMethod] = {"styleid": FinishMethod(styleid_settings, styleid_evaluations, _GIVEN)}
APPLY = {"styleid": styleid}


def chosen(rule: str, references: Sequence[Image.Image], picture: Image.Image, seed: int) -> Image.Image:
    """The reference that a rule picks: first, random (by the picture's seed), nearest (the likest colours)."""
    if rule == "random":
        return references[random.Random(f"reference {seed}").randrange(len(references))]
    if rule == "nearest":
        own = hist.histograms(np.asarray(picture), corrected=True)
        likeness = [hist.similarity(own, hist.histograms(np.asarray(one), corrected=True)) for one in references]
        return references[int(np.argmax(likeness))]
    return references[0]
