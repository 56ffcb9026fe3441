"""ControlNets of a method's run: located and looked at before it, told in what a picture is, loaded with their maps."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from jstyle.errors import InputError
from jstyle.events import Remark
from jstyle.files import hash_files
from jstyle.networks import ControlNetModel
from jstyle.pictures import images
from jstyle.pictures.control_maps import make_map
from jstyle.pictures.fitting import Size
from jstyle.pictures.spec import ControlSubject
from jstyle.pipelines.controls import Controls, ShownControl, check_net
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.settings.control import ControlSettings
from jstyle.settings.model import ModelSettings
from jstyle.settings.vocabulary import Backend, Fit
from jstyle.weights.control_files import NetFiles, locate_net

SHAPES_DIFFER = 0.02  # of the aspects' logarithms: more than rounding to whole pixels

Map = TypeVar("Map")
"""A map, or what names it."""


def locate_nets(
    settings: ControlSettings, pipe: StableDiffusionPipeline, backend: Backend = "native"
) -> list[NetFiles]:
    """The nets that settings name, for a model; ``backend`` is that of one that is not loaded yet.

    Raises InputError for a net that is not there or not this model's.
    """
    if settings.controlnet and backend != "native":
        raise InputError(f"backend {backend} takes no ControlNet: leave backend at native")
    nets = [locate_net(name) for name in settings.controlnet]
    for net in nets:
        check_net(net.config, pipe)
    return nets


def deal_maps(maps: Sequence[Map], nets: int, pictures: int = 1) -> list[Sequence[Map]]:
    """Each net's maps of those of all, net by net: one for all of so many pictures, or one each.

    Raises InputError for other numbers of them.
    """
    if len(maps) in (nets, nets * pictures):
        each = len(maps) // max(nets, 1)
        return [maps[net * each : (net + 1) * each] for net in range(nets)]
    if not nets:
        raise InputError("a map steers by a ControlNet: give --controlnet for each --control, or leave --control out")
    shown = f"{len(maps)} maps for {nets} ControlNets"
    if pictures == 1:
        raise InputError(f"{shown}: give a --controlnet for each --control, and a --control for each --controlnet")
    raise InputError(
        f"{shown} and {pictures} pictures: give each net one --control for all pictures, or one each, net by net"
    )


def list_control_subjects(
    nets: Sequence[NetFiles], maps: Sequence[Sequence[Path]], pictures: int = 1
) -> list[tuple[ControlSubject, ...]]:
    """What each of so many pictures says of the nets and of the files that their maps are, or are made of.

    ``maps`` are each net's, as `deal_maps` deals them.
    """
    if not nets:
        return [()] * pictures
    columns = []
    for net, paths in zip(nets, maps):
        identity = net.identity
        column = [ControlSubject(identity, hash_files([path]), str(path)) for path in paths]
        columns.append(column * (pictures // len(column)))
    return list(zip(*columns))


def open_controls(
    pipe: StableDiffusionPipeline,
    settings: ControlSettings,
    nets: Sequence[NetFiles],
    pictures: Sequence[Sequence[Image.Image]],
    size: Size,
    how: Fit = "crop",
) -> Controls:
    """The nets, loaded, with the maps of that (width, height) that are made of each one's pictures, or are these."""
    fitted = [[images.fit(picture, *size, how) for picture in given] for given in pictures]
    return show_maps(settings, [pipe.open_net(net) for net in nets], fitted)


def show_maps(
    settings: ControlSettings, nets: Sequence[ControlNetModel], pictures: Sequence[Sequence[Image.Image]]
) -> Controls:
    """The nets with the maps that are made of each one's pictures, or are these."""
    shown = []
    for choice, net, given in zip(settings.list_choices(), nets, pictures):
        maps = given if choice.preprocess is None else [make_map(picture, choice.preprocess) for picture in given]
        shown.append(ShownControl(net, tuple(maps), choice.scale, choice.start, choice.end))
    return Controls(tuple(shown), settings.guess_mode)


@dataclass(frozen=True)
class PairControls:
    """Of a method that puts contents into styles: what each content's pictures say of nets and maps, and the maps that
    are given. Without any, maps are made of the contents.
    """

    subjects: Sequence[tuple[ControlSubject, ...]]
    maps: Sequence[Image.Image]


def steer_contents(
    inputs: Any, settings: Any, model: ModelSettings, pipe: StableDiffusionPipeline, contents: Sequence[Path]
) -> Generator[Remark, None, PairControls]:
    """What steers the contents: ``settings.controls``, by maps of ``inputs.control``, or else of the contents.

    Raises InputError for other numbers of maps, and for nets that are not there or not this model's.
    """
    count, remarks = len(settings.controls.controlnet), list[str]()
    made_of = deal_maps(inputs.control or [*contents] * count, count, len(contents))
    nets = locate_nets(settings.controls, pipe, model.backend)
    maps = [images.open_image(path, remarks.append) for path in inputs.control]
    yield from map(Remark, remarks)
    return PairControls(list_control_subjects(nets, made_of, len(contents)), maps)


def require_shape(what: str, size: Size, wanted: Size, of: str) -> None:
    """Raise InputError unless two (width, height) are of one shape, but for rounding to pixels."""
    if abs(math.log(wanted[0] / wanted[1] * size[1] / size[0])) > SHAPES_DIFFER:
        shown = f"the {what} is {size[0]}x{size[1]} and its {of} {wanted[0]}x{wanted[1]}"
        raise InputError(f"{shown}: give a {what} of the {of}'s shape")
