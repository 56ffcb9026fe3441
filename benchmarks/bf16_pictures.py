"""How far pictures computed in bf16 are from those in fp32: the same prompts and seeds on the embedded model.

python -m benchmarks.bf16_pictures [--model tiny] [--steps 50]
"""

from __future__ import annotations

import argparse

import numpy as np

from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline

PROMPTS = (
    "a red house by the sea, watercolour",
    "a green tree in a field, oil",
    "a yellow boat by the sea, woodcut",
    "a blue cup on a table, poster",
)


def main() -> None:
    """Draw the pictures in both precisions and print how far apart they are."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--steps", type=int, default=50)
    options = parser.parse_args()
    made = []
    for precision in ("fp32", "bf16"):
        pipe = StableDiffusionPipeline.from_pretrained(options.model, precision=precision)
        made.append(pipe(list(PROMPTS), num_inference_steps=options.steps, seed=0, output_type="np").images)
    for prompt, wanted, found in zip(PROMPTS, *np.asarray(made, np.float64)):
        print(f"{prompt:40} {-10 * np.log10(((wanted - found) ** 2).mean()):5.1f} dB")


if __name__ == "__main__":
    main()
