"""An update of a style's training: of textual inversion's vector, and of a LoRA of rank 4, at batch 1.

    python -m benchmarks.style_update [--methods textual_inversion,lora] [--size 512] [--rounds 3]

``torch`` does what an update of diffusers' training scripts does: the picture through the VAE and the caption through
the text encoder each time, forward, backward, clipping (LoRA), AdamW, and for textual inversion AdamW over the whole
embedding with all rows but one put back. ``torch-reuse`` keeps the latent and, for LoRA, the text's embedding between
updates, as jstyle does. Nobody computes activations twice.
"""

from __future__ import annotations

import sys

import numpy as np

from benchmarks.harness import Benchmark
from benchmarks.options import parser
from benchmarks.random_models import SCHEDULE
from benchmarks.unet import TIME
from jstyle.diffusion.schedule import Schedule

SIDES = ("jstyle", "torch", "torch-reuse")
METHODS = ("textual_inversion", "lora")
WORD = 700  # the token id that is learnt; every text encoder here has as many
TOLERANCE = 1e-3


def main() -> int:
    """1 where nothing could be compared, or the sides disagree."""
    made = parser(__doc__, SIDES, precisions=("fp32",))
    made.add_argument("--methods", type=lambda text: text.split(","), default=list(METHODS))
    made.add_argument("--size", type=int, default=512, help="pixels along a side")
    made.set_defaults(rounds=3)
    options = made.parse_args()
    title = f"An update of a training, {options.size} px"
    benchmark = Benchmark("style_update", title, options, model="sd21", tolerance=TOLERANCE)
    alpha_bar = float(Schedule(SCHEDULE).alpha_bars[TIME])
    for method in options.methods:
        benchmark.add(
            method, "update", inputs(options.size, method), method=method, time=TIME, alpha_bar=alpha_bar, word=WORD
        )
    return benchmark.run()


def inputs(size: int, method: str) -> dict[str, np.ndarray]:
    """A picture, the noise, and a caption, in which the word stands where it is learnt."""
    rng = np.random.default_rng(1)
    ids = rng.integers(10, WORD, (1, 77))
    if method == "textual_inversion":
        ids[0, 4] = WORD
    return {
        "image": rng.uniform(-1, 1, (1, 3, size, size)).astype(np.float32),
        "ids": ids.astype(np.int32),
        "noise": rng.standard_normal((1, 4, size // 8, size // 8), np.float32),
    }


if __name__ == "__main__":
    sys.exit(main())
