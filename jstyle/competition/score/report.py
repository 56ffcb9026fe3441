"""A score as a table, as JSON and as a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from PIL import Image

from jstyle.competition.dataset import Dataset
from jstyle.competition.score.formula import METRICS, TITLES, list_missing, measure_likeness
from jstyle.competition.score.scoring import VARIANTS, Report, Score, Values
from jstyle.files import write_text
from jstyle.pictures import images
from jstyle.pictures.sheets import add_caption, draw_grid, write_sheet

SHOWN = 3  # worst and best pictures of a style
CELL = 192  # pixels


def write_table(report: Report) -> str:
    """Both variants side by side: a row a style, a row of what enters the formula, the total."""
    columns = [name for name in METRICS if name in report.variants[VARIANTS[0]].parts]
    head = "".join(f"{TITLES[name]:>10}" for name in columns)
    first = report.variants[VARIANTS[0]]
    lines = ["style " + " |".join(f"{head}   ({variant})" for variant in VARIANTS)]
    width = len(head) + len(f"   ({VARIANTS[0]})")
    for style in first.styles:
        cells = [_format_row(report.variants[variant].styles[style], columns) for variant in VARIANTS]
        lines.append(f"{style:<6}" + " |".join(f"{cell:<{width}}" for cell in cells).rstrip())
    cells = [_format_row(report.variants[variant].parts, columns) for variant in VARIANTS]
    lines.append(f"{'all':<6}" + " |".join(f"{cell:<{width}}" for cell in cells).rstrip())
    return "\n".join([*lines, *_format_totals(report)])


def _format_row(values: Values, columns: Sequence[str]) -> str:
    return "".join(f"{values[name]:10.4f}" if name in values else f"{'':>10}" for name in columns)


def _format_totals(report: Report) -> list[str]:
    lacking = list_missing(report.variants[VARIANTS[0]].parts)
    if lacking:
        names = ", ".join(TITLES[name] for name in lacking)
        reasons = [f"  {TITLES[name]}: {report.failures[name]}" for name in lacking if name in report.failures]
        return [f"no total: {names} missing", *reasons]
    return [f"total {variant:<12}{report.variants[variant].total:.4f}" for variant in VARIANTS]


def save_json(report: Report, path: Path) -> None:
    """Everything, to the single picture. Raises InputError where it cannot be written."""
    scores = {variant: asdict(score) for variant, score in report.variants.items()}
    content = {
        "scores": scores,
        "missing": {name: report.failures.get(name, "") for name in list_missing(report.variants[VARIANTS[0]].parts)},
        "clip_r_likeliest": report.likeliest,
        "versions": report.versions,
    }
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def save_picture(report: Report, root: Path, dataset: Dataset, path: Path) -> None:
    """A row a style: a reference, then the pictures least like the style, then those most like it.

    Ranked by the formula's first bracket as executed, over the metrics that are there.
    """
    score = report.variants[VARIANTS[0]]
    used = [TITLES[name] for name in ("dino", "hist", "lpips") if name in score.parts]
    rows = []
    for style in dataset.styles:
        ranked = score.rank_prompts(style.number)
        shown = ranked[:SHOWN], ranked[max(SHOWN, len(ranked) - SHOWN) :]
        cells: list[Image.Image] = [add_caption(images.open_image(style.references[0]), "reference", CELL)]
        for prompts, word in zip(shown, ("worst", "best")):
            for prompt in prompts:
                picture = images.open_image(Path(root) / style.number / f"{prompt}.png")
                cells.append(add_caption(picture, _describe_picture(score, style.number, prompt, word), CELL))
        rows.append(cells)
    labels = [f"{style.number}  by {', '.join(used)}" for style in dataset.styles]
    write_sheet(draw_grid(rows, labels), path)


def _describe_picture(score: Score, style: str, prompt: str, word: str) -> str:
    values: Mapping[str, float] = score.pictures[style][prompt]
    unseen = " (not recognised)" if values.get("clip_r") == 0 else ""
    return f"{prompt} {measure_likeness(values):.3f}, {word}{unseen}"
