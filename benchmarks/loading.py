"""What loading a model holds at most, and when it is loaded, in bytes for each that its weights take.

    python -m benchmarks.loading [--model sd21] [--precision fp32 bf16]

Random weights in Stable Diffusion 2.1's shapes. Each precision in a process of its own, with the plan of a command
beside it, as every command has; mapped files are left out, which the system can take back.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from benchmarks import random_models
from benchmarks.options import ROOT, default_weights
from benchmarks.processes import own_memory


def main() -> None:
    """Load in each precision in a process of its own, and print what it held."""
    options = _options()
    if options.alone:
        print(json.dumps(load(options.model, options.weights, options.alone)))
        return
    for precision in options.precision:
        words = ["--alone", precision, "--model", options.model, "--weights", str(options.weights)]
        command = [sys.executable, "-m", "benchmarks.loading", *words]
        told = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
        found = json.loads(told.splitlines()[-1])
        print(
            f"{precision}: weights {found['weights'] / 1e9:.2f} GB, loaded {found['held'] / 1e9:.2f} GB, "
            f"at most {found['peak'] / 1e9:.2f} GB ({found['peak'] / found['weights']:.2f}x), {found['seconds']:.1f} s"
        )


def load(model: str, weights: Path, precision: str) -> dict[str, float]:
    """Plan and load in this process."""
    from jstyle.pipelines.cost import CountingPipeline
    from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
    from jstyle.settings.model import ModelSettings
    from jstyle.settings.reader import build

    settings = build(ModelSettings, {"model": str(random_models.ensure(weights, model)), "precision": precision})
    plan = CountingPipeline.from_settings(settings)
    peak, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            peak[0] = max(peak[0], own_memory(os.getpid()) or 0)

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    pipe = StableDiffusionPipeline.from_settings(settings)
    seconds = time.perf_counter() - start
    ended.set()
    watcher.join()
    assert plan.counts
    networks = (pipe.unet, pipe.vae, pipe.text_encoder)
    size = sum(each.numel() * each.dtype.dsize() for network in networks for each in network.parameters())
    return {"weights": size, "held": own_memory(os.getpid()) or 0, "peak": peak[0], "seconds": seconds}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--model", choices=list(random_models.MODELS), default="sd21")
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--weights", type=Path, default=default_weights(), help="folder for random weights")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
