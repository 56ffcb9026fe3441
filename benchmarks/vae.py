"""The autoencoder's two halves: a picture to a latent and back.

python -m benchmarks.vae [--size 512]
"""

from __future__ import annotations

import sys

import numpy as np

from benchmarks.harness import Benchmark
from benchmarks.options import parser

SIDES = ("jstyle", "torch")
TOLERANCE = 1e-3


def main() -> int:
    """1 where nothing could be compared, or the sides disagree."""
    made = parser(__doc__, SIDES, precisions=("fp32",))
    made.add_argument("--size", type=int, default=512, help="pixels along a side")
    options = made.parse_args()
    title = f"VAE, {options.size} px, one picture"
    benchmark = Benchmark("vae", title, options, model="sd21-vae", tolerance=TOLERANCE)
    rng = np.random.default_rng(0)
    image = rng.uniform(-1, 1, (1, 3, options.size, options.size)).astype(np.float32)
    latent = rng.standard_normal((1, 4, options.size // 8, options.size // 8), np.float32)
    benchmark.add("encode", "encode", {"image": image})
    benchmark.add("decode", "decode", {"latent": latent})
    return benchmark.run()


if __name__ == "__main__":
    sys.exit(main())
