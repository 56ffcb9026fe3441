"""Styles: single pictures, or several that are taken together with weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Union

from PIL import Image

from jstyle.errors import InputError
from jstyle.files import hash_files
from jstyle.methods.attention_distillation.method import StyleLatents
from jstyle.methods.attention_distillation.settings import Distillation, require_weights
from jstyle.pictures import images
from jstyle.pictures.fitting import Frame
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.settings.fields import require
from jstyle.settings.identity import digest


@dataclass(frozen=True)
class StyleMix:
    """Pictures whose styles are taken together; a weight of 2 is as if a picture came twice.

    Raises ValueError for weights that are not positive or not one each.
    """

    pictures: Sequence[Image.Image]
    weights: Sequence[float]

    def __post_init__(self) -> None:
        require(len(self.pictures) > 0, "a mix must have at least one picture")
        require(
            len(self.pictures) == len(self.weights),
            f"a mix must have a weight for each picture: {len(self.weights)} for {len(self.pictures)}",
        )
        require_weights(self.weights)


Style = Union[Image.Image, StyleMix]


@dataclass(frozen=True)
class NamedStyle:
    """A style of a run: ``path`` is the picture's file, of a mix the names of all, ``digest`` what stands for it."""

    path: Path
    digest: str
    style: Style


@dataclass(frozen=True)
class _Mixed:
    """What a mix is, by the hashes of its files."""

    styles: tuple[str, ...]
    weights: tuple[float, ...]


def name_styles(pictures: Mapping[Path, Image.Image], weights: Sequence[float]) -> list[NamedStyle]:
    """The styles of a run: each picture by itself, or with ``weights`` all as one.

    Raises InputError where there are not as many weights as pictures.
    """
    hashes = tuple(hash_files([path]) for path in pictures)
    if not weights:
        return [NamedStyle(path, known, pictures[path]) for path, known in zip(pictures, hashes)]
    if len(weights) != len(pictures):
        raise InputError(f"mix has {len(weights)} weights for {len(pictures)} styles: give one each")
    name = Path("+".join(path.stem for path in pictures))
    mix = StyleMix(list(pictures.values()), tuple(weights))
    return [NamedStyle(name, digest(_Mixed(hashes, tuple(weights))), mix)]


def show_style(style: Style) -> Image.Image:
    """The picture that stands for a style on a sheet: of a mix the one that weighs most."""
    if isinstance(style, StyleMix):
        return max(zip(style.weights, style.pictures), key=lambda pair: pair[0])[1]
    return style


def make_style_frame(pipe: StableDiffusionPipeline, settings: Distillation) -> Frame:
    """How styles come to their own size, whatever the size of what is made."""
    return pipe.make_frame(settings.style_size, settings.style_size, settings.fit)


def encode_style(pipe: StableDiffusionPipeline, style: Style, frame: Frame) -> StyleLatents:
    """The clean latents of a style's pictures, brought to the frame's size."""
    mix = style if isinstance(style, StyleMix) else StyleMix([style], [1.0])
    latents = [encode_pictures(pipe, [frame.fit(picture)]) for picture in mix.pictures]
    return StyleLatents(latents, mix.weights)


def encode_pictures(pipe: StableDiffusionPipeline, pictures: Sequence[Image.Image]) -> jt.Var:
    """The clean latents of pictures of one size, (pictures, channels, height, width)."""
    return pipe.encode_images(jt.array(images.to_array(pictures)))
