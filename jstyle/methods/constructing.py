"""What a method's class is built from, looked at in one place: a pipeline of its kind, and settings of theirs."""

from __future__ import annotations

from typing import Any

from jstyle.errors import InputError
from jstyle.settings.reader import build, plain


def require_parts(method: str, pipe: Any, pipeline: type, settings: Any, kind: type) -> None:
    """Raise InputError unless a method is given a pipeline of that class, and settings of that kind that a file could
    hold: in Python a dataclass takes values of any type.

        require_parts("Imagic", pipe, StableDiffusionPipeline, settings, ImagicSettings)
    """
    if not isinstance(pipe, pipeline):
        raise InputError(
            f"{method} wants a pipeline, such as jstyle.{pipeline.__name__}.from_pretrained(...), not {_name(pipe)}"
        )
    if getattr(pipe.unet.config, "reads_guidance", False):  # ArtFusion's has no such thing
        raise InputError(
            f"{method} needs a model that answers for every level, and this one was distilled to a few steps: take the "
            "one that it was distilled from"
        )
    if not isinstance(settings, kind):
        raise InputError(f"{method} wants its settings as {kind.__name__}(...), not {_name(settings)}")
    try:
        values = plain(settings)
    except TypeError as error:
        raise InputError(f"{type(settings).__name__}: {error}") from None
    build(type(settings), values, type(settings).__name__)


def _name(given: object) -> str:
    """What was given, by its kind."""
    if given is None:
        return "None"
    return f"the class {given.__name__}" if isinstance(given, type) else f"a value of {type(given).__name__}"
