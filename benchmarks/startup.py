"""How long a user waits before anything happens: the command's answers, the import, the embedded model's first picture.

    python -m benchmarks.startup [--rounds 5] [--cold]

Whole processes are timed, in turn. ``--cold`` adds a first picture with empty caches, Jittor's and this project's:
both are compiled then.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import machine, table
from benchmarks.options import RESULTS, parser
from benchmarks.processes import NotMeasured, interpreter, machine_cpu_seconds
from benchmarks.recording import command_line, say, write
from jstyle.cli.commands import iterate_commands

IMPORTS = {
    "jstyle": "from jstyle import StableDiffusionPipeline",
    "torch": "from diffusers import StableDiffusionPipeline",
}
PICTURE = """
from jstyle import StableDiffusionPipeline
pipe = StableDiffusionPipeline.from_pretrained("tiny")
pipe("a house", num_inference_steps=20, seed=0).images[0].save("first.png")
"""
ANSWER = """
import contextlib
from jstyle.cli.main import main
from jstyle.errors import InputError
with contextlib.suppress(InputError):
    main(%r)
"""
WRONG = "--no_such_option"
VERSIONS = "from importlib import metadata as m; print(*(f'{n} {m.version(n)}' for n in %r))"
PACKAGES = {"jstyle": ("jstyle", "jittor"), "torch": ("torch", "diffusers", "transformers")}


def main() -> int:
    """1 where no side could start."""
    made = parser(__doc__, tuple(IMPORTS), precisions=("fp32",))
    made.add_argument("--cold", action="store_true", help="also with empty caches; compiles for minutes")
    options = made.parse_args()
    record: dict[str, Any] = {
        "benchmark": "startup",
        "title": "Start",
        "precision": "fp32",
        "threads": options.threads,
        "rounds": options.rounds,
        "command": command_line(),
        "machine": machine.describe(),
    }
    record["sides"] = {side: _described(side, options) for side in options.sides}
    ready = [side for side, told in record["sides"].items() if "is" in told]
    record["cases"] = [_imports(ready, options)]
    if "jstyle" in ready:
        record["cases"] += [*_answers(options), *_pictures(options)]
    print(table.text(record))
    write(record, options.output or RESULTS / "startup.json")
    return 0 if ready else 1


def _described(side: str, options: argparse.Namespace) -> dict[str, Any]:
    try:
        done = _run(side, options, VERSIONS % (PACKAGES[side],), {})
    except NotMeasured as reason:
        return {"not_measured": str(reason)}
    return {"is": dict(zip(done["said"].split()[::2], done["said"].split()[1::2]))}


def _imports(sides: list[str], options: argparse.Namespace) -> dict[str, Any]:
    measured = {side: {"variant": "", "samples": []} for side in sides}
    for index in range(-1, options.rounds):  # the round before the first fills the system's file cache
        for side in sides:
            sample = _run(side, options, IMPORTS[side], {})
            say(f"import: {side} {sample['seconds']:.2f} s")
            if index >= 0:
                measured[side]["samples"].append(_kept(sample))
    return {"name": "import of the pipeline", "sides": measured, "differences": {}}


def _answers(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The help of every command, and what is said of a wrong option."""
    commands = [command.words.split() for command in iterate_commands()]
    cases = []
    for words in (["--help"], *([*words, last] for words in commands for last in ("--help", WRONG))):
        samples = [_kept(_run("jstyle", options, ANSWER % (words,), {})) for _ in range(options.rounds + 1)][1:]
        name = " ".join(["jstyle", *words])
        say(f"{name}: {samples[-1]['seconds']:.2f} s")
        cases.append({"name": name, "sides": {"jstyle": {"variant": "", "samples": samples}}, "differences": {}})
    return cases


def _pictures(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The embedded model's first picture, 20 steps, with caches and without."""
    found = []
    for name, cold, rounds in (("first picture", False, options.rounds), ("first picture, cold", True, 1)):
        if cold and not options.cold:
            continue
        samples = []
        for _ in range(rounds + (not cold)):
            with tempfile.TemporaryDirectory(prefix="jstyle-startup-") as empty:
                homes = {"JITTOR_HOME": empty, "JSTYLE_CACHE": str(Path(empty) / "jstyle")} if cold else {}
                samples.append(_kept(_run("jstyle", options, PICTURE, homes)))
            say(f"{name}: {samples[-1]['seconds']:.1f} s")
        kept = samples if cold else samples[1:]
        found.append({"name": name, "sides": {"jstyle": {"variant": "", "samples": kept}}, "differences": {}})
    return found


def _run(side: str, options: argparse.Namespace, code: str, more: dict[str, str]) -> dict[str, Any]:
    """Run Python code in a side's interpreter. Raises NotMeasured where it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads), "HF_HUB_OFFLINE": "1", **more}
    with tempfile.TemporaryDirectory(prefix="jstyle-startup-") as folder:
        before, times, start = machine_cpu_seconds(), os.times(), time.perf_counter()
        done = subprocess.run(
            [interpreter(side, options), "-c", code], cwd=folder, env=environment, capture_output=True, text=True
        )
        seconds = time.perf_counter() - start
    if done.returncode != 0:
        raise NotMeasured((done.stderr.strip().splitlines() or ["it failed"])[-1][:200])
    after, now = machine_cpu_seconds(), os.times()
    own = now.children_user + now.children_system - times.children_user - times.children_system
    others = None if before is None or after is None else max(after - before - own, 0.0) / (seconds * options.threads)
    return {"seconds": seconds, "others": others if others is None else round(others, 3), "said": done.stdout}


def _kept(sample: dict[str, Any]) -> dict[str, Any]:
    return {key: sample[key] for key in ("seconds", "others")}


if __name__ == "__main__":
    sys.exit(main())
