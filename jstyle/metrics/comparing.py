"""Pictures compared with contents and styles by the metrics of the field, as a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Optional

import numpy as np

from jstyle.errors import InputError
from jstyle.events import Event, Failure, PictureWritten, Remark
from jstyle.metrics import hist
from jstyle.metrics.comparison import AGAINST_CONTENT, NATIVE, Comparison, Metric, list_metrics
from jstyle.metrics.matching import Compared, list_missing, match_pictures
from jstyle.metrics.networks import CLIP, DINO, run_torch
from jstyle.metrics.pixels import measure_psnr, measure_ssim
from jstyle.pictures.images import find_images, open_image
from jstyle.settings.paths import Pictures, ReadFile, ReadFolder, ResultsFolder

_PROGRAM = Path(__file__).with_name("torch_comparison.py")


@dataclass(frozen=True)
class MetricsInputs:
    """What is compared with what, and where the networks are."""

    pictures: tuple[Pictures, ...]
    """The pictures, or their folder: CONTENT_stylized_STYLE.png, or named as their contents are."""

    content: tuple[Pictures, ...] = ()
    """The contents, or their folder, for LPIPS, CFSD, SSIM and PSNR; matched by name."""

    style: tuple[Pictures, ...] = ()
    """The styles, or their folder, for FID, Gram, Hist, CLIP and DINO; matched by name, else all for every picture."""

    output: ResultsFolder = Path("outputs/metrics")
    """Folder for metrics.json and metrics.png; made where it is missing."""

    metrics: tuple[Metric, ...] = ()
    """These alone; without it all that contents, styles and networks at hand allow, of LPIPS that of alex."""

    network_python: Optional[ReadFile] = None
    """A Python that has 'jstyle[score]', for what needs networks."""

    weights: Optional[ReadFolder] = None
    """Folder with alexnet, vgg16, vgg19, squeezenet1_1, art_inception (.safetensors or .pth); else they are fetched."""

    dino: str = DINO
    """A hub id, or a local folder with that model."""

    clip: str = CLIP
    """A hub id, or a local folder with that model."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the networks run."""


def run_metrics(inputs: MetricsInputs) -> Iterator[Event]:
    """Compare, say a table, and write metrics.json and metrics.png.

    Raises InputError where pictures do not match or cannot be read; a metric that cannot be had is a `Failure`.
    """
    from jstyle.metrics import comparison_report as report

    if not inputs.content and not inputs.style:
        raise InputError("--content or --style is needed: pictures are compared with one of them, or with both")
    contents, styles = (list(find_images(paths)) if paths else [] for paths in (inputs.content, inputs.style))
    compared = match_pictures(find_images(inputs.pictures), contents, styles)
    chosen = list_metrics(inputs.metrics, bool(contents), bool(styles), inputs.network_python is not None)
    missing = list_missing(compared, contents, styles)
    yield Remark(f"{len(compared)} pictures, {len(contents)} contents, {len(styles)} styles")
    if missing:
        yield Remark(f"{len(missing)} pairs have no picture, such as {missing[0]}")
    found = _measure(inputs, compared, chosen)
    for line in report.write_table(found):
        yield Remark(line)
    report.save_json(found, inputs.output / "metrics.json")
    report.save_picture(found, inputs.output / "metrics.png")
    yield PictureWritten(inputs.output / "metrics.png")
    yield Remark(f"{inputs.output} holds metrics.json and metrics.png")
    for name, reason in found.failures.items():
        yield Failure(name, reason)


def _measure(inputs: MetricsInputs, compared: Sequence[Compared], chosen: Sequence[str]) -> Comparison:
    asked = [name for name in chosen if name not in NATIVE]
    answer = _ask_networks(inputs, compared, asked) if asked else {}
    pictures: dict[str, dict[str, float]] = {one.name: {} for one in compared}
    for one in compared:
        pictures[one.name].update(_measure_natively(one, [name for name in chosen if name in NATIVE]))
    try:
        for metric, values in answer.get("pictures", {}).items():
            for one in compared:
                pictures[one.name][metric] = float(values[one.name])
        values = {metric: float(value) for metric, value in answer.get("values", {}).items()}
        return Comparison(tuple(compared), pictures, values, answer.get("failures", {}), answer.get("weights", {}))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"the networks' answer cannot be read ({error})") from error


def _measure_natively(one: Compared, metrics: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    if not metrics:
        return found
    pixels = np.asarray(open_image(one.picture))
    if one.content is not None and AGAINST_CONTENT.intersection(metrics):
        content = np.asarray(open_image(one.content))
        for name, measure in (("ssim", measure_ssim), ("psnr", measure_psnr)):
            if name in metrics:
                found[name] = measure(pixels, content)
    if "hist" in metrics:
        reference = hist.mean([_count_colours(style) for style in one.styles])
        found["hist"] = hist.similarity(hist.histograms(pixels, corrected=True), reference)
    return found


def _count_colours(path: Path) -> hist.Histograms:
    return hist.histograms(np.asarray(open_image(path)), corrected=True)


def _ask_networks(inputs: MetricsInputs, compared: Sequence[Compared], metrics: Sequence[str]) -> dict[str, Any]:
    assert inputs.network_python is not None
    request = {
        "pictures": [
            {
                "name": one.name,
                "picture": str(one.picture.resolve()),
                "content": None if one.content is None else str(one.content.resolve()),
                "styles": [str(style.resolve()) for style in one.styles],
            }
            for one in compared
        ],
        "metrics": list(metrics),
        "styles": _list_styles(compared),
        "weights": None if inputs.weights is None else str(inputs.weights.resolve()),
        "models": {"clip": inputs.clip, "dino": inputs.dino},
        "device": inputs.device,
    }
    text = run_torch(inputs.network_python, _PROGRAM, json.dumps(request))
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"the networks' answer cannot be read ({error})") from error


def _list_styles(compared: Sequence[Compared]) -> list[str]:
    """The other side of FID: a style for each picture that has its own, as StyleID's code has it, else the set once."""
    shared = len({one.styles for one in compared}) == 1 and len(compared[0].styles) != 1
    styles = compared[0].styles if shared else [style for one in compared for style in one.styles]
    return [str(style.resolve()) for style in styles]
