"""Logs survive a resume without a step twice; pictures are written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import masked_crc32c

from jstyle.training.report import Log, draw_loss_curve, read_log, running_mean, write_grid


def events(folder: Path) -> list[Event]:
    """The records of all event files in the order of writing, their checksums verified."""
    found = []
    for file in sorted(folder.glob("events.*"), key=lambda file: file.stat().st_mtime_ns):
        data, start = file.read_bytes(), 0
        while start < len(data):
            length = int.from_bytes(data[start : start + 8], "little")
            content = data[start + 12 : start + 12 + length]
            assert masked_crc32c(content) == int.from_bytes(data[start + 12 + length : start + 16 + length], "little")
            found.append(Event.FromString(content))
            start += 16 + length
    return found


def test_a_resumed_log_has_each_step_once(tmp_path: Path) -> None:
    with Log(tmp_path) as log:
        for step in range(1, 6):
            log.add(step, loss=1 / step, rate=0.1)
    with open(tmp_path / "log.jsonl", "a") as file:
        file.write('{"step": 6, "lo')  # killed while it wrote
    with Log(tmp_path) as log:
        for step in range(4, 8):
            log.add(step, loss=10.0 * step, rate=0.1)
    records = read_log(tmp_path)
    assert [record["step"] for record in records] == list(range(1, 8))
    assert [record["loss"] for record in records] == [1, 1 / 2, 1 / 3, 40, 50, 60, 70]


def test_tensorboard_sees_each_step_once(tmp_path: Path) -> None:
    for first, last in ((1, 6), (4, 8)):
        with Log(tmp_path) as log:
            for step in range(first, last):
                log.add(step, loss=float(step + 100 * first))
    seen: dict[int, float] = {}
    for event in events(tmp_path):
        if event.session_log.status == event.session_log.START:  # TensorBoard then forgets this step and later ones
            seen = {step: value for step, value in seen.items() if step < event.step}
        for value in event.summary.value:
            assert value.tag == "loss" and event.step not in seen
            seen[event.step] = value.simple_value
    assert seen == {1: 101, 2: 102, 3: 103, 4: 404, 5: 405, 6: 406, 7: 407}


def test_running_mean() -> None:
    values = np.random.default_rng(0).standard_normal(20)
    truth = [values[max(0, i - 6) : i + 1].mean() for i in range(20)]
    assert np.allclose(running_mean(values.tolist(), 7), truth)


def test_pictures_are_written(tmp_path: Path) -> None:
    with Log(tmp_path) as log:
        for step in range(1, 100):
            log.add(step, loss=1 / step)
    draw_loss_curve(tmp_path, tmp_path / "loss.png")
    picture = np.asarray(Image.open(tmp_path / "loss.png"))
    assert picture.shape[2] == 3 and len(np.unique(picture.reshape(-1, 3), axis=0)) > 10
    tile = Image.new("RGB", (16, 16), "red")
    write_grid([[tile, None], [tile, tile]], tmp_path / "grid.png", ["a", "b"], metadata={"step": 3})
    assert (np.asarray(Image.open(tmp_path / "grid.png")) == [255, 0, 0]).all(-1).sum() == 3 * 16 * 16
