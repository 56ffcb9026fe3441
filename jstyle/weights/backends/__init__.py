"""Where a pipeline's networks come from, by name: each module has ``load``, which gives ``checkpoint.Components``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from jstyle.errors import InputError
from jstyle.settings.model import ModelSettings

if TYPE_CHECKING:
    from jstyle.weights.checkpoint import Components

BACKENDS = {"native": "jstyle.weights.checkpoint", "jdiffusion": "jstyle.weights.backends.jdiffusion"}


def load(settings: ModelSettings) -> Components:
    """The networks of the model that settings name, as their backend runs them.

    Raises InputError for a backend that is unknown or not installed, and for anything wrong with the model.
    """
    if settings.backend not in BACKENDS:
        raise InputError(f"backend {settings.backend!r} is not known, only {' and '.join(BACKENDS)}")
    return import_module(BACKENDS[settings.backend]).load(settings)
