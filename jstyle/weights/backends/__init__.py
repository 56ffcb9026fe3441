"""Where a pipeline's networks come from, by name: each module has ``load``, which gives ``checkpoint.Components``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Optional

from jstyle.errors import InputError

if TYPE_CHECKING:
    from jstyle.weights.checkpoint import Components

BACKENDS = {"native": "jstyle.weights.checkpoint", "jdiffusion": "jstyle.weights.backends.jdiffusion"}


def load(
    model: str,
    *,
    backend: str = "native",
    revision: Optional[str] = None,
    variant: Optional[str] = None,
    precision: str = "fp32",
) -> Components:
    """The networks of a folder, a hub id or "tiny", as ``backend`` runs them.

    Raises InputError for a backend that is unknown or not installed, and for anything wrong with the model.
    """
    if backend not in BACKENDS:
        raise InputError(f"backend {backend!r} is not known, only {' and '.join(BACKENDS)}")
    return import_module(BACKENDS[backend]).load(model, revision=revision, variant=variant, precision=precision)
