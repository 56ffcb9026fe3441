"""A comparison as a table, as JSON and as a picture of its best and worst."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from jstyle.files import write_text
from jstyle.metrics.comparison import TITLES, Comparison
from jstyle.metrics.matching import Compared
from jstyle.pictures.images import open_small
from jstyle.pictures.sheets import add_caption, draw_grid, write_sheet

SHOWN = 4  # best, and worst, pictures
CELL = 192  # pixels


def write_table(found: Comparison) -> list[str]:
    """A line of titles, a line of each metric's mean, its least and its most over the pictures, and ArtFID."""
    means = found.means
    lines = [f"{'':<6}" + "".join(f"{TITLES[name]:>11}" for name in means)]
    lines.append(f"{'mean':<6}" + "".join(f"{value:11.4g}" for value in means.values()))
    for word, choose in (("least", min), ("most", max)):
        cells = []
        for name in means:
            values = [values[name] for values in found.pictures.values() if name in values]
            cells.append(f"{choose(values):11.4g}" if values else f"{'':>11}")
        lines.append((f"{word:<6}" + "".join(cells)).rstrip())
    return lines if found.art_fid is None else [*lines, f"ArtFID {found.art_fid:.4f} = (1 + LPIPS) (1 + FID)"]


def save_json(found: Comparison, path: Path) -> None:
    """Everything, to the single picture. Raises InputError where it cannot be written."""
    content = {
        "means": found.means,
        "art_fid": found.art_fid,
        "pictures": {
            one.name: {
                "content": one.content and one.content.name,
                "styles": [style.name for style in one.styles],
                **found.pictures[one.name],
            }
            for one in found.compared
        },
        "missing": found.failures,
        "weights": found.weights,
    }
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def save_picture(found: Comparison, path: Path) -> None:
    """The best pictures, then the worst, a row each: content, picture, a style. By the mean place in all metrics."""
    ranked = found.rank()
    half = (len(ranked) + 1) // 2
    best, worst = ranked[:half][:SHOWN], ranked[half:][-SHOWN:]
    rows = [_draw_row(found, one) for one in (*best, *worst)]
    write_sheet(draw_grid(rows, [*["best"] * len(best), *["worst"] * len(worst)]), path)


def _draw_row(found: Comparison, one: Compared) -> list[Image.Image]:
    values = "  ".join(f"{TITLES[name]} {value:.3f}" for name, value in found.pictures[one.name].items())
    cells = [] if one.content is None else [_draw(one.content, one.content.stem)]
    cells.append(_draw(one.picture, values or one.name))
    return [*cells, *(_draw(style, style.stem) for style in one.styles[:1])]


def _draw(path: Path, text: str) -> Image.Image:
    return add_caption(open_small(path, CELL * 2), text, CELL * 2)
