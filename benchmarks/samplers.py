"""How near each deterministic sampler comes to the probability flow's end, for as many calls of the network.

    python -m benchmarks.samplers --evaluations 10 20 40

The embedded model draws four prompts from the same noise; the end of the flow is Heun's after 300 steps. A row is the
distance of the final latents from it, relative to their norm. It says nothing of how pictures look at few steps, only
how fast a sampler converges.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Optional

import numpy as np

from jstyle.diffusion.samplers import SAMPLERS, Sampler
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline

PROMPTS = ("a house by the sea", "a fish, woodcut", "a tree in autumn, watercolour", "a red car at night")
CURVES = (None, "karras")
GUIDANCE = 3.0


def draw_latents(pipe: StableDiffusionPipeline, sampler: Sampler, steps: int) -> np.ndarray:
    """The final latents of the prompts (4, channels, height, width)."""
    output = pipe(
        list(PROMPTS),
        num_inference_steps=steps,
        guidance_scale=GUIDANCE,
        seed=0,
        sampler=sampler.name,
        sigmas=sampler.sigmas,
        output_type="latent",
    )
    return output.images


def count_steps(sampler: Sampler, evaluations: int) -> int:
    """The most steps whose calls are no more than ``evaluations``."""
    return max(steps for steps in range(1, evaluations + 1) if sampler.calls(steps) <= evaluations)


def list_samplers() -> list[Sampler]:
    """Every sampler that draws no noise, over each curve that it follows."""
    still = [sampler for sampler in SAMPLERS.values() if not sampler.draws_noise()]
    by_times = ("ddim", "ddpm", "pndm")
    return [s.follow(curve) for s in still for curve in CURVES if curve is None or s.name not in by_times]


def measure(evaluations: Sequence[int]) -> None:
    """Print the table."""
    pipe = StableDiffusionPipeline.from_pretrained("tiny")
    end = draw_latents(pipe, SAMPLERS["heun"], 300)
    print(f"| sampler | {' | '.join(f'{count} calls' for count in evaluations)} |")
    print("|---|" + "---|" * len(evaluations))
    for sampler in list_samplers():
        cells = []
        for count in evaluations:
            latents = draw_latents(pipe, sampler, count_steps(sampler, count))
            cells.append(f"{np.linalg.norm(latents - end) / np.linalg.norm(end):.3f}")
        print(f"| {sampler.name}{f', {sampler.sigmas}' if sampler.sigmas else ''} | {' | '.join(cells)} |", flush=True)


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Read the words and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluations", type=int, nargs="+", default=[10, 20, 40])
    measure(parser.parse_args(argv).evaluations)


if __name__ == "__main__":
    main()
