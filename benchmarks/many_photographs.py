"""StyleID on 30 photographs of 12 MP in 5 styles: the memory beside that of one, and what Ctrl-C leaves.

    python -m benchmarks.many_photographs [--contents 30] [--styles 5] [--steps 2] [--size 128] [--interrupt 3]

The photographs are drawn: detail at every scale, saved as JPEG. Each run is a process of its own. The last one gets
SIGINT after so many pictures and is run again: the second must make the rest, and nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Optional

import numpy as np
from PIL import Image

from benchmarks import machine
from benchmarks.options import ROOT
from jstyle.files import write_text

WIDTH, HEIGHT = 4000, 3000
RESULTS = "*_stylized_*.png"


def main() -> int:
    """1 where the second run did not make the rest."""
    options = _options()
    with TemporaryDirectory() as work:
        contents = draw_photographs(Path(work) / "contents", options.contents, 0)
        styles = draw_photographs(Path(work) / "styles", options.styles, 1000)
        one = run(options, contents[:1], styles[:1], Path(work) / "one")
        every = run(options, contents, styles, Path(work) / "every")
        stopped = run(options, contents, styles, Path(work) / "stopped", interrupt=options.interrupt)
        again = run(options, contents, styles, Path(work) / "stopped")
    ratio = every["peak_bytes"] / one["peak_bytes"]
    told = {"one": one, "every": every, "stopped": stopped, "again": again, "ratio": ratio}
    told.update(steps=options.steps, size=options.size, machine=machine.describe())
    print(f"peak: {_mb(one)} for one pair, {_mb(every)} for {every['pictures']}, {ratio:.2f} times that of one")
    print(f"interrupted with {stopped['pictures']} pictures; the next run made {again['made']} of {again['pictures']}")
    if options.output is not None:
        write_text(options.output, json.dumps(told, indent=1) + "\n")
    is_whole = again["pictures"] == every["pictures"] == again["made"] + stopped["pictures"]
    return 0 if is_whole else 1


def draw_photographs(folder: Path, count: int, seed: int) -> list[Path]:
    """JPEGs of noise at every scale, as detailed as a photograph of leaves."""
    folder.mkdir()
    paths = []
    for number in range(count):
        rng = np.random.default_rng(seed + number)
        pixels = np.zeros((HEIGHT, WIDTH, 3), np.float32)
        for side in (8, 32, 128, 512, 2048):
            coarse = rng.integers(0, 256, (side * 3 // 4, side, 3), np.uint8)
            pixels += np.asarray(Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)) / 5
        paths.append(folder / f"{number:02d}.jpg")
        Image.fromarray(pixels.astype(np.uint8)).save(paths[-1], quality=90)
    return paths


def run(
    options: argparse.Namespace,
    contents: Sequence[Path],
    styles: Sequence[Path],
    output: Path,
    *,
    interrupt: Optional[int] = None,
) -> dict[str, Any]:
    """The command's peak memory, seconds, and pictures: those that are there, and those that it made.

    It gets SIGINT once there are ``interrupt`` pictures. Exits where it fails otherwise.
    """
    command = [sys.executable, "-m", "jstyle", "styleid", "--steps", options.steps, "--output", output]
    command += ["--width", options.size, "--height", options.size, "--content", *contents, "--style", *styles]
    before = len(list(output.glob(RESULTS)))
    start = time.perf_counter()
    with open(output.with_suffix(".log"), "ab") as log:
        words = [str(word) for word in command]
        process = subprocess.Popen(words, cwd=ROOT, stdout=log, stderr=log, preexec_fn=_hear_interrupts)
        is_asked = False
        while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
            if interrupt is not None and not is_asked and len(list(output.glob(RESULTS))) >= interrupt:
                process.send_signal(signal.SIGINT)
                is_asked = True
            time.sleep(0.02)
    code = process.returncode = os.waitstatus_to_exitcode(ended[1])
    if code != 0 and not is_asked:
        sys.exit(f"{' '.join(command[:4])} ended with {code}:\n{output.with_suffix('.log').read_text()[-2000:]}")
    pictures = len(list(output.glob(RESULTS)))
    return {
        "pictures": pictures,
        "made": pictures - before,
        "exit_code": code,
        "seconds": round(time.perf_counter() - start, 1),
        "peak_bytes": ended[2].ru_maxrss * 1024,
    }


def _hear_interrupts() -> None:
    """A shell lets what it starts in the background ignore them, and so would what that starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _mb(told: dict[str, Any]) -> str:
    return f"{told['peak_bytes'] / 1e6:.0f} MB"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--contents", type=int, default=30)
    parser.add_argument("--styles", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--size", type=int, default=128, help="pixels a side")
    parser.add_argument("--interrupt", type=int, default=3, help="pictures after which the third run gets SIGINT")
    parser.add_argument("--output", type=Path, help="JSON file")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
