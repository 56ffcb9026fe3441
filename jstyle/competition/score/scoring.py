"""A submission's score: every metric of every picture, of every style, and the total."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np

from jstyle.competition.dataset import Dataset, Style
from jstyle.competition.score.formula import METRICS, compute_total, list_missing, measure_likeness
from jstyle.metrics import hist
from jstyle.metrics.networks import Answer
from jstyle.pictures import images

Values = Mapping[str, float]
VARIANTS = ("as executed", "corrected")


@dataclass(frozen=True)
class Score:
    """One variant of the score. A metric that could not be had is absent everywhere.

    ``pictures``: style -> prompt -> metric -> value; ``styles``: style -> metric -> mean of its pictures;
    ``parts``: metric -> what enters the formula; ``total``: None unless all six are there.
    """

    pictures: Mapping[str, Mapping[str, Values]]
    styles: Mapping[str, Values]
    parts: Values
    total: Optional[float]

    def rank_prompts(self, style: str) -> list[str]:
        """A style's prompts, the picture least like the style first."""
        return sorted(self.pictures[style], key=lambda prompt: measure_likeness(self.pictures[style][prompt]))


@dataclass(frozen=True)
class Report:
    """Both variants, and why metrics are missing."""

    variants: Mapping[str, Score]
    failures: Mapping[str, str]
    likeliest: Mapping[str, Mapping[str, list[str]]]
    versions: Mapping[str, str]


def score_submission(root: Path, dataset: Dataset, answer: Answer) -> Report:
    """The score of the pictures under ``root``, which `archive.check_pictures` found whole."""
    by_variant: dict[str, dict[str, dict[str, float]]] = {variant: {} for variant in VARIANTS}
    for style in dataset.styles:
        for variant, values in _compute_hist(Path(root), style).items():
            by_variant[variant][style.number] = values
    variants = {variant: _assemble(by_variant[variant], answer, variant) for variant in VARIANTS}
    likeliest = {
        style: {prompt: list(words) for prompt, words in of_style.items()}
        for style, of_style in answer.likeliest.items()
    }
    return Report(variants, answer.failures, likeliest, answer.versions)


def _compute_hist(root: Path, style: Style) -> dict[str, dict[str, float]]:
    """Variant -> prompt -> Hist. Each picture is opened once."""
    references = [np.asarray(images.open_image(path)) for path in style.references]
    means = {
        variant: hist.mean([hist.histograms(pixels, corrected=variant == "corrected") for pixels in references])
        for variant in VARIANTS
    }
    values: dict[str, dict[str, float]] = {variant: {} for variant in VARIANTS}
    for prompt in style.prompts:
        pixels = np.asarray(images.open_image(root / style.number / f"{prompt}.png"))
        for variant in VARIANTS:
            histograms = hist.histograms(pixels, corrected=variant == "corrected")
            values[variant][prompt] = hist.similarity(histograms, means[variant])
    return values


def _assemble(hist_values: Mapping[str, Mapping[str, float]], answer: Answer, variant: str) -> Score:
    by_metric = {
        "hist": hist_values,
        **{name: values for name, values in answer.pictures.items() if name in METRICS},
    }
    if variant == "corrected" and "clip_iqa_corrected" in answer.pictures:
        by_metric["clip_iqa"] = answer.pictures["clip_iqa_corrected"]
    pictures = {
        style: {
            prompt: {name: values[style][prompt] for name, values in by_metric.items()} for prompt in hist_values[style]
        }
        for style in hist_values
    }
    styles = {
        style: {name: float(np.mean([values[name] for values in of_style.values()])) for name in by_metric}
        for style, of_style in pictures.items()
    }
    parts = {name: float(np.mean([values[name] for values in styles.values()])) for name in by_metric}
    if "clip_r" in parts:  # hits over all pictures, where the others are means of styles
        parts["clip_r"] = float(np.mean([values["clip_r"] for style in pictures.values() for values in style.values()]))
    parts.update({name: value for name, value in answer.values.items() if name in METRICS})
    return Score(pictures, styles, parts, None if list_missing(parts) else compute_total(parts))
