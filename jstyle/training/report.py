"""What a run leaves to look at: a log of its steps, TensorBoard's event files, a loss curve, grids of samples."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Optional

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from jstyle.errors import InputError
from jstyle.files import make_folder, write_text
from jstyle.pictures import png_texts
from jstyle.pictures.sheets import draw_grid, write_sheet
from jstyle.settings.json_files import parse_json
from jstyle.training.tensorboard import Events

LOG = "log.jsonl"
SMOOTHED = 50  # steps that the curve's running mean reaches back


class Log:
    """The scalars of each step, a line of JSON each in ``log.jsonl`` and in TensorBoard's event files.

    A resumed run repeats the steps since its checkpoint: what an earlier run logged of them is dropped, so each step
    is there once. To be closed, or used in a ``with``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._events: Optional[Events] = None

    def add(self, step: int, **scalars: float) -> None:
        """Log numbers of a step, once a step."""
        if self._events is None:
            self._events = self._begin(step)
        with open(self.folder / LOG, "a") as file:
            file.write(json.dumps({"step": step, **scalars}) + "\n")
        self._events.add(step, scalars)

    def _begin(self, step: int) -> Events:
        make_folder(self.folder)
        kept = [record for record in read_log(self.folder) if record["step"] < step]
        write_text(self.folder / LOG, "".join(json.dumps(record) + "\n" for record in kept))
        return Events(self.folder, step)

    def close(self) -> None:
        """Close the event file."""
        if self._events is not None:
            self._events.close()

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_log(folder: Path) -> list[dict[str, float]]:
    """The records of a run, in order; a line that a killed run or a full disk left damaged is passed over."""
    records = []
    if (folder / LOG).exists():
        for line in (folder / LOG).read_bytes().splitlines(keepends=True):
            with suppress(InputError):
                record = parse_json(line, LOG)
                if line.endswith(b"\n") and isinstance(record, dict) and isinstance(record.get("step"), int):
                    records.append(record)
    return records


def draw_loss_curve(folder: Path, path: Path) -> None:
    """Draw the logged losses and their running mean as a PNG."""
    records = [record for record in read_log(folder) if "loss" in record]
    steps, losses = [record["step"] for record in records], [record["loss"] for record in records]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot(xlabel="step", ylabel="loss")
    axes.plot(steps, losses, color="#b8c4d6", linewidth=0.8, label="each step")
    axes.plot(steps, running_mean(losses, SMOOTHED), color="#1f4e8c", label=f"mean of the last {SMOOTHED}")
    axes.legend()
    canvas.draw()
    png_texts.save_png(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB"), path)


def running_mean(values: Sequence[float], reach: int) -> np.ndarray:
    """The mean of each value and those up to ``reach`` - 1 before it."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - reach, 0)
    return (sums[ends] - sums[starts]) / (ends - starts)


def write_grid(
    rows: Sequence[Sequence[Optional[Image.Image]]],
    path: Path,
    row_labels: Optional[Sequence[str]] = None,
    column_labels: Optional[Sequence[str]] = None,
    metadata: Optional[Mapping[str, object]] = None,
) -> None:
    """Write pictures as one contact sheet."""
    write_sheet(draw_grid(rows, row_labels, column_labels), path, metadata)
