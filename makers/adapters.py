"""Trained additions to a model: loaders by kind. A loader attaches one for as long as its context lasts."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Mapping, Sequence

from jstyle.pipeline import StableDiffusionPipeline

Loader = Callable[[StableDiffusionPipeline, Path, float], "AbstractContextManager[None]"]
"""(pipeline, file, weight) -> a context in which it is part of the model; afterwards the model is as before."""

LOADERS: Dict[str, Loader] = {}
"""By the `kind` of a recipe's adapter."""


@contextmanager
def attached(
    pipe: StableDiffusionPipeline, adapters: Sequence[Mapping[str, Any]], files: Mapping[str, str]
) -> Iterator[None]:
    """All adapters of a task's meaning, in order."""
    with ExitStack() as stack:
        for adapter in adapters:
            loader = LOADERS[adapter["kind"]]
            stack.enter_context(loader(pipe, Path(files[adapter["file"]]), adapter["weight"]))
        yield
