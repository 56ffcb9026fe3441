"""Pictures that are known by a subject and a file of their own: what is finished is skipped, the rest made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Optional, Union

import numpy as np
from PIL import Image

from jstyle.errors import InputError
from jstyle.events import Evaluated, Event, PictureFound, Planned, Remark, closing
from jstyle.methods.pairs import NOT_FINITE, publish
from jstyle.pictures import images
from jstyle.pictures.finished import is_finished
from jstyle.pictures.spec import PictureSpec
from jstyle.pipelines.cost import CountingPipeline, count_evaluations
from jstyle.pipelines.opening import open_pipeline
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.settings.model import ModelSettings
from jstyle.settings.paths import describe_output

Making = Iterator[Union[Evaluated, tuple[int, Optional[Image.Image]]]]
"""(number, picture) of each made, None in place of one that is not finite; and what has gone through the UNet."""

Make = Callable[[StableDiffusionPipeline, Sequence[int]], Making]
"""(pipe, numbers) -> the pictures of these numbers."""


def run_pictures(
    specs: Mapping[Path, PictureSpec],
    make: Make,
    counting: CountingPipeline,
    model: ModelSettings,
    output: Path,
    *,
    overwrite: bool,
) -> Iterator[Event]:
    """Make the pictures that are not there yet, each in its file. The model is loaded where there are any.

    Raises InputError where a picture's file is something else.
    """
    paths = list(specs)
    unfinished = [
        number for number, path in enumerate(paths) if not is_finished(path, specs[path], overwrite=overwrite)
    ]
    evaluations = count_evaluations(lambda pipe: make(pipe, unfinished), counting)
    yield from (PictureFound(path) for number, path in enumerate(paths) if number not in unfinished)
    yield Planned(len(specs), len(specs) - len(unfinished), evaluations)
    with closing(make(open_pipeline(model), unfinished) if unfinished else ()) as events:
        for event in events:
            if isinstance(event, Evaluated):
                yield event
                continue
            number, picture = event
            yield publish(picture, paths[number], specs[paths[number]], overwrite=overwrite)
    yield Remark(describe_output(output))


def take_first(making: Making) -> Image.Image:
    """The first picture of a run. Raises InputError where it is not finite."""
    with closing(making) as events:
        _, picture = next(event for event in events if not isinstance(event, Evaluated))
    if picture is None:
        raise InputError(NOT_FINITE)
    return picture


def decode_picture(pipe: StableDiffusionPipeline, latents: jt.Var) -> Optional[Image.Image]:
    """The picture of one latent (1, channels, height, width), None where it is not finite."""
    decoded = pipe.decode_latents(latents)
    return images.to_images(decoded)[0] if np.isfinite(decoded).all() else None
