"""What Style Aligned does to sets of pictures on the embedded model: 20 sets of 4, read and compared.

    python -m benchmarks.style_sets [--model tiny] [--sets 20] [--guidance 3] [--steps 30]

The same prompts and seeds are drawn plainly, with the style phrase alone, and as a set that shares its style (the first
picture is the reference), whole and in part. A set's consistency is the mean similarity of its pairs: of CLIP's image
embeddings by the model's own image encoder, which see texture and palette beside the thing, and of the competition's
colour histograms (Hist), which see palette alone. Text adherence is what the judge of `benchmarks.tiny_quality` reads.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np
from PIL import Image

from benchmarks import machine
from benchmarks.options import ROOT
from benchmarks.quality import judge, likeness
from jstyle.events import exhaust
from jstyle.files import write_text
from jstyle.methods.sets import TextReference
from jstyle.pictures import png_texts
from jstyle.pictures.sheets import draw_grid
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.settings.reader import build
from jstyle.training.draws import make_generator
from recipes.tiny.drawings import OBJECTS, TECHNIQUES, Scene
from style_align.run import AlignedSet, Target
from style_align.settings import StyleAlignSettings

SEED = 2312
EACH = 4
SHOWN = 3  # sets in the figure
WAYS: Mapping[str, Optional[dict[str, Any]]] = {
    "plain": None,
    "style phrase": None,
    "Style Aligned": {},
    "without AdaIN": {"adain_queries": False, "adain_keys": False},
    "full sharing": {"preset": "full_attention"},
}
"""How a set is drawn; settings of Style Aligned where it is at work."""

Thing = tuple[str, str, int]  # object, technique, seed


def main() -> None:
    """Draw and measure the sets in every way; write the results and the figure."""
    options = _options()
    pipe = StableDiffusionPipeline.from_pretrained(options.model)
    reader = judge.train(options.work)
    sets = _sets(options.sets)
    found: dict[str, Any] = {}
    drawn: dict[str, list[list[Image.Image]]] = {}
    for way, changes in WAYS.items():
        drawn[way] = [_draw(pipe, one, way, changes, options) for one in sets]
        found[way] = _measured(pipe, reader, drawn[way], sets)
        print(way, json.dumps(found[way]))
    told = {name: getattr(options, name) for name in ("sets", "guidance", "steps")}
    write_text(options.output, json.dumps({**told, "machine": machine.describe(), **found}, indent=1) + "\n")
    rows = [drawn[way][i] for i in range(min(SHOWN, len(sets))) for way in ("style phrase", "Style Aligned")]
    labels = [f"{one[0][1]}: {way}" for one in sets[:SHOWN] for way in ("phrase alone", "aligned")]
    png_texts.save_png(draw_grid(rows, labels, cell=rows[0][0].size), options.figure)


def _sets(count: int) -> list[list[Thing]]:
    """Different things in one technique, each with a seed of its own."""
    rng = make_generator(SEED, 0, "sets")
    found = []
    for number in range(count):
        things = rng.permutation(len(OBJECTS))[:EACH]
        technique = TECHNIQUES[number % len(TECHNIQUES)]
        found.append([(OBJECTS[thing], technique, 100 * number + i) for i, thing in enumerate(things)])
    return found


def _draw(
    pipe: StableDiffusionPipeline,
    things: Sequence[Thing],
    way: str,
    changes: Optional[Mapping[str, Any]],
    options: argparse.Namespace,
) -> list[Image.Image]:
    prompts = [f"a {thing}" if way == "plain" else f"a {thing}, {technique}" for thing, technique, _ in things]
    seeds = [seed for *_, seed in things]
    if changes is None:
        return pipe(prompts, num_inference_steps=options.steps, guidance_scale=options.guidance, seed=seeds).images
    settings = build(StyleAlignSettings, {"steps": options.steps, "guidance": options.guidance, **changes})
    aligned = AlignedSet(pipe, settings, [TextReference(prompts[0], seeds[0])])
    pictures = aligned.make_all([Target(prompt, seed) for prompt, seed in zip(prompts[1:], seeds[1:])])
    return [*exhaust(aligned.make_references()), *pictures]


def _measured(
    pipe: StableDiffusionPipeline,
    reader: judge.Judge,
    drawn: Sequence[Sequence[Image.Image]],
    sets: Sequence[Sequence[Thing]],
) -> dict[str, float]:
    """Means over the sets; the reference counts as one of its set. Adherence in per cent."""
    alike = [likeness.among(pipe, one) for one in drawn]
    scenes = [Scene(thing, "red", "plain", technique, 0) for one in sets for thing, technique, _ in one]
    right = judge.hits(reader, np.stack([np.asarray(picture) for one in drawn for picture in one]), scenes)
    told = {f"{key} among a set": float(np.mean([one[key] for one in alike])) for key in alike[0]}
    return {**told, **{f"{kind} read": 100 * float(right[kind].mean()) for kind in ("object", "technique")}}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--sets", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "quality", help="where the judge is kept")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "quality" / "style_sets.json")
    parser.add_argument("--figure", type=Path, default=ROOT / "docs" / "images" / "style_sets.png")
    return parser.parse_args()


if __name__ == "__main__":
    main()
