"""What the embedded ControlNet does in Style Aligned's sets and in StyleID's pairs.

    python -m benchmarks.steered_methods [--part sets|pairs] [--scales 0 1 1.5] [--sheet FILE]

Sets: eight, each of a reference and three scenes in one technique, that no training drew; the maps are the edges
(Canny) of the scenes as posters. Edges of what is drawn are compared with the map's as in `benchmarks.steering`; how
alike a set's pictures are is `benchmarks.style_sets`'.
Pairs: the four drawings of samples/content in the four styles of samples/style, maps made of the contents. Edges of
brightness are compared with the content's and colours with the style's as in `benchmarks.quality.stylisation`, at cells
of 4 and 8 pixels at 256. Needs OpenCV (requirements-control.txt).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.options import ROOT
from benchmarks.quality import likeness
from benchmarks.quality.stylisation import correlation, edges, histogram
from benchmarks.steering import correlate
from jstyle.events import exhaust
from jstyle.methods.pairs import Stylised
from jstyle.methods.sets import TextReference
from jstyle.pictures import images
from jstyle.pictures.control_maps import make_map
from jstyle.pictures.sheets import draw_grid
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.settings.reader import build
from jstyle.training.draws import make_generator
from recipes.tiny.drawings import TECHNIQUES, caption, render, sample_scene
from recipes.tiny.outlines import FLAT
from style_align.run import AlignedSet, make_targets
from style_align.settings import StyleAlignSettings
from styleid.run import StyleID
from styleid.settings import StyleIDSettings

SEED = 2302
SETS, EACH = 8, 4
STEPS, GUIDANCE = 50, 3.0
CELLS = (4, 8)
SHOWN = 2  # sets in the figure

Row = list[Image.Image]


def main() -> None:
    """Draw at each scale and print what it keeps to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--part", choices=("sets", "pairs"), default="sets")
    parser.add_argument("--controlnet", default="tiny", help="a folder, or the embedded one")
    parser.add_argument("--scales", type=float, nargs="+", default=[0.0, 1.0, 1.5], help="0 draws without the net")
    parser.add_argument("--gamma", type=float, default=0.75, help="of the pairs")
    parser.add_argument("--sheet", type=Path, help="some of the pictures")
    options = parser.parse_args()
    pipe = StableDiffusionPipeline.from_pretrained("tiny")
    rows, labels = (draw_sets if options.part == "sets" else draw_pairs)(pipe, options)
    if options.sheet:
        draw_grid(rows, labels, cell=rows[0][0].size).save(options.sheet, quality=88)


def name_nets(options: argparse.Namespace, scale: float, **more: Any) -> dict[str, Any]:
    """The settings of the net at a scale; none where it is 0."""
    return {"controlnet": [options.controlnet], "control_scale": [scale], **more} if scale else {}


def draw_sets(pipe: StableDiffusionPipeline, options: argparse.Namespace) -> tuple[list[Row], list[str]]:
    """The sets, plain and steered; in a row some, side by side, the reference first."""
    rng = make_generator(SEED, 0, "sets")
    scenes = [
        [replace(sample_scene(rng), technique=TECHNIQUES[number % len(TECHNIQUES)]) for _ in range(EACH)]
        for number in range(SETS)
    ]
    captions = [[caption(scene, rng) for scene in one] for one in scenes]
    posters = [[draw(pipe, replace(scene, technique=FLAT)) for scene in one[1:]] for one in scenes]
    maps = [[make_map(poster, "canny") for poster in one] for one in posters]
    drawn = [[draw(pipe, scene) for scene in one] for one in scenes]
    print(f"{'scale':<10}{'edges':>8}{'CLIP':>8}{'Hist':>8}")
    print_sets(pipe, "renderer", drawn, maps)
    blank = Image.new("RGB", maps[0][0].size, "white")
    rows, labels = [[one for row in maps[:SHOWN] for one in (blank, *row)]], ["maps"]
    for scale in options.scales:
        settings = build(
            StyleAlignSettings, {"steps": STEPS, "guidance": GUIDANCE, **name_nets(options, scale), "batch_size": EACH}
        )
        made = [draw_set(pipe, settings, 100 * i, captions[i], maps[i] if scale else []) for i in range(SETS)]
        print_sets(pipe, f"{scale:g}", made, maps)
        rows.append([one for row in made[:SHOWN] for one in row])
        labels.append(f"scale {scale:g}" if scale else "without")
    return rows, labels


def draw(pipe: StableDiffusionPipeline, scene: Any) -> Image.Image:
    """A scene as the renderer has it."""
    return Image.fromarray(render(scene, pipe.size))


def draw_set(
    pipe: StableDiffusionPipeline, settings: StyleAlignSettings, seed: int, texts: Sequence[str], maps: Row
) -> Row:
    """A set, the reference first."""
    aligned = AlignedSet(pipe, settings, [TextReference(texts[0], seed)])
    targets = make_targets(texts[1:], seed)
    made = aligned.make_all(targets, aligned.open_controls(maps, len(targets)))
    return [*exhaust(aligned.make_references()), *made]


def print_sets(pipe: StableDiffusionPipeline, name: str, made: Sequence[Row], maps: Sequence[Row]) -> None:
    """How near the pictures but the references are to their maps, and how alike all of a set are."""
    near = [
        correlate(shown, make_map(one, "canny"))
        for row, of_row in zip(made, maps)
        for one, shown in zip(row[1:], of_row)
    ]
    alike = [likeness.among(pipe, row) for row in made]
    means = [float(np.mean([one[key] for one in alike])) for key in alike[0]]
    print(f"{name:<10}{np.mean(near):>8.3f}" + "".join(f"{mean:>8.3f}" for mean in means), flush=True)


def draw_pairs(pipe: StableDiffusionPipeline, options: argparse.Namespace) -> tuple[list[Row], list[str]]:
    """Every content in every style, plain and steered; rows of contents in the first style."""
    contents, styles = (
        [images.open_image(path) for path in sorted((ROOT / "samples" / role).glob("*.png"))]
        for role in ("content", "style")
    )
    method = StyleIDSettings(gamma=options.gamma)
    frame = pipe.make_frame(256, 256, method.fit)
    contents, styles = [frame.fit(one) for one in contents], [frame.fit(one) for one in styles]
    print(f"{'scale':<10}" + "".join(f"{f'edges {cell}':>9}" for cell in CELLS) + f"{'colours':>9}")
    columns = [contents, [make_map(content, "canny") for content in contents]]
    for scale in options.scales:
        settings = build(StyleIDSettings, {"gamma": options.gamma, **name_nets(options, scale, preprocess=["canny"])})
        events = StyleID(pipe, settings).stylise_pairs(contents, styles)
        made = {(event.content, event.style): event.image for event in events if isinstance(event, Stylised)}
        arrays = {pair: np.asarray(picture) for pair, picture in made.items()}
        kept = [
            np.mean(
                [correlation(edges(one, cell), edges(np.asarray(contents[i]), cell)) for (i, _), one in arrays.items()]
            )
            for cell in CELLS
        ]
        taken = [correlation(histogram(one), histogram(np.asarray(styles[j]))) for (_, j), one in arrays.items()]
        print(f"{scale:<10g}" + "".join(f"{one:>9.3f}" for one in kept) + f"{np.mean(taken):>9.3f}", flush=True)
        columns += [[made[i, j] for i in range(len(contents))] for j in (0, len(styles) - 1)]
    return [list(row) for row in zip(*columns)], [""] * len(contents)


if __name__ == "__main__":
    main()
