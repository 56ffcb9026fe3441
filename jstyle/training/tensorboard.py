"""Scalars for TensorBoard, written where they arise.

tensorboardX's own ``SummaryWriter`` hands them to a thread through a queue between processes; beside Jittor, which
forks, a program that ended early was seen to wait for that queue for ever.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from jstyle.runtime.flags import keep_flags

with keep_flags():  # it imports torch, which may be JTorch
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.event_pb2 import Event, SessionLog  # pyright: ignore[reportAttributeAccessIssue]
    from tensorboardX.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]


class Events:
    """One event file. Of what earlier files of the folder say, TensorBoard forgets ``first_step`` and later ones."""

    def __init__(self, folder: Path, first_step: int) -> None:
        self._writer = EventsWriter(str(folder / "events"), f".{first_step}")
        self._write(Event(step=first_step, session_log=SessionLog(status=SessionLog.START)))

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """The numbers of one step."""
        values = [Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
        self._write(Event(step=step, summary=Summary(value=values)))

    def close(self) -> None:
        """Nothing more comes."""
        self._writer.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._writer.write_event(event)
        self._writer.flush()
