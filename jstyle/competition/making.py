"""The picture of a spec, made on a pipeline that has the spec's model and adapters."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
from PIL import Image

from jstyle.competition.methods import identify_nets
from jstyle.competition.references import choose_reference
from jstyle.competition.spec import FinishSpec, SetSpec, SubmissionPicture
from jstyle.errors import InputError
from jstyle.events import Evaluated, closing, exhaust
from jstyle.methods.pairs import Stylised
from jstyle.methods.sets import ImageReference, PictureSet, TextReference
from jstyle.methods.table import METHODS
from jstyle.pictures import images
from jstyle.pipelines.prompted import draw_prompted
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.pipelines.starts import FromPictures
from jstyle.table import load_attribute

Files = Mapping[str, Path]
"""Where files lie, by the hash of their content."""

Made = Iterator[Union[Evaluated, Image.Image]]
"""What has gone through the UNet, and the picture, last."""


class PictureMaker:
    """Makes pictures of specs, and keeps the last set: its next picture takes after the same reference."""

    def __init__(self, pipe: StableDiffusionPipeline) -> None:
        self._pipe = pipe
        self._set: Optional[PictureSet] = None
        self._set_spec: Optional[SubmissionPicture] = None

    def make(self, spec: SubmissionPicture, files: Files) -> Made:
        """The picture of a spec, last. Raises InputError where it is not finite."""
        start = None
        if spec.start is not None:
            start = mean_picture(open_pictures(spec.start.mean_of, files), (spec.width, spec.height))
        if spec.set is None:
            picture = yield from _pass_events(self._sample(spec, start))
        else:
            picture = yield from _pass_events(self._make_of_set(spec, spec.set, files, start))
        if spec.finish is not None:
            picture = yield from _pass_events(self._finish(spec, spec.finish, files, picture))
        yield picture

    def _sample(self, spec: SubmissionPicture, start: Optional[Image.Image]) -> Made:
        begin = None
        if spec.start is not None and start is not None:
            begin = FromPictures(start, spec.start.strength)
        yield (yield from draw_prompted(self._pipe, spec, begin))

    def _make_of_set(
        self, spec: SubmissionPicture, set_spec: SetSpec, files: Files, start: Optional[Image.Image]
    ) -> Made:
        common = set_of(spec)
        if self._set is None or common != self._set_spec:
            self._set = None  # its features go before others come
            self._set, self._set_spec = self._open_set(set_spec, files), common
        if set_spec.is_reference:
            return self._set.make_reference()
        return self._set.make(spec.prompt, spec.seed, start)

    def _open_set(self, set_spec: SetSpec, files: Files) -> PictureSet:
        if set_spec.picture is not None:
            reference: Any = ImageReference(set_spec.prompt, images.open_image(files[set_spec.picture]))
        else:
            assert set_spec.seed is not None, "a reference is a picture or has a seed"
            reference = TextReference(set_spec.prompt, set_spec.seed)
        picture_set = load_attribute(METHODS[set_spec.method].picture_set or "")
        return picture_set(self._pipe, set_spec.settings, reference)

    def _finish(self, spec: SubmissionPicture, finish: FinishSpec, files: Files, picture: Image.Image) -> Made:
        """The picture as content, a reference as style."""
        if identify_nets(finish.settings) != finish.nets:
            raise InputError("a ControlNet is another than when this was planned; run the command again")
        references = open_pictures(finish.references, files)
        reference = choose_reference(finish.reference, references, picture, spec.seed)
        stylise = load_attribute(METHODS[finish.method].stylise or "")
        with closing(stylise(self._pipe, finish.settings).stylise_pairs([picture], [reference])) as events:
            for event in events:
                if not isinstance(event, Stylised):
                    yield event
                elif event.image is None:
                    raise InputError(event.error)
                else:
                    yield event.image


def set_of(spec: SubmissionPicture) -> SubmissionPicture:
    """What the pictures of a set have in common."""
    assert spec.set is not None
    return replace(spec, prompt="", seed=0, finish=None, set=replace(spec.set, is_reference=False))


def mean_picture(pictures: Sequence[Image.Image], size: tuple[int, int]) -> Image.Image:
    """The pixelwise mean of pictures, each cropped and scaled to (width, height)."""
    pixels = [np.asarray(images.fit(picture, *size), np.float64) for picture in pictures]
    return Image.fromarray(np.rint(np.mean(pixels, axis=0)).astype(np.uint8))


def open_pictures(hashes: Iterable[str], files: Files) -> list[Image.Image]:
    """The pictures of these hashes, in order."""
    return [images.open_image(files[name]) for name in hashes]


def take_picture(made: Made) -> Image.Image:
    """Run to the end. Returns the picture."""
    return exhaust(_pass_events(made))


def _pass_events(made: Made) -> Generator[Evaluated, None, Image.Image]:
    """Yield what is not the picture; returns the picture."""
    picture = None
    with closing(made):
        for event in made:
            if isinstance(event, Image.Image):
                picture = event
            else:
                yield event
    assert picture is not None, "a run ends with its picture"
    return picture
