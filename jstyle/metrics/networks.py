"""Asks a PyTorch environment for the metrics that need networks."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence

from jstyle.competition.dataset import Dataset
from jstyle.errors import InputError
from jstyle.metrics.words import WORDS

NETWORK_METRICS = ("dino", "lpips", "fid", "clip_iqa", "clip_r")
DINO = "facebook/dinov2-base"
CLIP = "openai/clip-vit-large-patch14"
_PROGRAM = Path(__file__).with_name("torch_metrics.py")


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


def unasked() -> Answer:
    """The answer where no PyTorch environment was named."""
    return Answer(failures=dict.fromkeys(NETWORK_METRICS, "no --network_python was given"))


def ask(
    python: Path,
    root: Path,
    dataset: Dataset,
    *,
    dino: str = DINO,
    clip: str = CLIP,
    device: str = "auto",
    program: Optional[Path] = None,
) -> Answer:
    """Run the five metrics with the interpreter ``python`` on the pictures under ``root``.

    ``dino`` and ``clip`` are hub ids or local folders in transformers' layout; torchmetrics fetches the networks of
    the other three itself. Raises InputError where the process cannot be run or answers nothing usable; a single
    metric that fails is in the answer's ``failures``.
    """
    request = {
        "styles": {
            style.number: {
                "generated": {
                    prompt: str((Path(root) / style.number / f"{prompt}.png").resolve()) for prompt in style.prompts
                },
                "references": [str(path.resolve()) for path in style.references],
            }
            for style in dataset.styles
        },
        "metrics": NETWORK_METRICS,
        "words": WORDS,
        "models": {"dino": dino, "clip": clip},
        "device": device,
    }
    return _read(_run(python, program or _PROGRAM, json.dumps(request)), dataset)


def _run(python: Path, program: Path, request: str) -> str:
    try:
        done = subprocess.run([str(python), str(program)], input=request, stdout=subprocess.PIPE, text=True)
    except OSError as error:
        raise InputError(f"cannot run {str(python)!r}: {error.strerror}; name a Python with PyTorch") from error
    if done.returncode != 0:
        raise InputError(
            f"the network metrics failed under {str(python)!r} (exit code {done.returncode}, see above): "
            "its environment needs requirements-score.txt"
        )
    return done.stdout


def _read(text: str, dataset: Dataset) -> Answer:
    try:
        answer = json.loads(text)
        metrics: Dict[str, Any] = answer["metrics"]
        pictures = {name: found["pictures"] for name, found in metrics.items() if "pictures" in found}
        for name, by_style in pictures.items():
            for style in dataset.styles:
                absent = set(style.prompts) - set(by_style[style.number])
                if absent:
                    raise ValueError(f"{name} of {style.number}/{min(absent)} is missing")
        return Answer(
            pictures,
            {name: float(found["value"]) for name, found in metrics.items() if "value" in found},
            answer["failures"],
            metrics.get("clip_r", {}).get("likeliest", {}),
            answer["versions"],
        )
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"the network metrics' answer cannot be read ({error})") from error
