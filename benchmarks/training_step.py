"""Forward and backward through the UNet to the text's embedding, its weights frozen: what textual inversion repeats.

    python -m benchmarks.training_step [--batch 1] [--latent 64] [--precision bf16]

No activations are recomputed.
"""

from __future__ import annotations

import sys

import numpy as np

from benchmarks.harness import Benchmark
from benchmarks.options import numbers, parser
from benchmarks.unet import TIME, WIDTHS, inputs

SIDES = ("jstyle", "torch")
TOLERANCE = {"fp32": 1e-3, "bf16": 0.2}


def main() -> int:
    """1 where nothing could be compared, or the sides disagree."""
    made = parser(__doc__, SIDES)
    made.add_argument("--batch", type=numbers, default=[1])
    made.add_argument("--latent", type=int, default=64, help="side of the latent, an eighth of the picture's")
    options = made.parse_args()
    title = f"UNet forward and backward to the text, {options.latent * 8} px"
    benchmark = Benchmark("training_step", title, options, model="sd21-unet", tolerance=TOLERANCE[options.precision])
    for batch in options.batch:
        arrays = inputs(batch, options.latent, WIDTHS[options.model])
        arrays["target"] = np.random.default_rng(99).standard_normal(arrays["sample"].shape, np.float32)
        benchmark.add(f"batch {batch}", "training_step", arrays, time=TIME)
    return benchmark.run()


if __name__ == "__main__":
    sys.exit(main())
