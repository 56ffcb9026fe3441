"""InST at a size that runs in seconds: the goldens' tiny Stable Diffusion with an image encoder beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import jstyle
from jstyle import StableDiffusionPipeline
from jstyle.methods.inst.settings import InstTrainSettings
from jstyle.settings.reader import build as build_settings
from jstyle.training import LoopSettings
from tests.parity.networks import GOLDEN, build
from tests.training.teaching.small import LOSS

LOOP = LoopSettings(steps=4, rate=1e-2, accumulate=2, ema=0.5, checkpoint_every=2)


def write_model(folder: Path) -> Path:
    """The goldens' folder with an image encoder of 16 patches and embeddings of 24."""
    base = StableDiffusionPipeline.from_pretrained(str(GOLDEN / "diffusers_folder"))
    whole = replace(base.parts, image_encoder=build("sd2", "vision"))
    StableDiffusionPipeline(whole).save_pretrained(folder)
    return folder


def picture(seed: int, size: int = 48) -> Image.Image:
    """Squares of drawn colours, none of them pure black or white."""
    pixels = np.random.default_rng(seed).integers(1, 255, (6, 6, 3), np.uint8)
    return Image.fromarray(pixels).resize((size, size), Image.Resampling.NEAREST)


def settings(model: Path, data: Path, output: Path, **changes: Any) -> InstTrainSettings:
    common = {
        "data": (data,),
        "output": output,
        "model": str(model),
        "width": 32,
        "height": 32,
        "batch": 2,
        "heads": 2,
        "head_width": 4,
        "dropout": 0.1,
        "scale_rate": False,
        "validation_steps": 2,
        "loss": LOSS,
        "loop": LOOP,
    }
    return build_settings(InstTrainSettings, {**common, **changes})


def run(model: Path, data: Path, output: Path, **changes: Any) -> Path:
    return jstyle.train(settings(model, data, output, **changes))
