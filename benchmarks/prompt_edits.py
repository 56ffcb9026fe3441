"""What Prompt-to-Prompt changes on the embedded model, and what it leaves: 40 edits of a colour, a thing, a technique.

    python -m benchmarks.prompt_edits [--work FOLDER] [--sheet FILE]

Each source is edited by one new word, and drawn with the new text and the same seed alone. The judge of
`benchmarks.tiny_quality` (trained the first time, some minutes) reads the new word and the three others. How far a
picture is from its source is measured in the autoencoder's latents, each place scaled to length 1 as in LPIPS
(arXiv 1801.03924, without learnt weights).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.options import ROOT
from benchmarks.quality import judge
from benchmarks.quality.adherence import prompt
from jstyle.methods.prompt_to_prompt.run import PromptToPrompt
from jstyle.methods.prompt_to_prompt.settings import PromptToPromptSettings
from jstyle.pictures import images
from jstyle.pictures.sheets import draw_grid
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.training.draws import make_generator
from recipes.tiny.drawings import MONOCHROME, Scene, sample_scene

SEED = 2208
EDITS: Mapping[str, int] = {"colour": 14, "object": 13, "technique": 13}
SHORT = PromptToPromptSettings(cross_replace_steps=(0.0, 0.4), self_replace_steps=(0.0, 0.2))
BLENDED = "short, local blend"
WAYS = ("default", "short windows", BLENDED)
STEPS = 20
GUIDANCE = 3.0
NEW_TEXT = "new text alone"


def main() -> None:
    """Make the edits and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "quality", help="the judge, and what it looked at")
    parser.add_argument("--sheet", type=Path, help="some of the pictures: source, edits, the new text alone")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    pipe, reader = StableDiffusionPipeline.from_pretrained("tiny"), judge.train(options.work)
    edits = draw_edits()
    made: dict[str, list[Image.Image]] = {"source": [], **{name: [] for name in WAYS}, NEW_TEXT: []}
    for seed, (source, target, _) in enumerate(edits):
        pictures = {
            name: PromptToPrompt(pipe, settings)(prompt(source), [prompt(target)], seed=seed)
            for name, settings in choose_settings(source, target).items()
        }
        for name, (_, edited) in pictures.items():
            made[name].append(edited)
        made["source"].append(pictures[WAYS[0]][0])
        made[NEW_TEXT] += pipe(
            prompt(target), num_inference_steps=STEPS, guidance_scale=GUIDANCE, seed=seed, sampler="ddim"
        ).images
    kinds = [kind for _, _, kind in edits]
    print(f"{'':<20}{'edits':<11}{'new word read':>14}{'others read':>13}{'distance':>10}")
    for name in (*WAYS, NEW_TEXT):
        far = measure_distances(pipe, made["source"], made[name])
        read = judge.hits(reader, np.stack([np.asarray(one) for one in made[name]]), [target for _, target, _ in edits])
        for chosen in (*EDITS, "all"):
            rows = [row for row, kind in enumerate(kinds) if chosen in (kind, "all")]
            new = np.array([read[kinds[row]][row] for row in rows])
            others = np.array([[read[kind][row] for kind in read if kind != kinds[row]] for row in rows])
            print(f"{name:<20}{chosen:<11}{np.nanmean(new):>14.0%}{np.nanmean(others):>13.0%}{far[rows].mean():>10.3f}")
    if options.sheet:
        shown = [row for kind in EDITS for row in [i for i, one in enumerate(kinds) if one == kind][:2]]
        columns = [f"{edits[row][2]}: {getattr(edits[row][1], edits[row][2])}" for row in shown]
        draw_grid([[made[name][row] for row in shown] for name in made], list(made), columns).save(options.sheet)


def choose_settings(source: Scene, target: Scene) -> dict[str, PromptToPromptSettings]:
    """Those of each way. Local blend is around both texts' things; another technique is to be everywhere."""
    words = (source.object,) if source.object == target.object else (source.object, target.object)
    blended = SHORT if source.technique != target.technique else replace(SHORT, blend_words=words)
    ways = dict(zip(WAYS, (PromptToPromptSettings(), SHORT, blended)))
    return {name: replace(way, steps=STEPS, guidance=GUIDANCE) for name, way in ways.items()}


def draw_edits() -> list[tuple[Scene, Scene, str]]:
    """(source, target, the kind of word in which they differ), none in a technique without colour."""
    rng, edits = make_generator(SEED, 0, "edits"), []
    for kind, count in EDITS.items():
        while sum(one == kind for _, _, one in edits) < count:
            source, other = sample_scene(rng), sample_scene(rng)
            target = replace(source, **{kind: getattr(other, kind)})
            if target != source and not {source.technique, target.technique} & set(MONOCHROME):
                edits.append((source, target, kind))
    return edits


def measure_distances(pipe: StableDiffusionPipeline, ones: list[Image.Image], others: list[Image.Image]) -> np.ndarray:
    """How far pictures are from others, (pictures,): 0 for the same, 4 at most."""
    units = [encode_units(pipe, pictures) for pictures in (ones, others)]
    return ((units[0] - units[1]) ** 2).sum(axis=1).mean(axis=(1, 2))


def encode_units(pipe: StableDiffusionPipeline, pictures: list[Image.Image]) -> np.ndarray:
    """Latents (pictures, channels, height, width), each place scaled to length 1."""
    latents = np.array(pipe.encode_images(jt.array(images.to_array(pictures))).numpy())
    return latents / np.linalg.norm(latents, axis=1, keepdims=True)


if __name__ == "__main__":
    main()
