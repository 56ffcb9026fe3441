"""How much a picture loses by DDIM inversion and back: content -> noise -> content, without guidance.

    python -m benchmarks.round_trip [--model tiny | --random sd21-unet --size 64] [--image PATH] [--plot FILE]
    python -m benchmarks.round_trip --prompt TEXT [--guidance 3] [--image PATH]

For 20, 50 and 100 steps and both conventions, and for 10, 20 and 50 steps with 0 to 3 further calls in each step of
the inversion "target" (`fixed_point`): the relative error of the latent and the PSNR of the picture against the
autoencoder's own reconstruction. ``--random`` takes random weights in place of a model, on latents that are noise, and
measures the further calls' latents alone. ``--plot`` draws what was measured of the further calls to FILE, a PNG,
beside what other models gave, which `benchmarks/quality/round_trips.json` keeps. With ``--prompt`` it is guided
instead: how near a picture comes back from its inversion, by itself and with null-text optimisation (arXiv
2211.09794), at 20 steps.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import random_models
from benchmarks.options import ROOT, default_weights
from jstyle.diffusion.noise import NoiseSource
from jstyle.diffusion.samplers import INVERSIONS, ddim, ddim_invert
from jstyle.events import exhaust
from jstyle.files import write_text
from jstyle.methods.null_text import NullTextDenoiser, NullTextSettings
from jstyle.methods.prompt_to_prompt.settings import PromptToPromptSettings
from jstyle.methods.prompt_to_prompt.source import invert_path
from jstyle.pictures import images
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.training.teaching.tuning import frozen

SAMPLE = ROOT / "samples" / "content" / "house_by_the_sea.png"
KEPT = ROOT / "benchmarks" / "quality" / "round_trips.json"
STEPS = (10, 20, 50)
MOST_CALLS = 3
GUIDED_STEPS = 20


def main() -> None:
    """Invert a picture, sample it again, and print how near it comes, by steps."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--random", choices=list(random_models.MODELS), help="random weights in place of a model")
    parser.add_argument("--weights", type=Path, default=default_weights(), help="folder for random weights")
    parser.add_argument("--size", type=int, help="pixels; the model's own size by default")
    parser.add_argument("--steps", nargs="+", type=int, default=STEPS, help="with which further calls are measured")
    parser.add_argument("--image", type=Path, default=SAMPLE)
    parser.add_argument("--prompt", help="what the picture shows: measures guided round trips")
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--plot", type=Path, help="a PNG")
    options = parser.parse_args()
    model = str(random_models.ensure(options.weights, options.random)) if options.random else options.model
    pipe = StableDiffusionPipeline.from_pretrained(model)
    size = options.size or pipe.size
    with jt.no_grad():
        if options.random:
            clean = NoiseSource([0]).normal("clean", pipe.latent_shape(size, size))
            found = dict(measure_further_calls(pipe, clean, options.steps))
        else:
            clean = pipe.encode_images(jt.array(images.to_array([open_picture(options.image, size)])))
            if options.prompt is not None:
                compare_guided(pipe, clean, options.prompt, options.guidance)
                return
            compare_conventions(pipe, clean)
            found = dict(measure_further_calls(pipe, clean, options.steps, pipe.decode_latents(clean)))
    if options.plot:
        add_to_plot(options.plot, f"{options.random or options.model}, {size} px", found)


def open_picture(path: Path, size: int) -> Any:
    """A picture in a square of that size."""
    return images.fit(images.open_image(path), size, size)


def compare_conventions(pipe: StableDiffusionPipeline, clean: jt.Var) -> None:
    """Print what either convention loses, from the first and from the second sampling step."""
    reference = pipe.decode_latents(clean)
    print(f"{'convention':<12}{'start':<8}{'steps':>6}{'latent error':>14}{'PSNR':>10}")
    for convention in INVERSIONS:
        for skipped in (0, 1):
            for steps in (20, 50, 100):
                back = round_trip(pipe, clean, steps, convention, skipped)
                start = "second" if skipped else "first"
                lost = f"{measure_error(back, clean):>13.3%}{measure_psnr(pipe, back, reference):>7.1f} dB"
                print(f"{convention:<12}{start:<8}{steps:>6}{lost}")


def measure_further_calls(
    pipe: StableDiffusionPipeline, clean: jt.Var, choices: Sequence[int], reference: Any = None
) -> Iterator[tuple[int, list[float]]]:
    """(steps, the latent's relative error by further calls), printed on the way, with ``reference`` PSNR too."""
    print(f"{'further calls':<20}{'steps':>6}{'latent error':>14}{'PSNR':>10}", flush=True)
    for steps in choices:
        errors = []
        for calls in range(MOST_CALLS + 1):
            back = round_trip(pipe, clean, steps, "target", fixed_point=calls)
            errors.append(measure_error(back, clean))
            psnr = "" if reference is None else f"{measure_psnr(pipe, back, reference):>7.1f} dB"
            print(f"{calls:<20}{steps:>6}{errors[-1]:>13.4%}{psnr}", flush=True)
        yield steps, errors


def compare_guided(pipe: StableDiffusionPipeline, clean: jt.Var, prompt: str, guidance: float) -> None:
    """Print how near the picture comes back under guidance, by further calls and null texts' updates."""
    reference, steps = pipe.decode_latents(clean), GUIDED_STEPS
    text, null = pipe.encode_texts(prompt), pipe.encode_texts("")
    print(f"{'further calls':<16}{'updates':>8}{'latent error':>14}{'PSNR':>10}", flush=True)
    for calls in (0, 2):
        path = exhaust(invert_path(pipe.denoiser([prompt]), clean, pipe.schedule, steps, calls))
        for updates in (0, 10):
            settings = NullTextSettings(guidance, steps, updates, PromptToPromptSettings().null_text_rate)
            denoiser, x = NullTextDenoiser(pipe, settings, path, text, null), jt.array(path[:1])
            with frozen(pipe.unet):
                for step in ddim(denoiser, x, pipe.schedule, steps):
                    x = step.x
            lost = f"{measure_error(x, clean):>13.3%}{measure_psnr(pipe, x, reference):>7.1f} dB"
            print(f"{calls:<16}{updates:>8}{lost}", flush=True)


def measure_error(back: jt.Var, clean: jt.Var) -> float:
    """The latent's relative error."""
    found, wanted = np.array(back.numpy()), np.array(clean.numpy())
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


def measure_psnr(pipe: StableDiffusionPipeline, back: jt.Var, reference: np.ndarray) -> float:
    """Of the latent's picture, in [-1, 1]."""
    return float(-10 * np.log10(np.mean((pipe.decode_latents(back) - reference) ** 2) / 4))


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


def add_to_plot(file: Path, model: str, found: Mapping[int, Sequence[float]]) -> None:
    """Draw errors by further calls, a panel a model, a line a number of steps."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    known = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    known[model] = {str(steps): errors for steps, errors in found.items()}
    write_text(KEPT, json.dumps(known, indent=1) + "\n")
    figure = Figure(figsize=(4.5 * len(known), 4), layout="constrained")
    panels = figure.subplots(1, len(known), sharey=True, squeeze=False)[0]
    for axes, (name, lines) in zip(panels, known.items()):
        for steps, errors in lines.items():
            axes.semilogy(range(len(errors)), errors, marker="o", label=f"{steps} steps")
        axes.set(title=name, xlabel="further calls in each step of the inversion", xticks=range(MOST_CALLS + 1))
        axes.grid(visible=True, which="major", alpha=0.3)
    panels[0].set_ylabel("error of the latent after the round trip")
    panels[0].legend()
    FigureCanvasAgg(figure).print_png(file)


if __name__ == "__main__":
    main()
