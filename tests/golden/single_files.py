"""Tiny single files of four kinds, which the recorder and the tests write alike.

A file's names and shapes are those that a public converter gives (`record_single_files.py`); its weights are made from
these names by `tiny.seeded_tensor`. Beside the networks it holds what files of trainings hold.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

import numpy as np
from safetensors.numpy import save_file

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # in the recorder's environment there is no package `tests`

import tiny  # noqa: E402

SCHEDULER = {
    "_class_name": "DDIMScheduler",
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "timestep_spacing": "leading",
}
WIDTHS = {"block_out_channels": [16, 32, 64, 64]}  # as the real ones double, so that the same layers are there
VAE = tiny.vae_config([8, 16, 32, 32], groups=4)
ONE = {"unet": {**tiny.SD1["unet"], **WIDTHS}, "vae": VAE, "text": {**tiny.SD1["text"], "num_hidden_layers": 12}}
TWO = {"unet": {**tiny.SD2["unet"], **WIDTHS}, "vae": VAE, "text": {**tiny.SD2["text"], "num_hidden_layers": 23}}
KINDS: dict[str, tuple[str, dict[str, Any], str, int]] = {
    "sd1": ("one", ONE, "epsilon", 4),
    "sd2_base": ("two", TWO, "epsilon", 4),
    "sd2_v": ("two", TWO, "v_prediction", 4),
    "inpainting": ("one", ONE, "epsilon", 9),
}
"""Of each kind the family whose names it has, configurations, what the UNet predicts, and the channels it takes."""

PROMPT, NEGATIVE = "a painting of the river at night", "a photo of the bridge"
STEPS, GUIDANCE, SIDE = 4, 7.5, 64


def write_folder(kind: str, folder: Path) -> Path:
    """The configurations and the tokenizer of a kind in diffusers' layout, without weights."""
    _, configs, prediction, channels = KINDS[kind]
    flavour = "sd1" if kind in ("sd1", "inpainting") else "sd2"
    files = {
        "unet/config.json": {**configs["unet"], "in_channels": channels, "sample_size": SIDE // 8},
        "vae/config.json": configs["vae"],
        "text_encoder/config.json": configs["text"],
        "scheduler/scheduler_config.json": {**SCHEDULER, "prediction_type": prediction},
        "model_index.json": {
            "_class_name": "StableDiffusionInpaintPipeline" if channels == 9 else "StableDiffusionPipeline",
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "scheduler": ["diffusers", "DDIMScheduler"],
            "safety_checker": [None, None],
            "feature_extractor": [None, None],
        },
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content, indent=1))
    shutil.copytree(HERE / f"tokenizer_{flavour}", folder / "tokenizer", dirs_exist_ok=True)
    return folder


def make_arrays(kind: str, names: Mapping[str, list[int]]) -> dict[str, np.ndarray]:
    """The weights of a file by their names, and what else is in such files."""
    arrays = {name: np.asarray(tiny.seeded_tensor(name, shape)) for name, shape in names.items()}
    first = "model.diffusion_model.input_blocks.0.0.weight"
    arrays[first] = tiny.seeded_tensor(first, (names[first][0], KINDS[kind][3], *names[first][2:]))
    beside = {
        "betas": np.linspace(0.1, 0.2, 1000),
        "model_ema.decay": np.array(0.999, np.float32),
        "model_ema.num_updates": np.array(7, np.int32),
        "model_ema.diffusion_modelout2bias": np.zeros(4, np.float32),
    }
    if KINDS[kind][0] == "one":
        beside["cond_stage_model.transformer.text_model.embeddings.position_ids"] = np.arange(77)[None]
    return {**arrays, **beside}


def write_file(
    kind: str, names: Mapping[str, list[int]], file: Path, metadata: Optional[dict[str, str]] = None, **more: Any
) -> Path:
    """A whole file; ``more`` are further arrays."""
    save_file({**make_arrays(kind, names), **more}, file, metadata)
    return file
