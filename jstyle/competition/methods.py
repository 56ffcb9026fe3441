"""The methods that a recipe may ask for, all of them the table's, and whether they can do what it wants."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any, Union

from jstyle.competition.dataset import Style
from jstyle.competition.settings import AdapterSettings, FinishSettings, PictureSettings
from jstyle.competition.spec import SubmissionPicture
from jstyle.methods.sets import SetSampling
from jstyle.methods.table import METHODS, Method
from jstyle.settings.fields import require
from jstyle.settings.reader import build
from jstyle.table import load_attribute
from jstyle.training.many_styles.spec import build_settings
from jstyle.training.teaching.table import TEACHINGS, Teaching

Size = tuple[int, int]
"""(width, height) in pixels."""

_SIZE = ("width", "height")
_REFUSED = (*_SIZE, "batch_size")


def list_finishes() -> dict[str, Method]:
    """The methods that can finish a picture: those that put a content into a style."""
    return {name: method for name, method in METHODS.items() if method.stylise is not None}


def list_set_methods() -> dict[str, Method]:
    """The methods that can make a style's pictures as a set."""
    return {name: method for name, method in METHODS.items() if method.picture_set is not None}


def list_adapters() -> dict[str, Teaching]:
    """The ways of teaching whose results can be attached to a model."""
    return {name: teaching for name, teaching in TEACHINGS.items() if teaching.attach is not None}


def build_finish(finish: FinishSettings, size: Size, place: str) -> Any:
    """The method's settings for pictures of that size. Raises ValueError, one line that starts with ``place``."""
    method = list_finishes().get(finish.method)
    if method is None:
        raise ValueError(f"{place}: {describe_unknown('finishing method', finish.method, list_finishes())}")
    place = f"{place}: finish.settings"
    for name in _REFUSED:
        require(name not in finish.settings, f"{place}: {name} is the job's own")
    names = {field.name for field in fields(method.settings)}
    sides = {name: side for name, side in zip(_SIZE, size) if name in names}
    settings = build(method.settings, {**finish.settings, **sides}, place)
    if method.check_finish is not None:
        _check_at(place, load_attribute(method.check_finish), settings)
    return settings


def check_set(picture: PictureSettings, size: Size, place: str) -> None:
    """Raise ValueError, one line that starts with ``place``, for a set that a picture cannot belong to."""
    assert picture.set is not None
    method = list_set_methods().get(picture.set.method)
    if method is None:
        raise ValueError(f"{place}: {describe_unknown('set method', picture.set.method, list_set_methods())}")
    sampling, of_picture = make_set_sampling(picture, size), picture.set.reference != "prompt"
    check = load_attribute(method.picture_set or "").check
    _check_at(f"{place}: set.settings", check, picture.set.settings, sampling, of_picture=of_picture)


def check_adapter(adapter: AdapterSettings, style: Style, place: str) -> None:
    """Raise ValueError, one line that starts with ``place``, for an adapter that there is not, or cannot be trained."""
    teaching, kinds = list_adapters().get(adapter.kind), list_adapters()
    if adapter.train is None:
        require(teaching is not None, f"{place}: {describe_unknown('adapter kind', adapter.kind, kinds)}")
        file = Path((adapter.file or "").format(style=style.number))
        require(file.is_file(), f"{place}: the adapter {str(file)!r} is not there")
        return
    if teaching is None:
        raise ValueError(f"{place}: {describe_unknown('training method', adapter.kind, kinds)}")
    provided = {"data": list(style.references), "output": Path(), "width": None, "height": None}
    build_settings(teaching, adapter.train, provided, f"{place}: adapters.train", style.number)


def make_set_sampling(picture: Union[PictureSettings, SubmissionPicture], size: Size) -> SetSampling:
    """What a picture says of the set that it belongs to."""
    return SetSampling(
        steps=picture.steps,
        guidance=picture.guidance,
        negative_prompt=picture.negative_prompt,
        sampler=picture.sampler,
        eta=picture.eta,
        width=size[0],
        height=size[1],
        start_strength=None if picture.start is None else picture.start.strength,
    )


def describe_unknown(what: str, name: str, known: Iterable[str]) -> str:
    """That there is no such thing, and which there are."""
    return f"no {what} {name!r} (there are: {', '.join(known) or 'none'})"


def _check_at(place: str, check: Callable[..., object], *arguments: Any, **options: Any) -> None:
    """Call a check; its ValueError begins with the place."""
    try:
        check(*arguments, **options)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error
