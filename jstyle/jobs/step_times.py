"""How long one latent takes through the UNet on this machine, as earlier runs measured it."""

from __future__ import annotations

import json
import platform
import statistics
from pathlib import Path
from typing import Optional

from jstyle.errors import InputError
from jstyle.files import write_text
from jstyle.runtime.cache import cache_folder
from jstyle.settings.json_files import read_json


def describe_duration(seconds: float) -> str:
    """A duration for people, to the minute where it is longer."""
    minutes = round(seconds / 60)
    if minutes == 0:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


class StepTimes:
    """Seconds per evaluation, kept in the user's cache by machine, number of workers and ``subject``: all else that
    decides over them, in words.
    """

    def __init__(self, subject: str, workers: int, file: Optional[Path] = None) -> None:
        self._file = file or cache_folder() / "step_times.json"
        self._key = f"{platform.node()}, {workers or 'no'} workers, {subject}"
        self._measured: list[float] = []

    def read(self) -> Optional[float]:
        """Seconds that a worker takes for one evaluation, all else included, or None where none was measured."""
        return self._read_all().get(self._key)

    def add(self, seconds: float, evaluations: int) -> None:
        """A picture that one worker has made; one without evaluations tells nothing."""
        if evaluations:
            self._measured.append(seconds / evaluations)

    def save(self) -> None:
        """Keep the median of what was added: the first pictures may have compiled kernels."""
        if self._measured:
            kept = {**self._read_all(), self._key: statistics.median(self._measured)}
            write_text(self._file, json.dumps(kept, indent=1) + "\n")

    def _read_all(self) -> dict[str, float]:
        try:
            kept = read_json(self._file)
        except InputError:  # nothing was measured, or the file is damaged and will be replaced
            return {}
        items = kept.items() if isinstance(kept, dict) else ()
        return {key: float(seconds) for key, seconds in items if isinstance(seconds, (int, float))}
