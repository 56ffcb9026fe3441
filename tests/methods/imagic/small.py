"""Imagic at a size that runs in seconds, on the goldens' tiny Stable Diffusion."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jstyle.events import Event
from jstyle.methods.imagic.settings import ImagicInputs, ImagicSettings
from jstyle.methods.table import METHODS
from jstyle.settings.model import ModelSettings
from jstyle.training import LoopSettings
from tests.parity.networks import GOLDEN

METHOD = METHODS["imagic"]
MODEL = ModelSettings(model=str(GOLDEN / "diffusers_folder"))
PROMPT = "a red cat on a mat"
ETAS = (0.0, 0.5, 1.0)
LOOP = LoopSettings(steps=4, rate=1e-2, ema=0.5, checkpoint_every=2)
CHANGES: dict[str, dict[str, Any]] = {"unet": {"unet_loop": LOOP}, "lora": {"lora_loop": LOOP, "lora_rank": 2}}


def write_picture(folder: Path) -> Path:
    file = folder / "cat.png"
    pixels = np.random.default_rng(1).integers(0, 256, (6, 6, 3), np.uint8)
    Image.fromarray(pixels).resize((64, 64), Image.Resampling.NEAREST).save(file)
    return file


def settings(tune: str, **changes: Any) -> ImagicSettings:
    common = {"embedding_loop": LOOP, "steps": 2, "guidance": 3.0, "seed": 7, "width": 32, "height": 32}
    return ImagicSettings(**{**common, "tune": tune, **CHANGES[tune], **changes})


def start(
    picture: Path, output: Path, tune: str, eta: Any = ETAS, overwrite: bool = False, **changes: Any
) -> Iterator[Event]:
    inputs = ImagicInputs(picture, PROMPT, eta, output, overwrite=overwrite)
    return METHOD.start(inputs, settings(tune, **changes), MODEL)
