"""The worker's process, as the page sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Optional

_WORKER = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from jstyle.web.worker import main; main()"
"""`python -m` would look into the current folder first, where another copy of the project may lie."""

_GRACE = 20.0  # seconds in which a worker that is told to end may write a checkpoint


class WorkerProcess:
    """Started when it is first needed, and again where it has died."""

    def __init__(self) -> None:
        self._process: Optional[subprocess.Popen[str]] = None

    def run(self, work: str, settings: Sequence[Any]) -> Iterator[Mapping[str, Any]]:
        """What the worker tells of a request. It ends without a line that has an "end" where the worker dies."""
        process = self._start()
        assert process.stdin is not None and process.stdout is not None
        try:
            self._send({"work": work, "settings": settings})
            for line in iter(process.stdout.readline, ""):
                told = json.loads(line)
                yield told
                if "end" in told:
                    return
        except (OSError, ValueError):  # the pipe broke, in the middle of a line or before
            pass
        self.kill()

    def stop(self) -> None:
        """Ask for the end of the request under way, which comes after the step at hand."""
        if self._process is not None:
            with suppress(OSError, ValueError):
                self._send({"stop": True})

    def start(self) -> None:
        """Bring the worker up before anybody waits for it."""
        self._start()

    def kill(self) -> None:
        """End the worker now."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """Let the worker end, a training with a checkpoint; after some time without asking."""
        process = self._process
        if process is None:
            return
        with suppress(OSError):
            assert process.stdin is not None
            process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
        self.kill()

    def _send(self, line: Mapping[str, Any]) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps(line)}\n")
        self._process.stdin.flush()

    def _start(self) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is not None:
            self.kill()
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _WORKER, json.dumps(sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
            )
            self._send({"parent": os.getpid()})
        return self._process
