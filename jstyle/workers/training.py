"""The ways to teach a style, and the worker that does it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
import traceback
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, ContextManager, Dict, Iterator, Mapping, TextIO

from jstyle.competition.fields import build
from jstyle.files import locked
from jstyle.methods.inst import files as inst_files
from jstyle.methods.inst import training as inst
from jstyle.runtime import jt
from jstyle.training.many_styles import runs
from jstyle.training.many_styles.runs import TrainMethod
from jstyle.training.teaching import dreambooth, fine_tuning, lora, textual_inversion
from jstyle.training.teaching.settings import (
    DreamBoothSettings,
    FineTuningSettings,
    InstTrainSettings,
    LoraSettings,
    TextualInversionSettings,
)

TRAINER = "jstyle.workers.training:StyleTrainer"
_UNET = "model/unet/diffusion_pytorch_model.safetensors"

METHODS: Dict[str, TrainMethod] = {
    "textual_inversion": TrainMethod(
        TextualInversionSettings, textual_inversion.train, "learned_embeds.safetensors", "textual_inversion"
    ),
    "inst": TrainMethod(InstTrainSettings, inst.train, inst_files.FILE, "inst"),
    "lora": TrainMethod(LoraSettings, lora.train, "pytorch_lora_weights.safetensors", "lora"),
    "dreambooth": TrainMethod(DreamBoothSettings, dreambooth.train, _UNET, "dreambooth"),
    "fine_tuning": TrainMethod(FineTuningSettings, fine_tuning.train, _UNET, "fine_tuning"),
}
"""By the name that `--method` and a recipe's adapters have."""

_SHORT = {"steps": 1, "warmup": 0, "checkpoint_every": 1}
_REHEARSAL = {"class_images": 1, "validation_every": 1, "validation_steps": 1}


class StyleTrainer:
    """Trains a style a task; a task's data is what `jstyle.training.many_styles.runs.task` makes.

    Each run writes what happens to its own log. ``quiet`` shows nothing else: for processes beside others.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet

    def rehearse(self, data: Mapping[str, Any]) -> None:
        """One step of this kind of training, its result thrown away, so that all its kernels are compiled."""
        method, settings = _opened(data)
        folder = settings.output / "rehearsal"
        known = {field.name for field in fields(settings)}
        short = {name: value for name, value in _REHEARSAL.items() if name in known}
        settings = replace(settings, output=folder, loop=replace(settings.loop, **_SHORT), **short)
        try:
            with _alone(folder.parent), _logged(folder.parent, self._quiet):
                shutil.rmtree(folder, ignore_errors=True)  # what a killed rehearsal has left
                method.train(settings)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            jt.gc()

    def run(self, data: Mapping[str, Any]) -> Dict[str, Any]:
        """Train to the end, from the last checkpoint if there is one. Returns the hash of the result."""
        method, settings = _opened(data)
        folder, result = settings.output, settings.output / method.result
        with _alone(folder), _logged(folder, self._quiet):
            start = time.perf_counter()
            runs.begin(folder, result, data["meaning"])
            method.train(settings)
            jt.gc()
            found = runs.finish(folder, result, data["meaning"], data["code"], time.perf_counter() - start)
        return {"hash": found}


def _opened(data: Mapping[str, Any]) -> Any:
    method = METHODS[data["method"]]
    return method, build(method.settings, data["settings"], data["method"])


def _alone(folder: Path) -> ContextManager[None]:
    """One process trains in a folder at a time; one whose job was killed may be writing its last checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    return locked(folder / ".lock")


@contextlib.contextmanager
def _logged(folder: Path, quiet: bool) -> Iterator[None]:
    """What is printed meanwhile goes to the folder's log, and, unless ``quiet``, on to where it went."""
    with open(folder / runs.LOG, "a", encoding="utf-8", buffering=1) as log:
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
