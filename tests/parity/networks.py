"""The tiny networks of the goldens, built here with the same weights by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from jstyle.networks import AutoencoderKL, CLIPTextModel, CLIPVisionModelWithProjection, UNet2DConditionModel
from jstyle.networks.config import CLIPTextConfig, CLIPVisionConfig, UNetConfig, VAEConfig
from jstyle.runtime import jt
from jstyle.weights.loading import load_weights
from jstyle.weights.tensors import ArrayTensors
from tests.golden import tiny

GOLDEN = Path(tiny.__file__).parent
KINDS: dict[str, Any] = {
    "unet": (UNet2DConditionModel, UNetConfig),
    "vae": (AutoencoderKL, VAEConfig),
    "text": (CLIPTextModel, CLIPTextConfig),
    "vision": (CLIPVisionModelWithProjection, CLIPVisionConfig),
}


def build(flavour: str, kind: str) -> jt.Module:
    """The tiny ``kind`` ("unet", "vae", "text" or "vision") of ``flavour`` ("sd1" or "sd2")."""
    model_class, config_class = KINDS[kind]
    return seeded(model_class, config_class.from_dict(getattr(tiny, flavour.upper())[kind]))


def seeded(model_class: type[jt.Module], config: Any) -> jt.Module:
    """A network whose weights are the goldens' seeded ones."""
    model = model_class(config)
    arrays = {name: tiny.seeded_tensor(name, tuple(p.shape)) for name, p in model.named_parameters()}
    load_weights(model, ArrayTensors(arrays), model_class.__name__)
    return model


def golden(name: str) -> dict[str, np.ndarray]:
    """A recorded file's arrays."""
    with np.load(GOLDEN / f"{name}.npz") as recorded:
        return {key: recorded[key] for key in recorded.files}


def cases(name: str) -> list:
    """The numbered cases of a recorded file, each a dictionary."""
    recorded = golden(name)
    numbers = sorted({key.split("_")[0] for key in recorded if key.startswith("case")})
    return [
        {key.split("_", 1)[1]: value for key, value in recorded.items() if key.startswith(f"{number}_")}
        for number in numbers
    ]


def relative_error(out: Any, reference: np.ndarray) -> float:
    """||out - reference|| / ||reference||, in float64; NaN counts as infinite."""
    out = np.asarray(out.numpy() if isinstance(out, jt.Var) else out, np.float64)
    error = float(np.linalg.norm(out - reference) / np.linalg.norm(reference))
    return error if np.isfinite(error) else float("inf")
