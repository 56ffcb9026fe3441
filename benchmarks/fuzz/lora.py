"""LoRA files, spoilt in header, configuration, names and numbers: python -m benchmarks.fuzz.lora --inputs 10000"""

from __future__ import annotations

import random
import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzz import trials
from benchmarks.fuzz.tensor_files import HostileFile, change_json, write_json
from jstyle import StableDiffusionPipeline
from jstyle.adapters import lora_files

LAYERS = {
    "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q": ((4, 128), (128, 4)),
    "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_k": ((2, 128), (128, 2)),
    "text_encoder.text_model.encoder.layers.0.self_attn.q_proj": ((3, 128), (128, 3)),
}
PATTERNS = [
    "to_q", r"^mid_block\..*to_k", "(a+)+$", "(.*)*x", "(.|.)*(.|.)*q", "((a{999}){999}){999}", "[", "(", "a" * 400,
    "(?=a)", "^encoder.layers.0.self_attn.q_proj", "", "*", "to_q|to_k", "[^", "[z-a]", "{", "a{2,1}", "(" * 100, "é",
    "\x1b", "\\1",
]  # fmt: skip
NAMES: list[Callable[[str], str]] = [
    lambda key: key,
    lambda key: key.replace("unet.", "", 1),
    lambda key: key.replace(".weight", ".default.weight"),
    lambda key: key.replace("unet.", "lora_unet_").replace("text_encoder.", "lora_te_").replace("lora_A", "lora_down"),
    lambda key: key.replace("text_model.", ""),
]
STARTS = [True, False, "gaussian", "pissa", "olora", "corda", "loftq", "lora_ga", "pissa_niter_4", "\x1b[1m", 3]


def draw(rng: random.Random) -> bytes:
    """A LoRA of a few layers under one of the usual namings, mostly spoilt."""
    rename = rng.choice(NAMES)
    arrays = {}
    for path, (down, up) in LAYERS.items():
        if rng.random() < 0.7:
            arrays[rename(f"{path}.lora_A.weight")] = _draw_array(rng, down)
            arrays[rename(f"{path}.lora_B.weight")] = _draw_array(rng, up)
            if rng.random() < 0.3:
                arrays[f"{path}.alpha"] = _draw_array(rng, rng.choice([(), (), (1,), (2,), (0,)]))
    metadata = {"format": "pt"}
    if rng.random() < 0.7:
        metadata["lora_adapter_metadata"] = write_json(rng, _draw_config(rng))
    file = HostileFile(arrays, metadata)
    for _ in range(rng.choice([0, 0, 0, 1, 1, 2])):
        file.change(rng)
    return file.to_bytes(rng)


def read(content: bytes) -> None:
    """Read it onto the embedded model's layers."""
    pipe = _load_model()
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("error")
        (Path(place) / "lora.safetensors").write_bytes(content)
        lora_files.read(place, pipe.unet, pipe.text_encoder)


@cache
def _load_model() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained("tiny")


def _draw_array(rng: random.Random, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(rng.randrange(1 << 30)).standard_normal(shape).astype(np.float32)


def _draw_config(rng: random.Random) -> Any:
    prefix = rng.choice(["unet.", "text_encoder.", ""])
    config: dict[str, Any] = {f"{prefix}r": rng.choice([4, 3, 2]), f"{prefix}lora_alpha": rng.choice([8, 0, 1.5])}
    for key in ("alpha_pattern", "rank_pattern"):
        if rng.random() < 0.5:
            patterns = [rng.choice(PATTERNS) for _ in range(rng.randrange(4))]
            config[prefix + key] = {pattern: rng.choice([4, 3, 2]) for pattern in patterns}
    if rng.random() < 0.3:
        config[f"{prefix}init_lora_weights"] = rng.choice(STARTS)
    config.update({f"{prefix}{key}": True for key in ("use_rslora", "use_dora") if rng.random() < 0.1})
    return change_json(rng, config) if rng.random() < 0.4 else config


if __name__ == "__main__":
    _load_model()
    sys.exit(trials.main(__doc__, draw, read))
