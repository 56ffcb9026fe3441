"""A command killed at random moments (kill -9) and run again comes to the same files as one that nobody disturbed.

    python -m benchmarks.kills --kills 20 --job styleid [--within 30] [--alone] [--together 2] [--work runs/kills]
    python -m benchmarks.kills --kills 20 [...] -- COMMAND ... --output {output}

``{output}`` in COMMAND stands for the folder that it writes to, ``{data}`` for a small dataset of the competition. One
run is left alone; then others are killed, each at a moment drawn evenly from its first ``--within`` seconds, until one
ends; if that is before the last kill, a new folder is begun. Each is run once more, undisturbed. With ``--together``
so many work in the folder at once, of which others may be refused, and are killed at once.
Every file and empty folder is compared, by name and bytes; those that tell of times (``--varying``) by name.
Exits with 1 where one differs, is missing or is left over.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Optional

from benchmarks import machine
from benchmarks.options import ROOT
from jstyle.files import hash_files, write_text

VARYING = ("events.out.tfevents.*", "*.log", "log.jsonl", "loss.png", "trained.json", "manifest.json")
REFUSED = " works in "
"""Stands in what a command says that finds another one in its folder."""

_JSTYLE = [sys.executable, "-m", "jstyle"]
_STYLE = str(ROOT / "samples" / "style" / "woodcut.png")
_CONTENTS = [str(ROOT / "samples" / "content" / f"{name}.png") for name in ("house_by_the_sea", "mountain_lake")]
_LOOP = ["--loop.steps", "8", "--loop.checkpoint_every", "2", "--output", "{output}"]
JOBS: Mapping[str, Sequence[str]] = {
    "styleid": [
        *_JSTYLE, "styleid", "--content", *_CONTENTS, "--style", _STYLE, "--steps", "4", "--features", "disk",
        "--width", "64", "--height", "64", "--output", "{output}",
    ],
    "lora": [*_JSTYLE, "train", "lora", "--data", _STYLE, "--rank", "2", *_LOOP],
    "textual_inversion": [*_JSTYLE, "train", "textual-inversion", "--data", _STYLE, *_LOOP],
    "submission": [
        *_JSTYLE, "submit", "--data", "{data}", "--recipe", str(ROOT / "benchmarks" / "submission_killed.yaml"),
        "--output", "{output}",
    ],
}  # fmt: skip
"""Small commands, each of a kind of work."""


def main() -> int:
    """1 where a file differs."""
    options = _options()
    whole = options.work / "undisturbed"
    shutil.rmtree(options.work, ignore_errors=True)
    write_data(options.work / "data")
    seconds = _run(options, whole, None) or 0.0
    expected = files(whole, options.varying)
    print(f"undisturbed: {len(expected)} files in {seconds:.0f} s", flush=True)
    chance = random.Random(options.seed)
    kills: list[float] = []
    different: list[str] = []
    within = options.within or seconds
    begun = 0
    while len(kills) < options.kills:
        folder, begun = options.work / f"killed-{begun}", begun + 1
        while len(kills) < options.kills:
            moment = chance.uniform(0, within)
            if _run(options, folder, moment, options.together) is not None:
                break
            kills.append(moment)
            print(f"kill {len(kills)} after {moment:.1f} s: {len(files(folder, options.varying))} files", flush=True)
        _run(options, folder, None)  # to its end, or once more where it has ended
        different += [f"{folder.name}/{name}" for name in differing(expected, files(folder, options.varying))]
    told = {"files": len(expected), "seconds": round(seconds, 1), "kills": [round(one, 2) for one in kills]}
    told.update(different=different, together=options.together, command=options.command, machine=machine.describe())
    write_text(options.output or options.work / "kills.json", json.dumps(told, indent=1) + "\n")
    for name in different:
        print(f"different: {name}")
    print(f"{len(kills)} kills, {len(different)} files different from the undisturbed run's {len(expected)}")
    return 1 if different else 0


def write_data(folder: Path) -> None:
    """Two styles of the competition, of a picture and two prompts each."""
    for number, style in (("00", "woodcut"), ("01", "watercolour")):
        pictures = sorted((ROOT / "samples" / "style").glob("*.png"))
        picture = next((path for path in pictures if path.stem == style), pictures[-1])
        (folder / number / "images").mkdir(parents=True)
        shutil.copy(picture, folder / number / "images")
        write_text(folder / number / "prompt.json", json.dumps({"0": "House", "1": "Boat"}))


def files(folder: Path, varying: Sequence[str]) -> dict[str, str]:
    """SHA-256 of each file below ``folder`` by its path there; of those that ``varying`` matches only that some are.

    Folders that hold nothing are there too.
    """
    found = {}
    for path in sorted(folder.rglob("*")) if folder.exists() else []:
        if path.is_file():
            pattern = next((one for one in varying if fnmatch(path.name, one)), None)
            place = str(path.relative_to(folder).with_name(pattern or path.name))
            found[place] = hash_files([path]) if pattern is None else ""
        elif not any(path.iterdir()):
            found[f"{path.relative_to(folder)}/"] = ""
    return found


def differing(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """Paths whose contents differ or that only one of the two has."""
    return sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))


def _run(options: argparse.Namespace, output: Path, moment: Optional[float], together: int = 1) -> Optional[float]:
    """Seconds the command took; None where it was killed at ``moment``. Exits where it fails of itself."""
    output.parent.mkdir(parents=True, exist_ok=True)
    places = {"{output}": str(output), "{data}": str(options.work / "data")}
    command = [places.get(word, word) for word in list[str](options.command)]
    start = time.perf_counter()
    logs = [options.work / f"{output.name}-{number}.log" for number in range(together)]
    processes = [_start(command, log) for log in logs]
    while any(process.poll() is None for process in processes):
        if moment is not None and time.perf_counter() - start > moment:
            _kill(processes, alone=options.alone)
            return None
        time.sleep(0.05)
    for process, log in zip(processes, logs):
        is_refused = together > 1 and process.returncode == 2 and REFUSED in log.read_text().splitlines()[-1]
        if process.returncode != 0 and not is_refused:
            sys.exit(f"the command ended with {process.returncode}; see {log}")
    return time.perf_counter() - start


def _start(command: Sequence[str], log: Path) -> subprocess.Popen:
    with open(log, "ab") as shown:
        return subprocess.Popen(command, stdout=shown, stderr=subprocess.STDOUT, start_new_session=True)


def _kill(processes: Sequence[subprocess.Popen], *, alone: bool) -> None:
    for process in processes:
        if process.poll() is None:
            if alone:  # its workers have to notice by themselves
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--within", type=float, help="seconds a killed run has at most; else by the undisturbed run's")
    parser.add_argument("--alone", action="store_true", help="kill the command's first process, not those it started")
    parser.add_argument("--varying", nargs="*", default=VARYING, help="names of files whose bytes may differ")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "kills")
    parser.add_argument("--output", type=Path, help="JSON file; kills.json in --work by default")
    parser.add_argument("--together", type=int, default=1, help="processes that work in a folder at once")
    parser.add_argument("--job", choices=JOBS, help="a command of this file's")
    parser.add_argument("command", nargs="*", help="after --")
    options = parser.parse_args()
    options.command = options.command or list(JOBS.get(options.job, ()))
    if not options.command:
        parser.error("give a --job, or a command after --")
    return options


if __name__ == "__main__":
    sys.exit(main())
