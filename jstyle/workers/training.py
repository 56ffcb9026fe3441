"""The worker that teaches styles."""

from __future__ import annotations

import os
import shutil
import sys
import time
import traceback
from collections.abc import Generator, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from jstyle.events import Event, PictureWritten, exhaust
from jstyle.files import locked, make_folder
from jstyle.pace import Pace
from jstyle.runtime import jt
from jstyle.training.many_styles import record
from jstyle.training.many_styles.spec import TrainingSpec, read_spec, shorten
from jstyle.training.many_styles.times import describe_pace
from jstyle.training.stopping import stop_between_updates
from jstyle.training.teaching.table import TEACHINGS


class TrainingWorker:
    """Teaches a style a task; a task's data is a plain `TrainingSpec` whose settings say where the result goes.

    Each training has a log of its own. With ``quiet`` that also takes what the process prints meanwhile, Jittor's
    compilers included: for processes beside others.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet

    def rehearse(self, data: Mapping[str, Any]) -> None:
        """One step of this kind of training, its result thrown away, so that all its kernels are compiled."""
        spec = read_spec(data)
        place = spec.settings.output
        folder = place / "rehearsal"
        try:
            with _hold_folder(place), self._open_log(place):
                shutil.rmtree(folder, ignore_errors=True)  # what a killed rehearsal has left
                exhaust(_teach(replace(spec, settings=replace(shorten(spec.settings), output=folder))))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            jt.gc()

    def run(self, data: Mapping[str, Any]) -> Generator[Event, None, dict[str, Any]]:
        """Train to the end, from the last checkpoint if there is one. Returns the result's hash, and its pace."""
        spec = read_spec(data)
        folder = spec.settings.output
        result = folder / TEACHINGS[spec.teaching].result
        with _hold_folder(folder), self._open_log(folder) as log:
            start = time.perf_counter()
            record.begin(folder, result, spec)
            pace = Pace()
            with closing(_teach(spec)) as events:
                for event in events:
                    pace.note(event)
                    if isinstance(event, PictureWritten):
                        print(event.path, file=log)
                    yield event
            jt.gc()
            content = record.finish(folder, result, spec, time.perf_counter() - start)
        return {"hash": content, "pace": describe_pace(pace)}

    @contextmanager
    def _open_log(self, folder: Path) -> Iterator[TextIO]:
        """The folder's log, which ends with how it went."""
        with open(folder / record.LOG, "a", encoding="utf-8", buffering=1) as log:
            print(time.strftime("%Y-%m-%d %H:%M:%S"), "begins", file=log)
            try:
                with _redirect_all(log) if self._quiet else nullcontext():
                    yield log
            except (KeyboardInterrupt, GeneratorExit):
                print("interrupted; run the same command to go on", file=log)
                raise
            except BaseException as error:
                traceback.print_exception(type(error), error, error.__traceback__, file=log)
                raise
            print(time.strftime("%Y-%m-%d %H:%M:%S"), "finished", file=log)


def _teach(spec: TrainingSpec) -> Generator[Event, None, Path]:
    """The run of a training, which Ctrl-C and SIGTERM end with a checkpoint."""
    return stop_between_updates(TEACHINGS[spec.teaching].start(spec.settings))


def _hold_folder(folder: Path) -> AbstractContextManager[None]:
    """One process trains in a folder at a time; one whose job was killed may be writing its last checkpoint."""
    make_folder(folder)
    return locked(folder / ".lock")


@contextmanager
def _redirect_all(log: TextIO) -> Iterator[None]:
    """Standard output and errors of the whole process."""
    sys.stdout.flush()
    sys.stderr.flush()
    copies = [os.dup(number) for number in (1, 2)]
    try:
        for number in (1, 2):
            os.dup2(log.fileno(), number)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, copy in zip((1, 2), copies):
            os.dup2(copy, number)
            os.close(copy)
