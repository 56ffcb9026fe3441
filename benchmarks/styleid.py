"""StyleID from pictures to pictures: this project, and diffusers pair after pair as the authors' code does it.

    python -m benchmarks.styleid [--pairs 1,3] [--steps 5] [--size 512]
    python -m benchmarks.styleid --model mini --size 128 --check        # the two sides compute the same

``--pairs 3`` is 3 contents in 3 styles. ``--sides jstyle,torch,torch-reuse`` adds a diffusers side that inverts each
picture once, as jstyle does. ``--check`` keeps jstyle's features in fp32, as the peers do, and demands equal latents.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from benchmarks.harness import Benchmark
from benchmarks.options import ROOT, numbers, parser
from benchmarks.unet import TIME, WIDTHS
from benchmarks.unet import inputs as unet_inputs

SIDES = ("jstyle", "torch", "torch-reuse")
TOLERANCE = {"fp32": 0.02, "bf16": 0.5}  # of latents after many steps
CHECK = 2e-4
SAMPLES = ROOT / "samples"


def main() -> int:
    """1 where nothing could be compared, or the sides disagree."""
    made = parser(__doc__, SIDES)
    made.set_defaults(sides=["jstyle", "torch"])
    made.add_argument("--pairs", type=numbers, default=[1, 3], help="contents, and as many styles")
    made.add_argument("--steps", type=int, default=5, help="of the inversions and of the stylisation")
    made.add_argument("--size", type=int, default=512, help="pixels along a side")
    made.add_argument("--check", action="store_true")
    options = made.parse_args()
    title = f"StyleID, {options.size} px, {options.steps} steps"
    tolerance = CHECK if options.check else TOLERANCE[options.precision]
    benchmark = Benchmark("styleid", title, options, model="sd21", tolerance=tolerance)
    probe = unet_inputs(1, options.size // 8, WIDTHS[options.model])
    for count in options.pairs:
        arrays = {name: _pictures(name, count, options.size) for name in ("content", "style")}
        benchmark.add(
            f"{count} x {count}",
            "styleid",
            {f"{name}s": one for name, one in arrays.items()},
            probe,
            time=TIME,
            steps=options.steps,
            feature_dtype="float32" if options.check else "float16",
        )
    return benchmark.run()


def _pictures(role: str, count: int, size: int) -> np.ndarray:
    """The first sample pictures, (count, size, size, 3) uint8, cut to squares already."""
    files: list[Path] = sorted((SAMPLES / role).glob("*.png"))
    if count > len(files):
        sys.exit(f"error: there are only {len(files)} sample pictures for {role}, not {count}")
    fitted = [ImageOps.fit(Image.open(file).convert("RGB"), (size, size)) for file in files[:count]]
    return np.stack([np.asarray(one) for one in fitted])


if __name__ == "__main__":
    sys.exit(main())
