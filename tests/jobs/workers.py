"""Workers for the tests: they compute nothing to speak of, and some die."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jstyle.errors import InputError
from jstyle.runtime.start_error import StartError


class Squarer:
    """Squares a number, and leaves in ``folder`` a file for each time it was built and each task it began."""

    def __init__(self, folder: str, plus: int = 0) -> None:
        self._folder = Path(folder)
        self._plus = plus
        (self._folder / f"built_{os.getpid()}").touch()

    def run(self, data: Mapping[str, Any]) -> dict[str, Any]:
        number = data["number"]
        begun = self._folder / f"begun_{number}_{os.getpid()}_{time.time_ns()}"
        begun.touch()
        time.sleep(data.get("sleep", 0.0))
        if data.get("die") == "always" or (data.get("die") == "once" and self._times_begun(number) == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        if data.get("wrong") == "input":
            raise InputError("the task's data is wrong")
        if data.get("wrong") == "defect":
            raise RuntimeError("a defect\nin two lines")
        if data.get("wrong") == "start":
            raise StartError("there is no compiler")
        print("a worker may print")
        cores = sorted(os.sched_getaffinity(0))
        return {"square": number**2 + self._plus, "process": os.getpid(), "cores": cores, "threads": _threads()}

    def _times_begun(self, number: int) -> int:
        return len(list(self._folder.glob(f"begun_{number}_*")))


class Unbuildable:
    """A worker that cannot be built."""

    def __init__(self) -> None:
        raise InputError("no model 'nowhere'")


class Unstartable:
    """A worker for which Jittor does not start."""

    def __init__(self) -> None:
        raise StartError("there is no compiler")


class Stillborn:
    """A worker whose process dies while it is built."""

    def __init__(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Overlap:
    """Says whether another task of its kind ran at the same time."""

    def __init__(self, folder: str) -> None:
        self._busy = Path(folder) / "busy"

    def run(self, data: Mapping[str, Any]) -> dict[str, Any]:
        overlap = self._busy.exists()
        self._busy.touch()
        time.sleep(0.4)
        self._busy.unlink(missing_ok=True)
        return {"overlap": overlap}


class Rehearsing:
    """Says whether another task ran at the same time; it rehearses, which takes its time too."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def rehearse(self, data: Mapping[str, Any]) -> None:
        with self._busy("rehearsal", 0.2) as others:
            (self._folder / f"rehearsed_{os.getpid()}_{bool(others)}").touch()
        if data.get("wrong"):
            raise InputError("the rehearsal went wrong")

    def run(self, data: Mapping[str, Any]) -> dict[str, Any]:
        with self._busy("task", 1.0) as others:
            return {"others": others}

    @contextlib.contextmanager
    def _busy(self, what: str, seconds: float) -> Iterator[list[str]]:
        own = self._folder / f"busy_{what}_{os.getpid()}"
        own.touch()
        time.sleep(seconds)
        yield [path.name for path in self._folder.glob("busy_*") if path != own]
        own.unlink()


class Patient:
    """Works for a minute, and writes down what it has done when it is told to end."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def run(self, data: Mapping[str, Any]) -> dict[str, Any]:
        def interrupt(number: int, frame: object) -> None:
            raise KeyboardInterrupt

        signal.signal(signal.SIGTERM, interrupt)
        (self._folder / f"begun_{data['number']}").touch()
        try:
            time.sleep(60 if data["number"] else 0.1)
        except KeyboardInterrupt:
            time.sleep(0.5)
            (self._folder / f"saved_{os.getpid()}").touch()
            raise
        return {}


def _threads() -> str:
    return os.environ.get("OMP_NUM_THREADS", "")
