"""Which method to take: all that put a content into a style, on 8 contents x 8 styles of the embedded model's.

    python -m benchmarks.which_method [--methods styleid inst ...] [--diagonals 8] [--photographs FOLDER] [--sheet FILE]

The pairs are taken by diagonals, content i in style i + d: each has every content and every style once, so fewer than
eight are a fair sample. Each method runs in a process of its own, a picture at a time, at the model's own size, with
the settings of its config; what is finished is kept, so a run that was stopped is gone on with. What a picture costs
includes its own content's and style's inversions, which a run over a grid shares. Seconds are those of the processor,
all threads together, which other processes hardly change; the first picture is made twice and counted once, as it
compiles. Results go to ``benchmarks/quality/which_method.json``.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.machine import describe
from benchmarks.options import ROOT
from benchmarks.quality import judge, likeness
from benchmarks.quality.contenders import Contender, list_contenders
from benchmarks.quality.pairs import Pairs, draw_pairs
from benchmarks.quality.reconstruction import photographs
from benchmarks.quality.stylisation import correlation, edges, histogram
from jstyle.events import Evaluated
from jstyle.files import write_text
from jstyle.methods.pairs import Pair
from jstyle.pictures import images, png_texts
from jstyle.pictures.sheets import draw_grid
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline

CELL = 4
"""Pixels a side over which brightness is averaged before edges are taken: strokes count less."""

COLUMNS: Mapping[str, str] = {
    "technique read": "{:.0f}%",
    "colours": "{:+.2f}",
    "CLIP": "{:+.2f}",
    "object read": "{:.0f}%",
    "edges": "{:.2f}",
    "evaluations": "{:.0f}",
    "seconds": "{:.1f}",
    "learning a style, seconds": "{:.0f}",
    "memory, MB": "{:.0f}",
}


def main() -> None:
    """Make what is missing, measure it all, write the results and the sheet, print the table."""
    options = read_options()
    pipe = StableDiffusionPipeline.from_pretrained("tiny")
    pairs = draw_pairs(pipe.size, photographs(options.photographs, pipe.size) if options.photographs else {})
    if options.make:
        make_pictures(options, pipe, pairs)
        return
    for name in options.methods:
        subprocess.run([sys.executable, "-m", "benchmarks.which_method", "--make", name, *sys.argv[1:]], check=True)
    reader = judge.train(options.work)
    chosen = [pair for diagonal in list_diagonals(pairs, options.diagonals) for pair in diagonal]
    folders = {name: options.work / name for name in options.methods}
    made = {
        name: {pair: images.open_image(name_picture(folder, pair)) for pair in chosen}
        for name, folder in folders.items()
    }
    base = {pair: pairs.contents[pair[0]] for pair in chosen}
    found = {"the contents themselves": measure(pipe, pairs, base, reader)}
    for name, pictures in made.items():
        title = list_contenders()[name][0]
        found[title] = {**measure(pipe, pairs, pictures, reader), **read_costs(folders[name], chosen)}
    told = {"pairs": len(chosen), "machine": describe()}
    write_text(options.output, json.dumps({**told, **found}, indent=1) + "\n")
    print(format_table(found))
    if options.sheet:
        draw_sheet(pairs, made).save(options.sheet)


def read_options() -> argparse.Namespace:
    """Of the command line."""
    known = list(list_contenders())
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--methods", nargs="+", choices=known, default=known)
    parser.add_argument("--diagonals", type=int, default=8, help="8 are all pairs")
    parser.add_argument(
        "--photographs", type=Path, help="folder; the first two by name, scikit-image's astronaut and chelsea"
    )
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "quality", help="the judge, and what is made")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "quality" / "which_method.json")
    parser.add_argument("--sheet", type=Path, help="content i in style i, by every method")
    parser.add_argument("--make", help=argparse.SUPPRESS)
    return parser.parse_args()


def list_diagonals(pairs: Pairs, count: int) -> list[list[Pair]]:
    """The first so many diagonals of contents x styles."""
    contents, styles = len(pairs.contents), len(pairs.styles)
    return [[(content, (content + shift) % styles) for content in range(contents)] for shift in range(count)]


def make_pictures(options: argparse.Namespace, pipe: StableDiffusionPipeline, pairs: Pairs) -> None:
    """Make a method's pictures that are not there yet, diagonal by diagonal, and write down what each cost."""
    folder: Path = options.work / options.make
    folder.mkdir(parents=True, exist_ok=True)
    method = list_contenders()[options.make][1](pipe, pairs, folder)
    is_warm = False
    for diagonal in list_diagonals(pairs, options.diagonals):
        missing = [pair for pair in diagonal if not name_picture(folder, pair).exists()]
        if missing and not is_warm:
            for _ in method.stylise_pairs(pairs.contents, pairs.styles, missing[:1]):
                is_warm = True
        make_missing(method, pairs, missing, folder)


def make_missing(method: Contender, pairs: Pairs, missing: Sequence[Pair], folder: Path) -> None:
    """Make these pictures, a file each, and beside it what was spent since the one before."""
    start, evaluations = time.process_time(), 0
    for event in method.stylise_pairs(pairs.contents, pairs.styles, missing):
        if isinstance(event, Evaluated):
            evaluations += event.count
            continue
        assert event.image is not None, event.error
        now, peak = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        path = name_picture(folder, (event.content, event.style))
        cost = {"seconds": now - start, "evaluations": evaluations, "memory, MB": peak * 1024 / 1e6}
        write_text(path.with_suffix(".json"), json.dumps(cost))
        png_texts.save_png(event.image, path)
        start, evaluations = now, 0


def name_picture(folder: Path, pair: Pair) -> Path:
    """The file of a pair's picture."""
    return folder / f"content_{pair[0]}_style_{pair[1]}.png"


def read_costs(folder: Path, chosen: Sequence[Pair]) -> dict[str, float]:
    """Of a method's picture, in the mean; the most memory."""
    costs = [json.loads(name_picture(folder, pair).with_suffix(".json").read_text()) for pair in chosen]
    found = {key: float(np.mean([cost[key] for cost in costs])) for key in ("evaluations", "seconds")}
    learnt = [float(file.read_text()) for file in sorted(folder.glob("*/learnt.txt"))]
    if learnt:
        found["learning a style, seconds"] = float(np.median(learnt))  # one that went on from a checkpoint is shorter
    return {**found, "memory, MB": max(cost["memory, MB"] for cost in costs)}


def measure(
    pipe: StableDiffusionPipeline, pairs: Pairs, pictures: Mapping[Pair, Image.Image], reader: judge.Judge
) -> dict[str, float]:
    """How near pictures are to their styles, and what they keep of their contents; shares in per cent.

    "colours": the correlation of smoothed colour histograms with the style's. "CLIP": the cosine with the style to the
    model's own image encoder. Of both what the content itself has is taken away.
    """
    made = {pair: np.asarray(picture) for pair, picture in pictures.items()}
    contents, styles = ([np.asarray(one) for one in several] for several in (pairs.contents, pairs.styles))
    drawn = [pair for pair in made if pair[0] < len(pairs.scenes)]
    objects = judge.hits(reader, np.stack([made[pair] for pair in drawn]), [pairs.scenes[i] for i, _ in drawn])
    techniques = judge.hits(reader, np.stack(list(made.values())), [pairs.style_scenes[j] for _, j in made])
    coloured = [
        correlation(histogram(one), histogram(styles[j])) - correlation(histogram(contents[i]), histogram(styles[j]))
        for (i, j), one in made.items()
    ]
    kept = [correlation(edges(one, CELL), edges(contents[i], CELL)) for (i, _), one in made.items()]
    return {
        "technique read": 100 * float(np.mean(techniques["technique"])),
        "colours": float(np.mean(coloured)),
        "CLIP": gain_to_clip(pipe, pairs, pictures),
        "object read": 100 * float(np.mean(objects["object"])),
        "edges": float(np.mean(kept)),
    }


def gain_to_clip(pipe: StableDiffusionPipeline, pairs: Pairs, pictures: Mapping[Pair, Image.Image]) -> float:
    """How much nearer results are to their styles than their contents were, a difference of cosines."""
    several = (list(pictures.values()), pairs.contents, pairs.styles)
    results, contents, styles = (likeness.features(pipe, one) for one in several)
    return float(np.mean([(one - contents[i]) @ styles[j] for one, (i, j) in zip(results, pictures)]))


def format_table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """In Markdown, a row a method."""
    rows = [["", *COLUMNS], ["---"] * (1 + len(COLUMNS))]
    for name, values in found.items():
        cells = [form.format(values[key]) if key in values else "" for key, form in COLUMNS.items()]
        rows.append([name, *cells])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def draw_sheet(pairs: Pairs, made: Mapping[str, Mapping[Pair, Image.Image]]) -> Image.Image:
    """Content i, style i, and what each method makes of them."""
    titles = [list_contenders()[name][0] for name in made]
    rows = [
        [pairs.contents[i], pairs.styles[i], *(pictures[i, i] for pictures in made.values())]
        for i in range(len(pairs.contents))
    ]
    return draw_grid(rows, column_labels=["content", "style", *titles])


if __name__ == "__main__":
    main()
