"""The page as it is served, for tests: in the environment that has Gradio, which may be another than the tests'."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Optional

import pytest

ROOT = Path(__file__).resolve().parents[2]
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WEB_PYTHON = "JSTYLE_WEB_PYTHON"
"""The environment variable that names the Python that has Gradio."""


def find_python() -> Optional[str]:
    """A Python that has Gradio, None where there is none."""
    for python in (os.environ.get(WEB_PYTHON), sys.executable):
        if python and subprocess.run([python, "-c", "import gradio"], capture_output=True, check=False).returncode == 0:
            return python
    return None


@contextmanager
def served(folder: Path, *options: str) -> Iterator[str]:
    """The address of a page whose visitors' folders lie in ``folder``."""
    python = find_python()
    if python is None:
        pytest.skip(f"Gradio is not installed here; {WEB_PYTHON} may name a Python that has it")
    command = [python, "-m", "jstyle", "web", "--port", "0", "--output", str(folder), *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert "http://" in line, line
        yield line.split("http://")[1].split(";")[0].strip()
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            process.kill()


def list_processes(name: str, place: str) -> Sequence[int]:
    """Processes whose command line holds the one, and whose environment the other."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            words, environment = ((entry / file).read_bytes() for file in ("cmdline", "environ"))
            if name.encode() in words and place.encode() in environment:
                found.append(int(entry.name))
    return found
