"""One call of Stable Diffusion 2.1's UNet: this project, PyTorch, OpenVINO, and JDiffusion where it is installed.

    python -m benchmarks.unet [--batch 1,2,3] [--latent 64] [--precision bf16]

``--sides jdiffusion,jdiffusion-accelerated,jstyle`` compares JDiffusion as it is, with ``jstyle.accelerate``, and this
project's own networks. Every call gets its inputs anew, so nothing that depends on the text is kept between calls.
"""

from __future__ import annotations

import sys

import numpy as np

from benchmarks.harness import Benchmark
from benchmarks.options import numbers, parser

SIDES = ("jstyle", "torch", "openvino", "jdiffusion", "jdiffusion-accelerated")
TOLERANCE = {"fp32": 1e-3, "bf16": 0.2}
WIDTHS = {"sd21": 1024, "mini": 64}  # of a text's embedding
TIME = 501


def main() -> int:
    """1 where nothing could be compared, or the sides disagree."""
    made = parser(__doc__, SIDES)
    made.add_argument("--batch", type=numbers, default=[1, 2, 3])
    made.add_argument("--latent", type=int, default=64, help="side of the latent, an eighth of the picture's")
    options = made.parse_args()
    title = f"UNet call, {options.latent * 8} px"
    benchmark = Benchmark("unet", title, options, model="sd21-unet", tolerance=TOLERANCE[options.precision])
    for batch in options.batch:
        benchmark.add(f"batch {batch}", "unet", inputs(batch, options.latent, WIDTHS[options.model]), time=TIME)
    return benchmark.run()


def inputs(batch: int, latent: int, width: int) -> dict[str, np.ndarray]:
    """Unit noise in place of latents and texts."""
    rng = np.random.default_rng(batch)
    return {
        "sample": rng.standard_normal((batch, 4, latent, latent), np.float32),
        "text": rng.standard_normal((batch, 77, width), np.float32),
    }


if __name__ == "__main__":
    sys.exit(main())
