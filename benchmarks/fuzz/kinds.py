"""Adapters of every kind, spoilt in names, shapes and numbers: python -m benchmarks.fuzz.kinds --inputs 10000"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzz import trials
from benchmarks.fuzz.tensor_files import HostileFile, change_json
from jstyle import StableDiffusionPipeline
from jstyle.adapters import lora_files
from jstyle.adapters.changes import change_weights
from jstyle.adapters.lora import layers, norms
from jstyle.adapters.reweighted import read_weights

LINEAR = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
CONV = "mid_block.resnets.0.conv1"
NORM = "mid_block.resnets.0.norm1"
WIDTH = 128
Shapes = dict[str, tuple[int, ...]]

_LOHA: Shapes = {f"hada_w{n}_{side}": (WIDTH, 3) if side == "a" else (3, WIDTH) for n in "12" for side in "ab"}
_PAIR: Shapes = {"lora_down.weight": (3, WIDTH), "lora_up.weight": (WIDTH, 3)}
KINDS: dict[str, tuple[str, Shapes]] = {
    "LoRA": (LINEAR, {**_PAIR, "diff_b": (WIDTH,)}),
    "DoRA": (LINEAR, {**_PAIR, "dora_scale": (WIDTH, 1)}),
    "LoHa": (LINEAR, _LOHA),
    "LoKr": (LINEAR, {"lokr_w1": (8, 8), "lokr_w2_a": (16, 3), "lokr_w2_b": (3, 16)}),
    "LoKr of a convolution": (CONV, {"lokr_w1": (8, 8), "lokr_w2": (16, 16, 3, 3)}),
    "full": (CONV, {"diff": (WIDTH, WIDTH, 3, 3), "diff_b": (WIDTH,)}),
    "GLoRA": (
        LINEAR,
        {"a1.weight": (WIDTH, 3), "a2.weight": (3, WIDTH), "b1.weight": (WIDTH, 3), "b2.weight": (3, WIDTH)},
    ),
    "OFT": (CONV, {"oft_blocks": (16, 8, 8), "rescale": (WIDTH, 1, 1, 1)}),
    "BOFT": (LINEAR, {"oft_blocks": (3, 16, 8, 8)}),
    "IA3": (LINEAR, {"weight": (WIDTH,), "on_input": (1,)}),
    "norm": (NORM, {"w_norm": (WIDTH,), "b_norm": (WIDTH,)}),
}
PEFT: dict[str, tuple[str, Shapes, dict[str, Any]]] = {
    "LOHA": (LINEAR, _LOHA, {"r": 3, "alpha": 2}),
    "LOKR": (LINEAR, {"lokr_w1": (8, 8), "lokr_w2": (16, 16)}, {"r": 3, "alpha": 2}),
    "OFT": (LINEAR, {"oft_R.weight": (16, 28)}, {"coft": True, "eps": 0.1, "num_cayley_neumann_terms": 3}),
    "BOFT": (LINEAR, {"boft_R": (2, 16, 8, 8), "boft_s": (WIDTH, 1)}, {}),
    "IA3": (LINEAR, {"ia3_l": (WIDTH, 1)}, {"feedforward_modules": ["to_q"]}),
    "LORA": (LINEAR, {"lora_A.weight": (3, WIDTH), "lora_B.weight": (WIDTH, 3)}, {"r": 3, "lora_alpha": 6}),
}


def draw(rng: random.Random) -> bytes:
    """A file of one kind, alone or with another, mostly spoilt; the configuration of peft's kinds comes first."""
    config = b""
    arrays: dict[str, np.ndarray] = {}
    if rng.random() < 0.4:
        kind = rng.choice(list(PEFT))
        layer, shapes, entries = PEFT[kind]
        value: Any = {"peft_type": kind, **entries}
        config = json.dumps(change_json(rng, value) if rng.random() < 0.5 else value).encode()
        arrays = _draw_arrays(rng, f"base_model.model.{layer}", shapes)
    else:
        for layer, shapes in rng.sample(list(KINDS.values()), rng.choice([1, 1, 2])):
            arrays.update(_draw_arrays(rng, "lora_unet_" + layer.replace(".", "_"), {**shapes, "alpha": ()}))
    file = HostileFile(arrays, {"format": "pt"})
    for _ in range(rng.choice([0, 0, 1, 1, 2])):
        file.change(rng)
    return len(config).to_bytes(4, "little") + config + file.to_bytes(rng)


def read(content: bytes) -> None:
    """Read it onto the embedded model's layers, and form the weights that come of it."""
    pipe, size = _load_model(), int.from_bytes(content[:4], "little")
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("error")
        if size:
            (Path(place) / "adapter_config.json").write_bytes(content[4 : 4 + size])
        (Path(place) / "adapter_model.safetensors").write_bytes(content[4 + size :])
        found = lora_files.read(place, pipe.unet, pipe.text_encoder)
    known = {**layers(pipe.unet), **norms(pipe.unet)}
    with np.errstate(all="ignore"):  # numbers of 1e38 are numbers
        for path, change in found.unet.items():
            change_weights(read_weights(known[path]), [change.strengthen(0.5)])


@cache
def _load_model() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained("tiny")


def _draw_arrays(rng: random.Random, layer: str, shapes: Shapes) -> dict[str, np.ndarray]:
    """A layer's arrays; now and then one is left out, or of another shape."""
    arrays = {}
    for name, shape in shapes.items():
        drawn = np.random.default_rng(rng.randrange(1 << 30)).standard_normal(shape).astype(np.float32)
        if name == "on_input":
            drawn = np.array([rng.choice([0, 1, 1, 2])], np.float32)
        if rng.random() < 0.05:
            drawn = drawn.reshape(-1)[: rng.randrange(1 + drawn.size)].reshape(rng.choice([(-1,), (1, -1), (-1, 1)]))
        if rng.random() > 0.03:
            arrays[f"{layer}.{name}"] = drawn
    return arrays


if __name__ == "__main__":
    _load_model()
    sys.exit(trials.main(__doc__, draw, read))
