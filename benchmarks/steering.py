"""How far the embedded ControlNet's pictures keep to the edges that they are given.

    python -m benchmarks.steering [--controlnet tiny] [--pictures 48] [--scales 0 1 1.5] [--sheet FILE]

Scenes that no training drew, as posters, whose edges (Canny) are the maps. Edges of what is drawn from the map and the
caption are compared with the map's: correlation after a Gaussian of 1.5 px, as an edge that is a pixel off is no other.
The judge of `benchmarks.tiny_quality` reads the caption's words. Needs OpenCV (requirements-control.txt).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from benchmarks.options import ROOT
from benchmarks.quality import judge
from jstyle.networks import ControlNetModel
from jstyle.pictures.control_maps import make_map
from jstyle.pictures.sheets import draw_grid
from jstyle.pipelines.controlnet import StableDiffusionControlNetPipeline
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.training.draws import make_generator
from recipes.tiny.drawings import caption, render, sample_scene
from recipes.tiny.outlines import FLAT

SEED = 4242
SIGMA = 1.5
STEPS, GUIDANCE = 50, 3.0
AT_ONCE = 6
SHOWN = 6
KINDS = ("object", "colour", "setting", "technique")


def main() -> None:
    """Draw at each scale, and print what it keeps to and what is read."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--controlnet", default="tiny", help="a folder, or the embedded one")
    parser.add_argument("--pictures", type=int, default=48)
    parser.add_argument("--scales", type=float, nargs="+", default=[0.0, 1.0, 1.5], help="0 draws without the net")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "quality", help="the judge")
    parser.add_argument("--sheet", type=Path, help="some of the pictures, a column a scale")
    options = parser.parse_args()
    pipe, reader = StableDiffusionPipeline.from_pretrained("tiny"), judge.train(options.work)
    rng = make_generator(SEED, 0, "steering")
    scenes = [replace(sample_scene(rng), technique=FLAT) for _ in range(options.pictures)]
    captions = [caption(scene, rng) for scene in scenes]
    posters = [Image.fromarray(render(scene, pipe.size)) for scene in scenes]
    maps = [make_map(poster, "canny") for poster in posters]
    steered = StableDiffusionControlNetPipeline.from_pipe(
        pipe, controlnet=ControlNetModel.from_pretrained(options.controlnet)
    )
    columns = {"drawing": posters, "map": maps}
    print(f"{'scale':<8}{'edges':>8}" + "".join(f"{kind:>11}" for kind in KINDS))
    for scale in options.scales:
        made = draw_pictures(steered, captions, maps, scale)
        near = np.mean([correlate(edges, make_map(one, "canny")) for edges, one in zip(maps, made)])
        read = judge.hits(reader, np.stack([np.asarray(one) for one in made]), scenes)
        shares = [float(np.nanmean(read[kind])) for kind in ("object", "colour", "setting", "technique")]
        print(
            f"{scale:<8}{near:>8.3f}{shares[0]:>8.0%}{shares[1]:>8.0%}{shares[2]:>9.0%}{shares[3]:>11.0%}", flush=True
        )
        columns[f"scale {scale:g}"] = made
    if options.sheet:
        rows = [[column[row] for column in columns.values()] for row in range(min(SHOWN, options.pictures))]
        draw_grid(rows, [""] * len(rows), list(columns)).save(options.sheet)


def draw_pictures(
    pipe: StableDiffusionControlNetPipeline, captions: Sequence[str], maps: Sequence[Image.Image], scale: float
) -> list[Image.Image]:
    """A picture of each caption under its map, each with the seed of its number."""
    made: list[Image.Image] = []
    for start in range(0, len(captions), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        made += pipe(
            list(captions[rows]),
            image=list(maps[rows]),
            num_inference_steps=STEPS,
            guidance_scale=GUIDANCE,
            seed=list(range(len(captions)))[rows],
            controlnet_conditioning_scale=scale,
        ).images
    return made


def correlate(one: Image.Image, other: Image.Image) -> float:
    """The correlation of two pictures of edges, blurred."""
    blurred = [np.asarray(edges.convert("L").filter(ImageFilter.GaussianBlur(SIGMA)), float) for edges in (one, other)]
    return float(np.corrcoef(blurred[0].ravel(), blurred[1].ravel())[0, 1])


if __name__ == "__main__":
    main()
