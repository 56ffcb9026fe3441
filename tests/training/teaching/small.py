"""Training runs of seconds, on the goldens' tiny networks and a few drawn squares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import jstyle
from jstyle import StableDiffusionPipeline
from jstyle.diffusion.schedule_config import ScheduleConfig
from jstyle.diffusion.tokenizer import load_tokenizer
from jstyle.settings.reader import build as build_settings
from jstyle.training import LoopSettings, LossSettings, fit
from jstyle.training.loop import TrainStep
from jstyle.training.teaching.table import TEACHINGS
from jstyle.weights.checkpoint import Components
from tests.parity.networks import GOLDEN, build

LOOP = LoopSettings(steps=4, rate=1e-2, accumulate=2, ema=0.5, checkpoint_every=2)
LOSS = LossSettings(min_snr=5.0, offset_noise=0.1)
NAMES = ("wheat_field", "Old house_", "ice-cream")
CHANGES: dict[str, dict[str, Any]] = {
    "textual_inversion": {"vectors": 2, "captions": "name"},
    "lora": {"prompt": "{name} in s7", "rank": 2, "text_encoder": True, "dropout": 0.1, "caption_dropout": 0.2},
    "dreambooth": {
        "prompt": "{article} {name}",
        "class_prompt": "a painting",
        "class_images": 2,
        "class_steps": 2,
        "prior_weight": 0.5,
    },
    "fine_tuning": {"text_encoder": True, "caption_dropout": 0.2},
    "controlnet": {"preprocess": "tile", "widths": (4, 8, 12)},
}
"""What each way to teach is tried with."""

WHOLE = ("dreambooth", "fine_tuning")  # whose results are whole models


def pictures(folder: Path) -> Path:
    """Pictures of several sizes whose names say what they show; one has a caption beside it."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(NAMES):
        pixels = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((40 + 8 * i, 36), Image.Resampling.NEAREST).save(folder / f"{name}.png")
    (folder / "ice-cream.txt").write_text("a cone of\nice cream\n")
    return folder


def settings(method: str, data: Path, output: Path, **changes: Any) -> Any:
    """Settings by names of fields, those of flat groups among them."""
    common = {
        "data": (data,),
        "output": output,
        "model": str(GOLDEN / "diffusers_folder"),
        "width": 32,
        "height": 32,
        "flip": True,
        "batch": 2,
        "validation_steps": 2,
        "loss": LOSS,
        "loop": LOOP,
    }
    return build_settings(TEACHINGS[method].settings, {**common, **CHANGES[method], **changes})


def run(method: str, data: Path, output: Path, **changes: Any) -> Path:
    return jstyle.train(settings(method, data, output, **changes))


def pipeline(prediction: str) -> StableDiffusionPipeline:
    """The tiny Stable Diffusion 2 with seeded weights, predicting eps or v."""
    folder = GOLDEN / "tokenizer_sd2"
    schedule = ScheduleConfig("ddim", 1000, 0.00085, 0.012, "scaled_linear", None, prediction, "leading", 1)
    networks: tuple[Any, ...] = tuple(build("sd2", kind) for kind in ("unet", "vae", "text"))
    return StableDiffusionPipeline(Components(*networks, load_tokenizer(folder), schedule, folder))


def interrupt(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Have the training loop of whatever runs next interrupted, as by Ctrl-C, after so many steps."""
    real = fit.train

    def interrupted(*arguments: Any) -> Iterator[TrainStep]:
        for step in real(*arguments):
            yield step
            if step.step == after:
                raise KeyboardInterrupt

    monkeypatch.setattr(fit, "train", interrupted)
