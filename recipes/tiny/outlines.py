"""python -m recipes.tiny.outlines --output runs/outlines: what the embedded model's ControlNet learns from.

`pictures/` has drawings in every technique, each with its caption; `flat/` the same scenes under the same names, drawn
as posters, whose edges are the scene's and not the technique's. `configs/controlnet.yaml` trains on both.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from PIL import Image

from jstyle.files import replacing
from jstyle.training.draws import make_generator
from recipes.tiny import drawings

FLAT = "poster"
PICTURES, OUTLINES = "pictures", "flat"  # folders of the output


def sample_examples(count: int, seed: int) -> Iterator[tuple[drawings.Scene, str]]:
    """Scenes, none of them of a pair that is held out, each with a caption."""
    rng = make_generator(seed, 0, "outlines")
    for _ in range(count):
        scene = drawings.sample_scene(rng)
        yield scene, drawings.caption(scene, rng)


def write_examples(output: Path, count: int, size: int, seed: int) -> None:
    """Draw what is not there yet. A caption is written last, so a picture with one is whole."""
    for folder in (PICTURES, OUTLINES):
        (output / folder).mkdir(parents=True, exist_ok=True)
    for number, (scene, caption) in enumerate(sample_examples(count, seed)):
        text = output / PICTURES / f"{number:05d}.txt"
        if text.exists():
            continue
        for folder, shown in ((PICTURES, scene), (OUTLINES, replace(scene, technique=FLAT))):
            Image.fromarray(drawings.render(shown, size)).save(output / folder / f"{number:05d}.png")
        with replacing(text) as part:
            part.write_text(caption, encoding="utf-8")


def main() -> None:
    """Draw as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m recipes.tiny.outlines", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder to write, or to go on with")
    parser.add_argument("--count", type=int, default=8000, help="scenes (default: 8000)")
    parser.add_argument("--size", type=int, default=128, help="pixels of a side (default: 128)")
    parser.add_argument("--seed", type=int, default=0, help="other scenes (default: 0)")
    options = parser.parse_args()
    write_examples(options.output, options.count, options.size, options.seed)


if __name__ == "__main__":
    main()
