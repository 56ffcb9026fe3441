"""What was taught, in any of the ways there are, put on a model for a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from jstyle.errors import InputError
from jstyle.pictures.spec import AdapterSpec
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.settings.messages import suggest
from jstyle.table import load_attribute
from jstyle.training.teaching.table import TEACHINGS


@contextmanager
def attach_all(
    pipe: StableDiffusionPipeline, adapters: Sequence[AdapterSpec], files: Mapping[str, Path]
) -> Iterator[None]:
    """All of them are part of the model, in this order, while this is open; afterwards it is as it was.

    ``files`` says where each lies, by its identity. Raises InputError for a kind, a file or a weight that there is not.
    """
    with ExitStack() as stack:
        for adapter in adapters:
            teaching = TEACHINGS.get(adapter.kind)
            if teaching is None or teaching.attach is None:
                known = [name for name, other in TEACHINGS.items() if other.attach is not None]
                raise InputError(f"there is no kind of adapter {adapter.kind!r} ({suggest(adapter.kind, known)})")
            attach = load_attribute(teaching.attach)
            stack.enter_context(attach(pipe, files[adapter.identity], adapter.weight))
        yield
