"""Self-attention by itself, at the UNet's highest resolution for 512 and 768 px: 5 heads of 64.

python -m benchmarks.attention [--tokens 4096,9216] [--precision bf16]
"""

from __future__ import annotations

import sys

import numpy as np

from benchmarks.harness import Benchmark
from benchmarks.options import numbers, parser

SIDES = ("jstyle", "torch")
TOLERANCE = {"fp32": 1e-4, "bf16": 0.02}
HEADS, HEAD_DIM = 5, 64


def main() -> int:
    """1 where nothing could be compared, or the sides disagree."""
    made = parser(__doc__, SIDES)
    made.add_argument("--tokens", type=numbers, default=[4096, 9216])
    options = made.parse_args()
    title = f"Attention, {HEADS} heads of {HEAD_DIM}"
    benchmark = Benchmark("attention", title, options, model=None, tolerance=TOLERANCE[options.precision])
    for tokens in options.tokens:
        batch = 2 if tokens <= 4096 else 1
        arrays = _inputs(batch, tokens)
        for backward in (False, True):
            name = f"{batch} x {tokens} tokens, forward{' and backward' if backward else ''}"
            benchmark.add(name, "attention", arrays, backward=backward)
    return benchmark.run()


def _inputs(batch: int, tokens: int) -> dict[str, np.ndarray]:
    """q, k, v and the weights of the sum that is differentiated, (batch, tokens, heads, head_dim)."""
    rng = np.random.default_rng(tokens)
    shape = (batch, tokens, HEADS, HEAD_DIM)
    return {name: _exact_in_bf16(rng.standard_normal(shape, np.float32)) for name in ("q", "k", "v", "weight")}


def _exact_in_bf16(x: np.ndarray) -> np.ndarray:
    """The nearest numbers that bfloat16 holds, so that every side gets the same ones however it converts."""
    bits = x.view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)).view(
        np.float32
    )


if __name__ == "__main__":
    sys.exit(main())
