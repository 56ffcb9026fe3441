"""What teaching Stable Diffusion 2.1 a style costs: seconds of an update, and the most memory that a training holds.

    python -m benchmarks.sd21_training lora textual_inversion [--size 512] [--recompute] [--updates 2]
    python -m benchmarks.sd21_training imagic_unet imagic_lora

Random weights in Stable Diffusion 2.1's shapes; the settings are those of `configs/train_style.yaml` for it, with one
picture and one update at a time, and Imagic's own defaults for its two stages. Every method trains in a process of its
own, from loading the model to writing the result. Left out are DreamBooth's class pictures, whose cost is that of
drawing them, and validation pictures.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import machine, random_models
from benchmarks.options import COSTS, ROOT, default_weights
from benchmarks.processes import own_memory
from jstyle.files import write_text

IMAGIC: Mapping[str, Any] = {"imagic_unet": "unet", "imagic_lora": "lora"}
PICTURE = ROOT / "samples" / "style" / "woodcut.png"


def main() -> None:
    """Train by each method in a process of its own; the record keeps what it has of others."""
    options = _options()
    if options.alone:
        print(json.dumps(train(options)))
        return
    words = ["--size", options.size, "--updates", options.updates, "--weights", options.weights]
    words += ["--recompute"] * options.recompute
    found: list[dict[str, Any]] = []
    for method in options.methods:
        command = [sys.executable, "-m", "benchmarks.sd21_training", method, "--alone", *map(str, words)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        peak = held_at_most(process)
        said = process.communicate()[0]
        if process.returncode:
            print(f"{method}: ended with {process.returncode}", file=sys.stderr)
            continue
        found.append({**json.loads(said.splitlines()[-1]), "peak_bytes": peak})
        told = found[-1]
        print(f"{method:18}{told['size']} px{', recompute' * told['recompute']:12} ", end="")
        print(f"{told['seconds']:7.1f} s an update, peak {told['peak_bytes'] / 1e9:.2f} GB", flush=True)
    known = json.loads(options.output.read_text())["trainings"] if options.output.exists() else []
    again = {_key(one) for one in found}
    kept = [one for one in known if _key(one) not in again]
    write_text(options.output, json.dumps({"machine": machine.describe(), "trainings": kept + found}, indent=1) + "\n")


def held_at_most(process: subprocess.Popen) -> int:
    """Wait for a process's end; the most bytes of its own that it held."""
    peak = 0
    while process.poll() is None:
        peak = max(peak, own_memory(process.pid) or 0)
        time.sleep(0.05)
    return peak


def train(options: argparse.Namespace) -> dict[str, Any]:
    """One method in this process."""
    from jstyle.events import exhaust
    from jstyle.settings.reader import merged
    from jstyle.training.many_styles.recipe import read_recipe
    from jstyle.training.many_styles.spec import build_settings
    from jstyle.training.report import read_log
    from jstyle.training.teaching.table import TEACHINGS

    (name,) = options.methods
    if name in IMAGIC:
        return train_imagic(options, name)
    teaching = TEACHINGS[name]
    folder = random_models.ensure(options.weights, "sd21-vision" if name == "inst" else "sd21")
    recipe = read_recipe(ROOT / "configs" / "train_style.yaml", "sd21", {"model": str(folder)})
    changes = {"batch": 1, "recompute": options.recompute, "validation_prompts": ()}
    changes["loop"] = {"steps": options.updates, "warmup": 0, "accumulate": 1}
    if name == "dreambooth":
        changes["class_prompt"] = None
    if name == "inst":
        changes["image_encoder"] = None
    with tempfile.TemporaryDirectory() as place:
        provided = {"model": str(folder), "data": (PICTURE,), "output": Path(place)}
        provided.update(width=options.size, height=options.size)
        values = merged(recipe.teachings[name], changes)
        exhaust(teaching.start(build_settings(teaching, values, provided, name, "sample")))
        updates = read_log(Path(place))
    return {
        "method": name,
        "size": options.size,
        "recompute": options.recompute,
        "seconds": min(one["seconds"] for one in updates),  # the first compiles what is new
    }


def train_imagic(options: argparse.Namespace, name: str) -> dict[str, Any]:
    """Both stages of Imagic, and a picture of one step, in this process."""
    from jstyle.events import exhaust
    from jstyle.methods.imagic.settings import ImagicInputs, ImagicSettings
    from jstyle.methods.table import METHODS
    from jstyle.settings.model import ModelSettings
    from jstyle.training.report import read_log

    usual = ImagicSettings(tune=IMAGIC[name])
    loops = {
        loop: replace(getattr(usual, loop), steps=options.updates) for loop in ("embedding_loop", f"{usual.tune}_loop")
    }
    size = {"width": options.size, "height": options.size}
    settings = replace(usual, **loops, **size, steps=1, recompute=options.recompute)
    model = ModelSettings(model=str(random_models.ensure(options.weights, "sd21")))
    with tempfile.TemporaryDirectory() as place:
        inputs = ImagicInputs(PICTURE, "a lighthouse", (0.5,), Path(place))
        exhaust(METHODS["imagic"].start(inputs, settings, model))
        first, second = (
            min(one["seconds"] for folder in Path(place, "trainings").glob(f"{stage}-*") for one in read_log(folder))
            for stage in ("embedding", usual.tune)
        )
    return {
        "method": name,
        "size": options.size,
        "recompute": options.recompute,
        "seconds": second,
        "embedding_seconds": first,
    }


def _key(training: dict[str, Any]) -> tuple:
    return training["method"], training["size"], training["recompute"]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("methods", nargs="+")
    parser.add_argument("--size", type=int, default=512, help="pixels along a side")
    parser.add_argument("--recompute", action="store_true", help="compute the UNet's blocks twice and keep less")
    parser.add_argument("--updates", type=int, default=2)
    parser.add_argument(
        "--weights", type=Path, default=default_weights(), help="folder for random weights, up to 7.8 GB"
    )
    parser.add_argument("--output", type=Path, default=COSTS / "sd21_training.json")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
