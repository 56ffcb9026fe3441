"""The runs of Stable Diffusion XL's pipelines that the recorder and the tests share."""

from __future__ import annotations

from typing import Any

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
