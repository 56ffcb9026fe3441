"""The models of runs: loaded when a run begins, or kept from the last one where a process makes picture after picture.

Importing this starts no Jittor.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Optional

from jstyle.adapters.put_on import hash_adapted
from jstyle.settings.model import NamesModel
from jstyle.table import load_attribute


def open_pipeline(model: NamesModel) -> Any:
    """The pipeline that settings name, which its user leaves as it was: loaded, or, inside of `kept_loaded`, the last
    one where the settings and the files are the same.

    Raises InputError as the class's ``from_settings`` does.
    """
    keeper = _keeper.get()
    return _load(model) if keeper is None else keeper.open(model)


@contextmanager
def kept_loaded() -> Iterator[Keeper]:
    """Inside, the model that was opened last stays in memory until another is; within another such `with`, as there."""
    keeper = _keeper.get() or Keeper()
    token = _keeper.set(keeper)
    try:
        yield keeper
    finally:
        _keeper.reset(token)


class Keeper:
    """At most one model, by its settings and what its files held."""

    def __init__(self) -> None:
        self.pipe: Any = None
        """The model in memory, None before the first."""
        self._key: Any = None

    def open(self, model: NamesModel) -> Any:
        """The model, the other one given back first."""
        described = load_attribute(model.describe)(model)
        key = (type(model), model, hash_adapted(described.model_hash, model), described.configuration)
        if key != self._key:
            from jstyle.runtime import jt

            self._key = self.pipe = None
            jt.gc()
            self.pipe, self._key = _load(model), key
        return self.pipe


def _load(model: NamesModel) -> Any:
    return load_attribute(model.pipeline).from_settings(model)


_keeper: ContextVar[Optional[Keeper]] = ContextVar("_keeper", default=None)
