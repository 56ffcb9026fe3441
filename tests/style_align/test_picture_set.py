"""Sets as recipes make them: a picture at a time, whatever came before, for what is planned."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Optional, Union

import numpy as np
import pytest
from PIL import Image

from jstyle.errors import InputError
from jstyle.events import Evaluated
from jstyle.methods.sets import ImageReference, PictureSet
from jstyle.pipelines.cost import CountingPipeline
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from style_align.picture_set import StyleAlignedSet
from tests.style_align.small import TRAIN, picture

Made = Iterable[Union[Evaluated, Image.Image]]


def provide(strength: Optional[float] = None) -> dict[str, Any]:
    """What a recipe's picture says itself."""
    values = {
        "steps": 4,
        "guidance": 5.0,
        "negative_prompt": "",
        "sampler": None,
        "eta": 0.0,
        "width": 48,
        "height": 48,
    }
    return values if strength is None else {**values, "image_strength": strength}


def open_set(pipe: StableDiffusionPipeline, reference: Any = TRAIN, **values: Any) -> PictureSet:
    of_picture = reference is not TRAIN
    provided = provide(0.5 if of_picture else None)
    settings = StyleAlignedSet.build_settings(values, provided, of_picture=of_picture)
    return StyleAlignedSet(pipe, settings, reference)


def last(made: Made) -> Image.Image:
    *events, image = made
    assert all(isinstance(event, Evaluated) and event.count > 0 for event in events)
    assert isinstance(image, Image.Image)
    return image


def evaluations(made: Made) -> int:
    return sum(event.count for event in made if isinstance(event, Evaluated))


@pytest.mark.parametrize(
    ("of_picture", "features", "expected"),
    [  # 4 guided steps, of which 2 run on a picture to start from; an inversion is guided too
        (False, "memory", (8 + 8, 8, 0)),
        (False, "recompute", (8 + 8, 8 + 8, 0)),
        (True, "memory", (8 + 4 + 4, 4, 0)),
        (True, "recompute", (8 + 4 + 4, 4 + 4, 0)),
        (True, None, (8 + 4 + 4, 4, 0)),
    ],
)
def test_a_picture_is_the_same_whatever_was_made_before(
    pipe: StableDiffusionPipeline, of_picture: bool, features: Optional[str], expected: tuple[int, ...]
) -> None:
    reference: Any = ImageReference("a train", picture(3)) if of_picture else TRAIN
    start = picture(4) if of_picture else None
    settings = {} if features is None else {"features": features}

    def make_three(pipe: StableDiffusionPipeline) -> list[list[Union[Evaluated, Image.Image]]]:
        pictures = open_set(pipe, reference, **settings)
        car, boat = (
            list(pictures.make(f"a toy {thing}", seed, start)) for seed, thing in enumerate(["car", "boat"], 1)
        )
        return [car, boat, list(pictures.make_reference())]

    made = make_three(pipe)
    assert tuple(map(evaluations, made)) == expected
    assert tuple(map(evaluations, make_three(CountingPipeline.like(pipe)))) == expected
    pictures = open_set(pipe, reference, **settings)
    assert last(pictures.make_reference()) == made[2][-1]
    assert last(pictures.make("a toy boat", 2, start)) == made[1][-1]
    assert last(pictures.make("a toy car", 1, start)) == made[0][-1] != made[1][-1]


def test_what_the_reference_has_left_serves_the_pictures(pipe: StableDiffusionPipeline) -> None:
    for features, of_car in (("memory", 8), ("recompute", 8 + 8)):
        pictures = open_set(pipe, features=features)
        assert evaluations(pictures.make_reference()) == 8
        assert evaluations(pictures.make("a toy car", 1, None)) == of_car


def test_a_picture_that_is_not_finite(pipe: StableDiffusionPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = pipe.decode_latents
    monkeypatch.setattr(pipe, "decode_latents", lambda x: decode(x) * np.nan)
    with pytest.raises(InputError, match="not finite"):
        list(open_set(pipe).make("a toy car", 1, None))


@pytest.mark.parametrize(
    ("settings", "strength", "of_picture", "said"),
    [
        ({"steps": 5}, None, True, "steps is the picture's own"),
        ({"image_strength": 0.5}, None, True, "image_strength is the picture's own"),
        ({"panorama": True}, None, True, "panorama is nothing that a set"),
        ({"controlnet": ["tiny"]}, None, True, "controlnet is nothing that a set"),
        ({"batch_size": 2}, None, True, "batch_size is nothing that a set"),
        ({"features": "auto"}, None, True, "memory or recompute"),
        ({"preset": "full_attention"}, None, True, "full_attention_share makes a set depend"),
        ({"presett": "sd"}, None, True, "presett"),
        ({"adain_keys": 3}, None, True, "adain_keys"),
        ({}, 0.5, False, "starts from noise"),
    ],
)
def test_settings_that_a_set_of_a_recipe_cannot_have(
    settings: dict[str, Any], strength: Optional[float], of_picture: bool, said: str
) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        StyleAlignedSet.build_settings(settings, provide(strength), of_picture=of_picture)
    assert "\n" not in str(caught.value)
    built = StyleAlignedSet.build_settings({"features": "recompute"}, provide(0.5), of_picture=True)
    assert (built.preset, built.sharing.shared_score_shift, built.sampling.image_strength) == (
        "image",
        math.log(2),
        0.5,
    )
