"""ArtFusion at the paper's size, random weights: seconds and memory of ten steps, beside its authors' own program.

    python -m benchmarks.artfusion --program CHECKOUT [--peers PYTHON] [--size 256] [--rounds 3]

CHECKOUT is github.com/ChenDarYen/ArtFusion at 3c9c5e6; PYTHON has torch and einops. Each side runs in a process of its
own, in turn; a picture is both pictures read, ten DDIM steps at both scales (3 rows a call), and the result decoded.
The program's own classes run it, without PyTorch Lightning, which adds nothing to inference.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.options import COSTS, ROOT
from benchmarks.processes import own_memory

STEPS = 10


def main() -> None:
    """Run both sides in turn; print and keep their medians and the ratio."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    made.add_argument("--program", type=Path, required=True, help="checkout of the authors' program")
    made.add_argument("--peers", default=sys.executable, help="Python with torch and einops")
    made.add_argument("--size", type=int, default=256, help="pixels along a side")
    made.add_argument("--rounds", type=int, default=3, help="pictures of each side")
    made.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    made.add_argument("--alone", choices=["jstyle", "torch"], help=argparse.SUPPRESS)
    options = made.parse_args()
    if options.alone:
        run_side(options)
        return
    found: dict[str, Any] = {}
    processes = {side: start(side, options) for side in ("jstyle", "torch")}
    for side, process in processes.items():
        found[side] = {"seconds": [], "peak_bytes": 0}
        ask(process)  # loads, and makes a picture that is not counted
    for _ in range(options.rounds):
        for side, process in processes.items():
            found[side]["seconds"].append(ask(process))
            found[side]["peak_bytes"] = max(found[side]["peak_bytes"], own_memory(process.pid) or 0)
    for side, process in processes.items():
        process.terminate()
        median = float(np.median(found[side]["seconds"]))
        print(f"{side:7}{median:7.2f} s a picture of {STEPS} steps, {found[side]['peak_bytes'] / 1e9:.2f} GB held")
    ratio = float(np.median(np.array(found["torch"]["seconds"]) / np.array(found["jstyle"]["seconds"])))
    print(f"{ratio:.2f} times as fast, the median of {options.rounds} rounds")
    file = COSTS / f"artfusion_{options.size}.json"
    file.write_text(json.dumps({"size": options.size, "steps": STEPS, "ratio": ratio, **found}, indent=1) + "\n")


def start(side: str, options: argparse.Namespace) -> subprocess.Popen:
    """A side's process."""
    python = sys.executable if side == "jstyle" else options.peers
    words = ["--program", options.program, "--size", options.size, "--threads", options.threads, "--alone", side]
    path = os.pathsep.join([str(ROOT), *([str(options.program)] if side == "torch" else [])])
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads), "PYTHONPATH": path}
    command = [python, "-m", "benchmarks.artfusion", *map(str, words)]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def ask(process: subprocess.Popen) -> float:
    """The seconds of one picture."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    while True:
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"a side ended with {process.wait()}")
        if line.startswith("seconds "):
            return float(line.split()[1])


def run_side(options: argparse.Namespace) -> None:
    """A picture for every line that comes."""
    make = make_jstyle() if options.alone == "jstyle" else make_torch(options.threads)
    image = np.random.default_rng(0).uniform(-1, 1, (1, 3, options.size, options.size)).astype(np.float32)
    for _ in sys.stdin:
        began = time.perf_counter()
        make(image)
        print("seconds", time.perf_counter() - began, flush=True)


def make_jstyle() -> Any:
    """The picture of an array, by this project."""
    from jstyle.diffusion.samplers import ddim
    from jstyle.pipelines.artfusion import ArtFusionPipeline
    from jstyle.runtime import jt

    pipe = ArtFusionPipeline.from_pretrained(write_weights())

    def make(image: np.ndarray) -> None:
        latent = pipe.encode_images(jt.array(image))
        style = pipe.describe_style(jt.array(image[:, :, :256, :256]))
        denoiser = pipe.denoiser(pipe.describe_content(latent), style, 0.5, 2.0)
        x = jt.randn(latent.shape)
        for step in ddim(denoiser, x, pipe.schedule, STEPS):
            x = step.x
        pipe.decode_latents(x)

    return make


def write_weights() -> Path:
    """A file of the paper's sizes, made once."""
    from benchmarks.options import default_weights
    from jstyle.networks.artfusion.unet import StyleUNet
    from jstyle.networks.artfusion.vgg import VGG16
    from jstyle.networks.vae import AutoencoderKL
    from jstyle.weights.artfusion import ArtFusionSizes
    from jstyle.weights.single_file.names import find_vae_names
    from jstyle.weights.tensors import write_tensors

    file, sizes, rng = default_weights() / "artfusion.safetensors", ArtFusionSizes(), np.random.default_rng(0)
    if file.exists():
        return file
    find_name = find_vae_names(sizes.vae)
    named = [(f"model.diffusion_model.{name}", p) for name, p in StyleUNet(sizes.unet).named_parameters()]
    named += [(f"first_stage_model.{find_name(n).name}", p) for n, p in AutoencoderKL(sizes.vae).named_parameters()]
    named += [(f"vgg.{name}", p) for name, p in VGG16().named_parameters()]
    arrays = {name: rng.standard_normal(tuple(p.shape), np.float32) * np.float32(0.02) for name, p in named}
    arrays["null_style_vector.weight"] = np.zeros((1, sizes.unet.style_width), np.float32)
    arrays["shift_values"], arrays["scale_factors"] = np.zeros(16, np.float32), np.ones(16, np.float32)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(arrays, file)
    return file


def make_torch(threads: int) -> Any:
    """The picture of an array, by the authors' program: its UNet, VAE and sampler, and VGG16's layers."""
    sys.path.insert(0, str(ROOT / "tests" / "golden"))
    import record_artfusion as recipe
    import torch

    torch.set_num_threads(threads)
    recipe.WIDTHS = (64, 128, 256, 512, 512)
    recipe.STYLE = 2 * sum(recipe.WIDTHS)
    recipe.SIZES.update(
        image_size=16, in_channels=16, out_channels=16, content_in_dim=16, content_refined_dim=12, model_channels=384,
        context_dim=recipe.STYLE, num_head_channels=64, hidden_time_embed_dim=512, time_embed_dim=1024,
        num_norm_groups=32,
    )  # fmt: skip
    recipe.VAE.update(
        z_channels=16, resolution=256, ch=128, ch_mult=[1, 1, 2, 2, 4], num_res_blocks=2, attn_resolutions=[16]
    )
    recipe.SCALES, recipe.SHIFTS = [1.0] * 16, [0.0] * 16
    recipe.stand_in()
    model = recipe.build_model()
    model.device = torch.device("cpu")

    def make(image: np.ndarray) -> None:
        with torch.no_grad():
            pixels = torch.from_numpy(image)
            latent = model.get_first_stage_encoding(model.encode_first_stage(pixels))
            style = model.get_style_features(model.vgg(model.vgg_scaling_layer(pixels[:, :, :256, :256])))
            cond = {"c1": model.get_content_features(latent), "c2": style}
            draws = np.zeros((STEPS, *latent.shape), np.float32)
            found = recipe.sample(model, torch.randn(latent.shape), cond, draws, 0.5, 2.0, 0.0)
            model.decode_first_stage(torch.from_numpy(found[-1]))

    return make


if __name__ == "__main__":
    main()
