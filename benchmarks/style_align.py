"""What Style Aligned costs: seconds a target beside plain generation of the same target, on random weights.

    python -m benchmarks.style_align [--targets 1,4,8] [--batch 1] [--steps 3] [--size 512] [--preset sd]
    python -m benchmarks.style_align --model mini --size 128 --rounds 1      # only tries the benchmark itself

Plain generation, the set with its reference, and more targets of a reference that is known take turns in one process.
Decoding, which is the same for all, is left out. "off by" is the difference, with style_strength 0, from plain
generation, which must be nothing but rounding.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import numpy as np

from benchmarks import machine, random_models
from benchmarks.options import COSTS, numbers, parser
from benchmarks.recording import command_line, say, write
from jstyle.methods.sets import TextReference
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.settings.reader import build
from style_align.run import AlignedSet, Target
from style_align.settings import PRESETS, StyleAlignSettings

REFERENCE = TextReference("a toy train, macro photo", 0)
NEGLIGIBLE = 1e-3
MEASURES = ("plain", "set", "more targets")


def main() -> int:
    """1 where a set of no strength differs from plain generation."""
    made = parser(__doc__, ("jstyle",))
    made.add_argument("--targets", type=numbers, default=[1, 4, 8])
    made.add_argument("--batch", type=int, default=1, help="targets that go through the UNet together")
    made.add_argument("--steps", type=int, default=3)
    made.add_argument("--size", type=int, default=512, help="pixels along a side")
    made.add_argument("--preset", choices=[name for name in PRESETS if name != "full_attention"], default="sd")
    made.set_defaults(rounds=3)
    options = made.parse_args()
    folder = random_models.ensure(options.weights, options.model)
    pipe = StableDiffusionPipeline.from_pretrained(str(folder), precision=options.precision)
    pipe.decode_latents = grey  # type: ignore[method-assign]
    record: dict[str, Any] = {
        "benchmark": "style_align",
        "title": f"Style Aligned ({options.preset}), {options.size} px, {options.steps} steps",
        "precision": options.precision,
        "threads": options.threads,
        "rounds": options.rounds,
        "command": command_line(),
        "machine": machine.describe(),
        "off_by": off_by(pipe, options),
        "cases": [],
    }
    for count in options.targets:
        record["cases"].append(measured(pipe, options, count))
        record["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        if options.output is not None or options.model == "sd21":
            write(record, options.output or COSTS / "style_align.json")  # each takes minutes: nothing is lost
    print(text(record))
    return 0 if record["off_by"] <= NEGLIGIBLE else 1


def grey(latents: jt.Var) -> np.ndarray:
    """In place of decoding."""
    jt.sync([latents])
    return np.zeros((latents.shape[0], 3, 8, 8), np.float32)


def settings(options: argparse.Namespace, **changes: Any) -> StyleAlignSettings:
    """The run's settings; plain generation has the same guidance."""
    common = {"preset": options.preset, "steps": options.steps, "batch_size": options.batch}
    return build(StyleAlignSettings, {**common, "width": options.size, "height": options.size, **changes})


def targets(count: int) -> list[Target]:
    """That many prompts, each with its seed."""
    return [Target(f"a toy car number {i}, macro photo", i + 1) for i in range(count)]


def plain(pipe: StableDiffusionPipeline, options: argparse.Namespace, wanted: Sequence[Target]) -> np.ndarray:
    """The same targets by text-to-image, in the same batches."""
    batches = [wanted[i : i + options.batch] for i in range(0, len(wanted), options.batch)]
    made = [
        pipe(
            [one.prompt for one in batch],
            options.size,
            options.size,
            options.steps,
            guidance_scale=settings(options).choose_guidance(False),
            seed=[one.seed for one in batch],
            output_type="latent",
        ).images
        for batch in batches
    ]
    return np.concatenate(made)


def measured(pipe: StableDiffusionPipeline, options: argparse.Namespace, count: int) -> dict[str, Any]:
    """Seconds of each measure, round after round, for so many targets."""
    wanted = targets(count)
    known = AlignedSet(pipe, settings(options, features="memory"), [REFERENCE])

    def whole_set() -> None:
        AlignedSet(pipe, settings(options, features="recompute"), [REFERENCE]).make_all(wanted)

    calls: dict[str, Callable[[], Any]] = {
        "plain": lambda: plain(pipe, options, wanted),
        "set": whole_set,
        "more targets": lambda: known.make_all(wanted),
    }
    samples: dict[str, list[float]] = {name: [] for name in MEASURES}
    for index in range(-1, options.rounds):  # the round before the first compiles, and makes the reference known
        start = index % len(MEASURES)
        for name in MEASURES[start:] + MEASURES[:start]:
            begun = time.perf_counter()
            calls[name]()
            jt.sync_all()
            seconds = time.perf_counter() - begun
            say(f"{count} targets: {name} {seconds:.2f} s")
            if index >= 0:
                samples[name].append(seconds)
    return {"targets": count, "batch": options.batch, "seconds": samples}


def off_by(pipe: StableDiffusionPipeline, options: argparse.Namespace) -> float:
    """How far a set of style_strength 0 is from plain generation."""
    wanted = targets(1)
    found: list[np.ndarray] = []
    not_decoding = pipe.decode_latents

    def noting(latents: jt.Var) -> np.ndarray:
        found.append(np.array(latents.numpy()))
        return not_decoding(latents)

    pipe.decode_latents = noting  # type: ignore[method-assign]
    AlignedSet(pipe, settings(options, style_strength=0.0), [REFERENCE]).make_all(wanted)
    pipe.decode_latents = not_decoding  # type: ignore[method-assign]
    expected = plain(pipe, options, wanted)
    return float(np.linalg.norm(found[0] - expected) / np.linalg.norm(expected))


def text(record: dict[str, Any]) -> str:
    """The run's table."""
    lines = [
        f"{record['title']}, {record['precision']}, {record['threads']} threads",
        f"{'targets':>8}{'plain':>12}{'with reference':>18}{'more targets':>16}   seconds a target (medians)",
    ]
    for case in record["cases"]:
        each = {name: median(case["seconds"][name]) / case["targets"] for name in MEASURES}
        ratios = [each[name] / each["plain"] for name in MEASURES[1:]]
        lines.append(
            f"{case['targets']:>8}{each['plain']:>12.2f}{each['set']:>10.2f} {ratios[0]:>6.2f}x"
            f"{each['more targets']:>8.2f} {ratios[1]:>6.2f}x"
        )
    lines += [
        f"off by {record['off_by']:.1e} at strength 0; peak memory {record['peak_bytes'] / 1e9:.2f} GB",
        f"{record['rounds']} rounds; `{record['command']}`",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
