"""Records how PyTorch trains a ControlNet on `diffusers_folder/`: `python tests/golden/record_controlnet_training.py`.

The loop of diffusers' `train_controlnet.py`: the UNet stands still, and a copy of its way down learns by AdamW, with
gradients clipped to a norm of 1. What reads the map begins with seeded weights but for its last layer. Run it from the
repository's root, in the environment that README.md describes.

controlnet_training.npz: `widths`, `rate`, `times` (updates, 2), and of each update `x`, `target`, `text`, `map`;
`losses`, and `gradient_norms` before they are clipped.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tiny
import torch
import torch.nn.functional as F
from diffusers import ControlNetModel, UNet2DConditionModel
from record import noise, rng, save
from record_pipelines import FOLDER

WIDTHS, RATE, UPDATES = (4, 8, 12), 3e-3, 6


def main() -> None:
    """Train, and record every update."""
    torch.set_num_threads(1)
    unet = UNet2DConditionModel.from_pretrained(FOLDER, subfolder="unet").requires_grad_(False)
    net = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=WIDTHS)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if "cond_embedding" in name and "conv_out" not in name:
                parameter.copy_(torch.from_numpy(tiny.seeded_tensor(name, parameter.shape)))
    net.train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=1e-2)
    times = np.array([[3, 981], [700, 41], [250, 250], [999, 0], [120, 530], [810, 15]])
    inputs: dict[str, Any] = {
        "x": noise("controlnet training x", (UPDATES, 2, 4, 8, 6)),
        "target": noise("controlnet training target", (UPDATES, 2, 4, 8, 6)),
        "text": noise("controlnet training text", (UPDATES, 2, 7, 16)),
        "map": rng("controlnet training map").random((UPDATES, 2, 3, 32, 24), np.float32),
    }
    losses, norms = [], []
    for i in range(UPDATES):
        x, target, text, shown = (torch.from_numpy(array[i]) for array in inputs.values())
        steps = torch.from_numpy(times[i])
        down, middle = net(x, steps, text, shown, return_dict=False)
        more = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        loss = F.mse_loss(unet(x, steps, text, **more).sample, target)
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0).item())
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    arrays = {"widths": np.array(WIDTHS), "rate": RATE, "times": times, **inputs}
    save("controlnet_training", {**arrays, "losses": np.array(losses), "gradient_norms": np.array(norms)})


if __name__ == "__main__":
    main()
