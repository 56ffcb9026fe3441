"""The runs of Stable Diffusion XL's pipelines that the recorder and the tests share."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

try:
    import tiny
except ImportError:
    from tests.golden import tiny

STEPS = 10
PROMPT, PROMPT_2 = "a painting of the river at night", "an ink drawing of the bridge"
NEGATIVE, NEGATIVE_2 = "a photo of the city", "the old town"

PICTURES = ("text", "image", "mask")
"""What a run begins with: nothing, a picture, a picture under a mask."""

SCHEDULE: dict[str, Any] = {
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "interpolation_type": "linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "trained_betas": None,
    "use_karras_sigmas": False,
}
"""The scheduler of SDXL's base model."""

_SIZES = {
    "original_size": (300, 200),
    "crops_coords_top_left": (16, 8),
    "target_size": (128, 96),
    "negative_original_size": (32, 48),
    "negative_crops_coords_top_left": (2, 4),
    "negative_target_size": (40, 24),
}
_UNGUIDED = {"prompt": PROMPT, "guidance_scale": 0.0}

RUNS: dict[str, dict[str, Any]] = {
    "plain": {"call": {"prompt": PROMPT}},
    "negative": {"call": {"prompt": PROMPT, "negative_prompt": NEGATIVE, "guidance_scale": 7.0}},
    "empty": {"call": {"prompt": PROMPT, "negative_prompt": ""}},
    "encoded": {"call": {"prompt": PROMPT}, "config": {"force_zeros_for_empty_prompt": False}},
    "two_texts": {
        "call": {
            "prompt": PROMPT,
            "prompt_2": PROMPT_2,
            "negative_prompt": NEGATIVE,
            "negative_prompt_2": NEGATIVE_2,
        }
    },
    "only_second_negative": {"call": {"prompt": PROMPT, "negative_prompt_2": NEGATIVE_2}},
    "sizes": {"call": {"prompt": PROMPT, **_SIZES}},
    "half_of_negative_sizes": {"call": {"prompt": PROMPT, "negative_original_size": (32, 48)}},
    "two_prompts": {"call": {"prompt": [PROMPT, PROMPT_2], "clip_skip": 1}, "prompts": "ab"},
    "turbo": {
        "call": {**_UNGUIDED, "num_inference_steps": 1},
        "scheduler": ["euler_a", {"timestep_spacing": "trailing"}],
    },
    "lightning": {
        "call": {**_UNGUIDED, "num_inference_steps": 4},
        "scheduler": ["euler", {"timestep_spacing": "trailing"}],
    },
    "image": {"kind": "image", "call": {"prompt": PROMPT, "strength": 0.6}},
    "image_sizes": {"kind": "image", "call": {"prompt": PROMPT, "strength": 0.6, "negative_original_size": (32, 48)}},
    "refined": {
        "kind": "image",
        "call": {"prompt": PROMPT, "aesthetic_score": 7.5, "strength": 0.6},
        "config": {"requires_aesthetics_score": True},
        "unet": {"projection_class_embeddings_input_dim": 52},
    },
    "mask": {"kind": "mask", "call": {"prompt": PROMPT, "strength": 0.75, "guidance_scale": 7.5}},
    "mask_nine": {"kind": "mask", "call": {"prompt": PROMPT, "strength": 1.0}, "unet": {"in_channels": 9}},
}
"""By name: what the run begins with, the arguments of the call, and what is changed of the folder for it."""

RANK = 2
LORA_LAYERS: list[tuple[str, str, str, tuple[int, ...]]] = [
    ("unet", "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q", "input_blocks_4_1", (16, 16)),
    ("unet", "mid_block.attentions.0.transformer_blocks.1.attn2.to_k", "middle_block_1", (16, 40)),
    ("unet", "up_blocks.0.attentions.2.transformer_blocks.1.ff.net.2", "output_blocks_2_1", (16, 64)),
    ("unet", "up_blocks.1.attentions.1.proj_in", "output_blocks_4_1", (16, 16)),
    ("text_encoder", "text_model.encoder.layers.0.self_attn.q_proj", "lora_te1", (24, 24)),
    ("text_encoder", "text_model.encoder.layers.0.self_attn.out_proj", "lora_te1", (24, 24)),
    ("text_encoder_2", "text_model.encoder.layers.1.self_attn.out_proj", "lora_te2", (16, 16)),
    ("text_encoder_2", "text_model.encoder.layers.1.self_attn.q_proj", "lora_te2", (16, 16)),
    ("text_encoder_2", "text_model.encoder.layers.2.mlp.fc2", "lora_te2", (16, 64)),
]
"""A LoRA: network, layer, kohya's name of the block (with the original code's numbers), or of the network; shape.

diffusers knows kohya's text encoders by their ``out_proj`` alone.
"""


def write_lora(fashion: str) -> dict[str, np.ndarray]:
    """The LoRA under "diffusers" names or "kohya"'s, whose alpha is 1."""
    arrays: dict[str, np.ndarray] = {}
    for component, path, block, (out, inner) in LORA_LAYERS:
        down = 1.5 * tiny.seeded_tensor(f"lora/{component}/{path}/down", (RANK, inner))
        up = 1.5 * tiny.seeded_tensor(f"lora/{component}/{path}/up", (out, RANK))
        if fashion == "diffusers":
            arrays[f"{component}.{path}.lora_A.weight"] = down
            arrays[f"{component}.{path}.lora_B.weight"] = up
            continue
        name = f"{block}_{path.replace('.', '_')}"
        if component == "unet":
            inside = ".".join(path.split(".")[4:] if path.startswith(("up", "down")) else path.split(".")[3:])
            name = f"lora_unet_{block}_{inside.replace('.', '_')}"
        arrays[f"{name}.lora_down.weight"], arrays[f"{name}.lora_up.weight"] = down, up
        arrays[f"{name}.alpha"] = np.asarray(1.0, np.float32)
    return arrays


WORD, WORDS = "<ink>", {"clip_l": (2, tiny.SDXL_TEXT), "clip_g": (2, tiny.SDXL_TEXT_2)}
"""A word of two vectors in each text encoder."""


def write_word() -> dict[str, np.ndarray]:
    """Its vectors by their keys in a file."""
    return {key: tiny.seeded_tensor(f"{key}_embedding.weight", shape) for key, shape in WORDS.items()}


ADAPTED = {"diffusers": "a painting", "kohya": "a painting", "word": f"a painting of a {WORD} river"}
"""Runs with something put on the folder's model, and their prompts."""

HERE = Path(tiny.__file__).parent
DEEP = {**tiny.SDXL, "text_2": {**tiny.SDXL["text_2"], "num_hidden_layers": 10}}
"""The networks of a single file: diffusers knows SDXL's by the tenth layer of its second text encoder."""


def write_base(folder: Path) -> Path:
    """The folder's model without weights, as the base of a single file."""
    shutil.copytree(HERE / "sdxl_folder", folder, ignore=shutil.ignore_patterns("*.safetensors"))
    config = folder / "text_encoder_2" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "num_hidden_layers": 10}))
    return folder
