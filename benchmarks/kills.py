"""A command killed at random moments (kill -9) and run again comes to the same files as one that nobody disturbed.

    python -m benchmarks.kills --kills 20 [--within 30] [--alone] [--work runs/kills] -- COMMAND ... --output {output}

``{output}`` in COMMAND stands for the folder that it writes to. One run is left alone; then others are killed, each at
a moment drawn evenly from its first ``--within`` seconds, until one ends; if that is before the last kill, a new
folder is begun. Each is run once more, undisturbed. Every file of theirs is compared, by name and bytes; those that
tell of times (``--varying``) by name.
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
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Optional

from benchmarks import machine
from benchmarks.options import ROOT
from jstyle.files import hash_files, write_text

VARYING = ("events.out.tfevents.*", "*.log", "log.jsonl", "loss.png", "trained.json", "manifest.json")


def main() -> int:
    """1 where a file differs."""
    options = _options()
    whole = options.work / "undisturbed"
    shutil.rmtree(options.work, ignore_errors=True)
    seconds = _run(options, whole, None) or 0.0
    expected = files(whole, options.varying)
    print(f"undisturbed: {len(expected)} files in {seconds:.0f} s", flush=True)
    chance = random.Random(options.seed)
    kills: list[float] = []
    different: list[str] = []
    within = options.within or 2 * seconds / (options.kills + 1)
    begun = 0
    while len(kills) < options.kills:
        folder, begun = options.work / f"killed-{begun}", begun + 1
        while len(kills) < options.kills and _run(options, folder, moment := chance.uniform(0, within)) is None:
            kills.append(moment)
            print(f"kill {len(kills)} after {moment:.1f} s: {len(files(folder, options.varying))} files", flush=True)
        _run(options, folder, None)  # to its end, or once more where it has ended
        different += [f"{folder.name}/{name}" for name in differing(expected, files(folder, options.varying))]
    told = {"files": len(expected), "seconds": round(seconds, 1), "kills": [round(one, 2) for one in kills]}
    told.update(different=different, command=options.command, machine=machine.describe())
    write_text(options.output or options.work / "kills.json", json.dumps(told, indent=1) + "\n")
    for name in different:
        print(f"different: {name}")
    print(f"{len(kills)} kills, {len(different)} files different from the undisturbed run's {len(expected)}")
    return 1 if different else 0


def files(folder: Path, varying: Sequence[str]) -> dict[str, str]:
    """SHA-256 of each file below ``folder`` by its path there; of those that ``varying`` matches only that some are."""
    found = {}
    for path in sorted(folder.rglob("*")) if folder.exists() else []:
        if path.is_file():
            pattern = next((one for one in varying if fnmatch(path.name, one)), None)
            place = str(path.relative_to(folder).with_name(pattern or path.name))
            found[place] = hash_files([path]) if pattern is None else ""
    return found


def differing(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """Paths whose contents differ or that only one of the two has."""
    return sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))


def _run(options: argparse.Namespace, output: Path, moment: Optional[float]) -> Optional[float]:
    """Seconds the command took; None where it was killed at ``moment``. Exits where it fails of itself."""
    output.parent.mkdir(parents=True, exist_ok=True)
    command = [word.replace("{output}", str(output)) for word in options.command]
    start = time.perf_counter()
    with open(options.work / f"{output.name}.log", "ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            process.wait(None if moment is None else moment)
        except subprocess.TimeoutExpired:
            if options.alone:  # its workers have to notice by themselves
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return None
    if process.returncode != 0:
        sys.exit(f"the command ended with {process.returncode}; see {log.name}")
    return time.perf_counter() - start


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--within", type=float, help="seconds a killed run has at most; else by the undisturbed run's")
    parser.add_argument("--alone", action="store_true", help="kill the command's first process, not those it started")
    parser.add_argument("--varying", nargs="*", default=VARYING, help="names of files whose bytes may differ")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "kills")
    parser.add_argument("--output", type=Path, help="JSON file; kills.json in --work by default")
    parser.add_argument("command", nargs="+", help="after --")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
