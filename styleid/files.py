"""The files of a StyleID run: pictures in, one PNG a pair and a contact sheet out."""

from __future__ import annotations

from pathlib import Path
from typing import Mapping, Sequence

from jstyle.methods import pairs

# How features are kept, and how many go together, do not change what a picture is meant to be.
_WITHOUT_MEANING = frozenset({"features", "batch_size"})


class Job(pairs.Job):
    """A run's pairs; ``metadata`` are its settings and its model."""

    def __init__(
        self, folder: Path, contents: Sequence[Path], styles: Sequence[Path], metadata: Mapping[str, object]
    ) -> None:
        super().__init__(folder, contents, styles, {"method": "StyleID", **metadata}, _WITHOUT_MEANING)
