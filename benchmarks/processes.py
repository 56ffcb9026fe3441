"""A worker as the lead sees it: started, asked, measured, ended."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any, Optional

from benchmarks.options import ROOT

TICKS = os.sysconf("SC_CLK_TCK")
NEEDS = {
    "jstyle": "jstyle",
    "torch": "peers",
    "torch-reuse": "peers",
    "openvino": "peers",
    "jdiffusion": "jdiffusion",
    "jdiffusion-accelerated": "jdiffusion",
}  # side -> the option that names its interpreter


class NotMeasured(Exception):
    """A side that cannot run here; the message says why, in one line."""


class Worker:
    """One side in a process of its own. Raises NotMeasured where it cannot be started, fails or ends."""

    def __init__(self, side: str, options: argparse.Namespace, job: dict[str, Any], log: Path) -> None:
        self.side = side
        python = interpreter(side, options)
        count = str(options.threads)
        environment = {**os.environ, "OMP_NUM_THREADS": count, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        command = [python, "-m", "benchmarks.worker", side.split("-")[0]]
        self._log = log
        with open(log, "ab") as stream:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stream
            )
        try:
            self.describes: dict[str, str] = self.ask("open", job=job)["describes"]
        except BaseException:
            self.close()
            raise

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """The worker's reply to one request."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            raise NotMeasured(f"its process ended with code {self._process.wait()}: {_last_line(self._log)}")
        reply = json.loads(line)
        if "error" in reply:
            raise NotMeasured(reply["error"])
        return reply

    def timed_call(self, threads: int) -> dict[str, Any]:
        """One call's seconds, and which share of ``threads`` cores other processes took meanwhile."""
        before = self._cpu_seconds(), machine_cpu_seconds()
        seconds = self.ask("call")["seconds"]
        after = self._cpu_seconds(), machine_cpu_seconds()
        own, total = (b - a if a is not None and b is not None else None for a, b in zip(before, after))
        others = None
        if own is not None and total is not None and seconds > 10 / TICKS:  # the system counts in coarse ticks
            others = round(max(total - own, 0.0) / (seconds * threads), 3)
        return {"seconds": seconds, "others": others}

    def peak(self) -> Optional[int]:
        """The most memory that the process has held at once, in bytes; None where the system does not say."""
        return peak_memory(self._process.pid)

    def forget_peak(self) -> bool:
        """Let ``peak`` start anew from what is held now; False where the system cannot."""
        try:
            Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")
        except OSError:
            return False
        return True

    def _cpu_seconds(self) -> Optional[float]:
        """What the process's threads have computed so far."""
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return (int(fields[11]) + int(fields[12])) / TICKS

    def close(self) -> None:
        """End the process and wait for it."""
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):  # it has ended, with a request unread
                self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def interpreter(side: str, options: argparse.Namespace) -> str:
    """The Python that runs a side. Raises NotMeasured where there is none."""
    option = NEEDS[side]
    python = getattr(options, option)
    if not python:
        raise NotMeasured(f"no interpreter was given by --{option}")
    if not Path(python).is_file():
        path = Path(python)  # within the project as it lies there: the message goes into published results
        shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        raise NotMeasured(f"{shown} is not there (option --{option})")
    return str(Path(python).absolute())


def machine_cpu_seconds() -> Optional[float]:
    """What all processes of this machine have computed so far."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _, _, interrupts, soft, stolen = (int(one) for one in fields[:8])
    return (user + nice + system + interrupts + soft + stolen) / TICKS


def peak_memory(pid: int) -> Optional[int]:
    """The most that a process has held at once, in bytes, pages of mapped files included."""
    return _status(pid, "VmHWM")


def own_memory(pid: int) -> Optional[int]:
    """What a process holds now, in bytes, without the pages of mapped files, which the system can take back."""
    return _status(pid, "RssAnon")


def _status(pid: int, field: str) -> Optional[int]:
    """An entry of /proc/PID/status; None where the system does not say, and once the process has ended."""
    try:
        found = re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "it said nothing"
