"""How much a picture loses by DDIM inversion and back: content -> noise -> content, without guidance.

    python -m benchmarks.round_trip [--model tiny] [--image PATH]

For 20, 50 and 100 steps and both conventions, and for 10, 20 and 50 steps with 0 to 3 further calls in each step of
the inversion "target" (`fixed_point`): the relative error of the latent and the PSNR of the picture against the
autoencoder's own reconstruction.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.options import ROOT
from jstyle.diffusion.samplers import INVERSIONS, ddim, ddim_invert
from jstyle.pictures import images
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt

SAMPLE = ROOT / "samples" / "content" / "house_by_the_sea.png"


def main() -> None:
    """Invert a picture, sample it again, and print how near it comes, by steps."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--image", type=Path, default=SAMPLE)
    options = parser.parse_args()
    pipe = StableDiffusionPipeline.from_pretrained(options.model)
    picture = images.fit(images.open_image(options.image), pipe.size, pipe.size)
    with jt.no_grad():
        clean = pipe.encode_images(jt.array(images.to_array([picture])))
        reference = pipe.decode_latents(clean)
        print(f"{'convention':<12}{'start':<8}{'steps':>6}{'latent error':>14}{'PSNR':>10}")
        for convention in INVERSIONS:
            for skipped in (0, 1):
                for steps in (20, 50, 100):
                    back = round_trip(pipe, clean, steps, convention, skipped)
                    start = "second" if skipped else "first"
                    print(f"{convention:<12}{start:<8}{steps:>6}{describe_loss(pipe, back, clean, reference)}")
        print(f"{'further calls':<20}{'steps':>6}{'latent error':>14}{'PSNR':>10}")
        for steps in (10, 20, 50):
            for calls in range(4):
                back = round_trip(pipe, clean, steps, "target", fixed_point=calls)
                print(f"{calls:<20}{steps:>6}{describe_loss(pipe, back, clean, reference)}")


def describe_loss(pipe: StableDiffusionPipeline, back: jt.Var, clean: jt.Var, reference: np.ndarray) -> str:
    """The latent's relative error, and the PSNR of its picture."""
    error = float(jt.norm((back - clean).flatten(), 2, 0).numpy()[0])
    error /= float(jt.norm(clean.flatten(), 2, 0).numpy()[0])
    loss = np.mean((pipe.decode_latents(back) - reference) ** 2) / 4  # of pictures in [-1, 1]
    return f"{error:>13.3%}{-10 * np.log10(loss):>7.1f} dB"


def round_trip(
    pipe: StableDiffusionPipeline, clean: jt.Var, steps: int, convention: str, skipped: int = 0, fixed_point: int = 0
) -> jt.Var:
    """Invert a clean latent and sample it back, leaving out the first ``skipped`` sampling steps."""
    denoiser = pipe.denoiser("")
    x = clean
    for step in ddim_invert(denoiser, x, pipe.schedule, steps, convention, fixed_point=fixed_point):
        x = step.x
    for step in ddim(denoiser, x, pipe.schedule, steps, start=skipped):
        x = step.x
    return x


if __name__ == "__main__":
    main()
