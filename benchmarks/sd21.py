"""Stable Diffusion 2.1's full configuration with random weights: does it run here, how long, in how much memory?

    python -m benchmarks.sd21 txt2img --steps 2 --size 512
    python -m benchmarks.sd21 styleid --steps 4 --size 512 --features recompute
    python -m benchmarks.sd21 decode --size 1024 --tiled

Prints seconds per stage and the peak resident memory of the process.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image

from benchmarks import random_models
from benchmarks.options import ROOT
from jstyle.diffusion.noise import NoiseSource
from jstyle.diffusion.tokenizer import load_tokenizer
from jstyle.events import Evaluated
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.weights.checkpoint import Components
from styleid.run import StyleID
from styleid.settings import StyleIDSettings

SAMPLES = ROOT / "samples"


def main() -> None:
    """Do the work that is named once and print its seconds and memory."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("work", choices=["txt2img", "styleid", "decode"])
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--size", type=int, default=512, help="pixels along a side")
    parser.add_argument("--features", choices=["memory", "disk", "recompute"], default="recompute")
    parser.add_argument("--tiled", action="store_true", help="decode in tiles")
    options = parser.parse_args()
    start = time.perf_counter()
    pipe = random_sd21()
    print(f"{'weights':<22}{time.perf_counter() - start:8.1f} s, peak {peak():.2f} GB")
    start = time.perf_counter()
    if options.work == "txt2img":
        text_to_image(pipe, options)
    elif options.work == "styleid":
        styleid(pipe, options)
    else:
        decode(pipe, options)
    print(f"{options.work:<22}{time.perf_counter() - start:8.1f} s, peak {peak():.2f} GB")


def text_to_image(pipe: StableDiffusionPipeline, options: argparse.Namespace) -> None:
    """One guided image."""
    last = [time.perf_counter()]

    def on_step(step: Any) -> None:
        now = time.perf_counter()
        print(f"  step {step.index:<15}{now - last[0]:8.1f} s, peak {peak():.2f} GB", flush=True)
        last[0] = now

    pipe("a house", options.size, options.size, options.steps, seed=0, on_step=on_step)


def decode(pipe: StableDiffusionPipeline, options: argparse.Namespace) -> None:
    """One latent to one image."""
    if options.tiled:
        pipe.enable_vae_tiling()
    latent = NoiseSource([0]).normal("latents", pipe.latent_shape(options.size, options.size))
    print(f"  an image of {pipe.decode_latents(latent).shape[2:]}")


def styleid(pipe: StableDiffusionPipeline, options: argparse.Namespace) -> None:
    """One content in one style. A stage's seconds are those before its steps; the last are the decoding's."""
    settings = StyleIDSettings(steps=options.steps, width=options.size, height=options.size, features=options.features)
    content = Image.open(SAMPLES / "content" / "house_by_the_sea.png")
    style = Image.open(SAMPLES / "style" / "watercolour.png")
    seconds, evaluations, last = defaultdict(float), 0, time.perf_counter()
    with TemporaryDirectory() as store:
        for event in StyleID(pipe, settings, store=Path(store)).stylise_pairs([content], [style]):
            stage = event.stage if isinstance(event, Evaluated) else "decoding"
            now = time.perf_counter()
            seconds[stage], last = seconds[stage] + now - last, now
            if isinstance(event, Evaluated):
                evaluations += event.count
            else:
                print(f"  {event.error or 'the picture is finite'}")
    for stage, spent in seconds.items():
        print(f"  {stage:<20}{spent:8.1f} s")
    print(f"  {'UNet evaluations':<20}{evaluations:8}")


def random_sd21() -> StableDiffusionPipeline:
    """The networks of Stable Diffusion 2.1 (768 px, v-prediction), filled in memory: no file is written."""
    unet, vae, text = (random_models.network(part, "sd21") for part in ("unet", "vae", "text_encoder"))
    for network in (unet, vae, text):
        for name, parameter in network.named_parameters():
            parameter.assign(jt.array(random_models.fill(name, tuple(parameter.shape))))
            parameter.sync()
    tokenizer = random_models.EMBEDDED / "tokenizer"
    return StableDiffusionPipeline(
        Components(unet, vae, text, load_tokenizer(tokenizer), random_models.SCHEDULE, tokenizer)
    )


def peak() -> float:
    """Peak resident memory of this process in GB (10^9 bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    main()
