"""The methods that a recipe may ask for, all of them the table's, and whether they can do what it wants."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from jstyle.competition.dataset import Style
from jstyle.competition.settings import AdapterSettings, FinishSettings, PictureSettings
from jstyle.methods.table import METHODS, Method
from jstyle.settings.control import ControlSettings
from jstyle.settings.fields import require
from jstyle.settings.messages import suggest
from jstyle.settings.reader import build, plain
from jstyle.settings.vocabulary import DRAWN
from jstyle.table import load_attribute
from jstyle.training.many_styles.spec import build_settings
from jstyle.training.teaching.table import list_attachable
from jstyle.weights.control_files import locate_net

Size = tuple[int, int]
"""(width, height) in pixels."""

_SIZE = ("width", "height")
_REFUSED = (*_SIZE, "batch_size")
_THE_PICTURES = ("steps", "guidance", "negative_prompt", "sampler", "sigmas", "eta")
"""What a picture says of the set that it belongs to."""


def list_finishes() -> dict[str, Method]:
    """The methods that can finish a picture: those that put a content into a style."""
    return {name: method for name, method in METHODS.items() if method.stylise is not None}


def list_set_methods() -> dict[str, Method]:
    """The methods that can make a style's pictures as a set."""
    return {name: method for name, method in METHODS.items() if method.picture_set is not None}


def build_finish(finish: FinishSettings, size: Size, place: str) -> Any:
    """The method's settings for pictures of that size. Raises ValueError, one line that starts with ``place``."""
    method = list_finishes().get(finish.method)
    if method is None:
        raise ValueError(f"{place}: {describe_unknown('finishing method', finish.method, list_finishes())}")
    place = f"{place}: finish.settings"
    for name in _REFUSED:
        require(name not in finish.settings, f"{place}: {name} is the job's own")
    drawn = finish.settings.get("seed") == DRAWN
    require(not drawn, f"{place}: seed must be a number, not {DRAWN}: a later run must make the same pictures")
    names = {field.name for field in fields(method.settings)}
    sides = {name: side for name, side in zip(_SIZE, size) if name in names}
    settings = build(method.settings, {**finish.settings, **sides}, place)
    if method.check_finish is not None:
        _call_at(place, load_attribute(method.check_finish), settings)
    return settings


def build_set(picture: PictureSettings, size: Size, place: str) -> Any:
    """The set method's settings for pictures of that size.

    Raises ValueError, one line that starts with ``place``, for a set that a picture cannot belong to.
    """
    assert picture.set is not None
    method = list_set_methods().get(picture.set.method)
    if method is None:
        raise ValueError(f"{place}: {describe_unknown('set method', picture.set.method, list_set_methods())}")
    provided: dict[str, Any] = {name: getattr(picture, name) for name in _THE_PICTURES}
    provided.update(zip(_SIZE, size))
    provided.update(plain(picture.reading))
    if picture.start is not None:
        provided["image_strength"] = picture.start.strength
    build_settings = load_attribute(method.picture_set or "").build_settings
    of_picture = picture.set.reference != "prompt"
    return _call_at(f"{place}: set.settings", build_settings, picture.set.settings, provided, of_picture=of_picture)


def name_nets(settings: Any) -> tuple[str, ...]:
    """The ControlNets that a method's settings name."""
    return getattr(settings, "controls", ControlSettings()).controlnet


def identify_nets(settings: Any) -> tuple[str, ...]:
    """Their digests. Raises InputError for one that is not there."""
    return tuple(locate_net(name).identity for name in name_nets(settings))


def check_adapter(adapter: AdapterSettings, style: Style, place: str) -> None:
    """Raise ValueError, one line that starts with ``place``, for an adapter that there is not, or cannot be trained."""
    kinds = list_attachable()
    teaching = kinds.get(adapter.kind)
    if adapter.train is None:
        require(teaching is not None, f"{place}: {describe_unknown('adapter kind', adapter.kind, kinds)}")
        file = Path((adapter.file or "").format(style=style.number))
        require(file.is_file(), f"{place}: the adapter {str(file)!r} is not there")
        return
    if teaching is None:
        raise ValueError(f"{place}: {describe_unknown('training method', adapter.kind, kinds)}")
    provided = {"data": list(style.references), "output": Path(), "width": None, "height": None}
    build_settings(teaching, adapter.train, provided, f"{place}: adapters.train", style.number)


def describe_unknown(what: str, name: str, known: Iterable[str]) -> str:
    """That there is no such thing, and which there are."""
    return f"no {what} {name!r} ({suggest(name, known)})"


def _call_at(place: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call a function; its ValueError begins with the place."""
    try:
        return function(*arguments, **options)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error
