"""What the embedded model can do, measured on drawings that it never saw.

    python -m benchmarks.tiny_quality [--model tiny] [--photographs FOLDER] [--parts vae text variety styleid speed]

A judge, trained on other drawings the first time (some minutes), reads object, colour, setting and technique in
drawings, in what the autoencoder leaves of them, and in generated pictures. Seeds are fixed. The results go to
``benchmarks/quality/results.json``, part by part.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe
from benchmarks.options import ROOT
from benchmarks.quality import adherence, judge, reconstruction, stylisation
from benchmarks.quality.pairs import SEED, STYLES, draw_pairs
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.training.draws import make_generator
from recipes.tiny import pictures
from recipes.tiny.drawings import render, sample_scene
from recipes.tiny.settings import PictureSettings

COUNTS = (300, 100)  # captions of seen pairs of object and technique, and of pairs kept from training
PROMPTS, SEEDS = 12, 8  # for variety
TRAINED_ON = PictureSettings(count=20000)  # as many of the recipe's drawings are looked at for copies


class Study:
    """The pictures and the judge that all parts share."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.pipe = StableDiffusionPipeline.from_pretrained(options.model)
        self.reader = judge.train(options.work)
        rng = make_generator(SEED, 0, "scenes")
        self.unseen = [i >= COUNTS[0] for i in range(sum(COUNTS))]
        self.scenes = [sample_scene(rng, unseen=unseen) for unseen in self.unseen]
        self.drawings = np.stack([render(scene, self.pipe.size) for scene in self.scenes])

    def photographs(self) -> Mapping[str, np.ndarray]:
        """The photographs by name, (side, side, 3) each; none without their folder."""
        folder = self.options.photographs
        return reconstruction.photographs(folder, self.pipe.size) if folder else {}

    def vae(self) -> dict[str, Any]:
        """What the autoencoder gives back of drawings and photographs."""
        return reconstruction.measure(self.pipe.vae, self.drawings, self.scenes, self.photographs(), self.reader)

    def text(self) -> dict[str, Any]:
        """How often the judge reads what was asked for."""
        prompts = [adherence.prompt(scene) for scene in self.scenes]
        made = adherence.generate(self.pipe, prompts, self.options.guidance, self.options.steps)
        np.save(self.options.work / "generated.npy", made)
        return adherence.measure(self.reader, made, self.scenes, self.unseen)

    def variety(self) -> dict[str, Any]:
        """How far apart seeds are, and whether training drawings come back."""
        chosen, work = self.scenes[:PROMPTS], self.options.work
        prompts = [adherence.prompt(scene) for scene in chosen for _ in range(SEEDS)]
        made = adherence.generate(self.pipe, prompts, self.options.guidance, self.options.steps)
        drawn = np.stack([render(replace(scene, seed=i), self.pipe.size) for scene in chosen for i in range(SEEDS)])
        grouped = [one.reshape(PROMPTS, SEEDS, *one.shape[1:]) for one in (made, drawn)]
        known = np.stack([pictures.render(scene, work, self.pipe.size) for scene in pictures.scenes(TRAINED_ON, work)])
        return {**adherence.variety(*grouped), **adherence.copies(made, self.drawings, known)}

    def styleid(self) -> dict[str, Any]:
        """How near StyleID comes to each style, and what it keeps."""
        pairs = draw_pairs(self.pipe.size, self.photographs())
        drawn = [[render(replace(scene, technique=one), self.pipe.size) for one in STYLES] for scene in pairs.scenes]
        return stylisation.measure(self.pipe, pairs.contents, pairs.styles, STYLES, drawn, self.reader)

    def speed(self) -> dict[str, Any]:
        """Seconds of a picture."""
        self.pipe("a red house", num_inference_steps=2, seed=0)
        seconds = []
        for seed in range(3):
            start = time.perf_counter()
            self.pipe("a red house", num_inference_steps=50, seed=seed)
            seconds.append(time.perf_counter() - start)
        return {"seconds of a picture, 50 guided DDIM steps": float(np.median(seconds))}


PARTS: tuple[tuple[str, Callable[[Study], dict[str, Any]]], ...] = (
    ("vae", Study.vae),
    ("text", Study.text),
    ("variety", Study.variety),
    ("styleid", Study.styleid),
    ("speed", Study.speed),
)


def main() -> None:
    """Measure the parts that were asked for; the record keeps what it has of others."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--photographs", type=Path, help="folder; scikit-image's astronaut, coffee, chelsea and rocket")
    parser.add_argument("--parts", nargs="+", choices=[name for name, _ in PARTS], default=[name for name, _ in PARTS])
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "quality", help="the judge, and what it looked at")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "quality" / "results.json")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    study = Study(options)
    for name, part in PARTS:
        if name in options.parts:
            record(options.output, name, {"guidance": options.guidance, "steps": options.steps, **part(study)})


def record(file: Path, part: str, found: dict[str, Any]) -> None:
    """Put one part's results into the file, beside the others'."""
    known = json.loads(file.read_text()) if file.exists() else {}
    known[part] = {**found, "machine": describe()}
    file.write_text(json.dumps(known, indent=1) + "\n")
    print(json.dumps({part: found}, indent=1))


if __name__ == "__main__":
    main()
