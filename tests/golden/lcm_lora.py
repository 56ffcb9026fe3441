"""A LoRA as LCM-LoRA's authors publish it, for any UNet: layers, names, strengths; for the recorder and the tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

try:
    import tiny
except ImportError:
    from tests.golden import tiny

RANK, ALPHA = 2, 1.5
ENDINGS = (
    "to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2",
    "conv1", "conv2", "conv_shortcut", "downsamplers.0.conv", "upsamplers.0.conv", "time_emb_proj",
)  # fmt: skip
"""Of the layers that it changes; all of the UNet's, in kohya's names."""


def write_lora(shapes: Mapping[str, Sequence[int]]) -> dict[str, np.ndarray]:
    """The arrays for a UNet whose weights have these shapes by their layers' paths."""
    arrays: dict[str, np.ndarray] = {}
    for path, (out, inner, *kernel) in shapes.items():
        if not path.endswith(ENDINGS):
            continue
        name = f"lora_unet_{path.replace('.', '_')}"
        ones = [1] * len(kernel)
        arrays[f"{name}.lora_down.weight"] = tiny.seeded_tensor(f"lcm_lora/{path}/down", (RANK, inner, *kernel))
        arrays[f"{name}.lora_up.weight"] = 0.5 * tiny.seeded_tensor(f"lcm_lora/{path}/up", (out, RANK, *ones))
        arrays[f"{name}.alpha"] = np.asarray(ALPHA, np.float32)
    return arrays
