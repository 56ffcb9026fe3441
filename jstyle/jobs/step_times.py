"""How long one latent takes through the UNet on this machine, as earlier jobs measured it."""

from __future__ import annotations

import json
import platform
import statistics
from pathlib import Path
from typing import Dict, List, Optional

from jstyle.competition.settings import Model
from jstyle.files import write_text
from jstyle.ops.kernels.build import cache_folder
from jstyle.weights.description import Checkpoint


class StepTimes:
    """Seconds per evaluation, kept in the user's cache by machine, checkpoint, size, precision and backend."""

    def __init__(self, checkpoint: Checkpoint, model: Model, workers: int, file: Optional[Path] = None) -> None:
        self._file = file or cache_folder() / "step_times.json"
        width, height = checkpoint.size
        machine = f"{platform.node()}, {workers or 'no'} workers"
        self._key = f"{machine}, {checkpoint.hash[:16]}, {width}x{height}, {model.precision}, {model.backend}"
        self._measured: List[float] = []

    def known(self) -> Optional[float]:
        """Seconds that a worker takes for one evaluation, all else included, or None where none was measured."""
        return self._read().get(self._key)

    def add(self, seconds: float, evaluations: int) -> None:
        """A picture that one worker has made."""
        self._measured.append(seconds / evaluations)

    def save(self) -> None:
        """Keep the median of what was added: the first pictures may have compiled kernels."""
        if self._measured:
            kept = {**self._read(), self._key: statistics.median(self._measured)}
            write_text(self._file, json.dumps(kept, indent=1) + "\n")

    def _read(self) -> Dict[str, float]:
        try:
            kept = json.loads(self._file.read_text("utf-8"))
        except (OSError, ValueError):  # nothing was measured, or the file is damaged and will be replaced
            return {}
        return kept if isinstance(kept, dict) else {}
