"""python -m recipes.tiny.drawings --output sheet.png: a sheet of every object in every technique."""

from __future__ import annotations

import argparse

from PIL import Image

from recipes.tiny.drawings.scene import TECHNIQUES
from recipes.tiny.drawings.sheet import draw_sheet


def main() -> None:
    """Draw a sheet as the command line says, and save it."""
    parser = argparse.ArgumentParser(prog="python -m recipes.tiny.drawings", description=__doc__)
    parser.add_argument("--output", required=True, help="picture to write")
    parser.add_argument("--seed", type=int, default=0, help="other layouts (default: 0)")
    parser.add_argument("--size", type=int, default=128, help="pixels of each drawing's side (default: 128)")
    parser.add_argument("--techniques", nargs="+", choices=TECHNIQUES, default=TECHNIQUES, help="default: all")
    options = parser.parse_args()
    Image.fromarray(draw_sheet(options.seed, options.size, options.techniques)).save(options.output)


if __name__ == "__main__":
    main()
