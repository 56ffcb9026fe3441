"""What something trained is, that a picture's model has beside its weights."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AdapterSpec:
    """An adapter on a model: how it was taught, and by what it is known. Its file travels beside the spec."""

    kind: str
    """The way of teaching (`jstyle.training.teaching.table.TEACHINGS`) that knows how to attach it."""

    identity: str
    """The hash of its file, or the identity of the training that makes it."""

    weight: float = 1.0
    """How much of it is added."""
