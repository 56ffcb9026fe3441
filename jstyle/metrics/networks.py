"""Asks a PyTorch environment for the metrics that need networks."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from jstyle.errors import InputError
from jstyle.metrics.words import WORDS

NETWORK_METRICS = ("dino", "lpips", "fid", "clip_iqa", "clip_r")
DINO = "facebook/dinov2-base"
CLIP = "openai/clip-vit-large-patch14"
_PROGRAM = Path(__file__).with_name("torch_metrics.py")


@dataclass(frozen=True)
class StylePictures:
    """The pictures that were made in a style, by their prompts, and the style's references."""

    generated: Mapping[str, Path]
    references: Sequence[Path]


@dataclass(frozen=True)
class Answer:
    """What the networks said.

    ``pictures``: metric -> style -> prompt -> value; ``values``: metric -> value of all pictures together;
    ``failures``: metric -> why there is none; ``likeliest``: style -> prompt -> the words CLIP-R found.
    """

    pictures: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    likeliest: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


def give_no_answer() -> Answer:
    """The answer where no PyTorch environment was named."""
    return Answer(failures=dict.fromkeys(NETWORK_METRICS, "no --network_python was given"))


def ask_networks(
    python: Path,
    styles: Mapping[str, StylePictures],
    *,
    dino: str = DINO,
    clip: str = CLIP,
    device: str = "auto",
    program: Optional[Path] = None,
) -> Answer:
    """Run the five metrics with the interpreter ``python`` on the pictures of styles, by their numbers.

    ``dino`` and ``clip`` are hub ids or local folders in transformers' layout; torchmetrics fetches the networks of
    the other three itself. Raises InputError where the process cannot be run or answers nothing usable; a single
    metric that fails is in the answer's ``failures``.
    """
    request = {
        "styles": {number: _name_files(pictures) for number, pictures in styles.items()},
        "metrics": NETWORK_METRICS,
        "words": WORDS,
        "models": {"dino": dino, "clip": clip},
        "device": device,
    }
    return _read(run_torch(python, program or _PROGRAM, json.dumps(request)), styles)


def _name_files(pictures: StylePictures) -> dict[str, Any]:
    return {
        "generated": {prompt: str(path.resolve()) for prompt, path in pictures.generated.items()},
        "references": [str(path.resolve()) for path in pictures.references],
    }


def run_torch(python: Path, program: Path, request: str) -> str:
    """What a program of this folder answers to a request under the interpreter ``python`` of a PyTorch environment.

    Raises InputError where it cannot be run.
    """
    try:
        done = subprocess.run([str(python), str(program)], input=request, stdout=subprocess.PIPE, text=True)
    except OSError as error:
        raise InputError(f"cannot run {str(python)!r}: {error.strerror}; name a Python with PyTorch") from error
    if done.returncode != 0:
        raise InputError(
            f"the network metrics failed under {str(python)!r} (exit code {done.returncode}, see above): "
            "its environment needs `pip install 'jstyle[score]'`"
        )
    return done.stdout


def _read(text: str, styles: Mapping[str, StylePictures]) -> Answer:
    try:
        answer = json.loads(text)
        metrics: dict[str, Any] = answer["metrics"]
        pictures = {name: found["pictures"] for name, found in metrics.items() if "pictures" in found}
        for name, by_style in pictures.items():
            for number, style in styles.items():
                absent = set(style.generated) - set(by_style[number])
                if absent:
                    raise ValueError(f"{name} of {number}/{min(absent)} is missing")
        return Answer(
            pictures,
            {name: float(found["value"]) for name, found in metrics.items() if "value" in found},
            answer["failures"],
            metrics.get("clip_r", {}).get("likeliest", {}),
            answer["versions"],
        )
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"the network metrics' answer cannot be read ({error})") from error
