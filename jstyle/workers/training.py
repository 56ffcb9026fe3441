"""The worker that teaches styles."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from jstyle.files import locked
from jstyle.runtime import jt
from jstyle.table import load_attribute
from jstyle.training.many_styles import record
from jstyle.training.many_styles.spec import TrainingSpec, read_spec, shorten
from jstyle.training.teaching.table import TEACHINGS


class TrainingWorker:
    """Teaches a style a task; a task's data is a plain `TrainingSpec` whose settings say where the result goes.

    Each training writes what happens to its own log. ``quiet`` shows nothing else: for processes beside others.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet

    def rehearse(self, data: Mapping[str, Any]) -> None:
        """One step of this kind of training, its result thrown away, so that all its kernels are compiled."""
        spec = read_spec(data)
        place = spec.settings.output
        folder = place / "rehearsal"
        try:
            with _alone(place), _logged(place, self._quiet):
                shutil.rmtree(folder, ignore_errors=True)  # what a killed rehearsal has left
                _find_train(spec)(replace(shorten(spec.settings), output=folder))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            jt.gc()

    def run(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Train to the end, from the last checkpoint if there is one. Returns the hash of the result."""
        spec = read_spec(data)
        folder = spec.settings.output
        result = folder / TEACHINGS[spec.teaching].result
        with _alone(folder), _logged(folder, self._quiet):
            start = time.perf_counter()
            record.begin(folder, result, spec)
            _find_train(spec)(spec.settings)
            jt.gc()
            content = record.finish(folder, result, spec, time.perf_counter() - start)
        return {"hash": content}


def _find_train(spec: TrainingSpec) -> Callable[[Any], Path]:
    return load_attribute(TEACHINGS[spec.teaching].train)


def _alone(folder: Path) -> AbstractContextManager[None]:
    """One process trains in a folder at a time; one whose job was killed may be writing its last checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    return locked(folder / ".lock")


@contextlib.contextmanager
def _logged(folder: Path, quiet: bool) -> Iterator[None]:
    """What is printed meanwhile goes to the folder's log, and, unless ``quiet``, on to where it went."""
    with open(folder / record.LOG, "a", encoding="utf-8", buffering=1) as log:
        print(time.strftime("%Y-%m-%d %H:%M:%S"), "begins", file=log)
        try:
            with _all_into(log) if quiet else _copied(log):
                yield
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                print("interrupted; run the same command to go on", file=log)
            else:
                traceback.print_exception(type(error), error, error.__traceback__, file=log)
            raise
        print(time.strftime("%Y-%m-%d %H:%M:%S"), "finished", file=log)


@contextlib.contextmanager
def _all_into(log: TextIO) -> Iterator[None]:
    """Standard output and errors of the whole process, Jittor's compilers among it."""
    sys.stdout.flush()
    sys.stderr.flush()
    before = [os.dup(number) for number in (1, 2)]
    try:
        for number in (1, 2):
            os.dup2(log.fileno(), number)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, kept in zip((1, 2), before):
            os.dup2(kept, number)
            os.close(kept)


@contextlib.contextmanager
def _copied(log: TextIO) -> Iterator[None]:
    with contextlib.redirect_stderr(_Copied(sys.stderr, log)):  # type: ignore[type-var]
        yield


class _Copied:
    """A stream that also goes to a log, less what a progress bar draws over itself."""

    def __init__(self, stream: TextIO, log: TextIO) -> None:
        self._stream = stream
        self._log = log

    def write(self, text: str) -> int:
        if not text.startswith("\r"):
            self._log.write(text)
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
