"""diffusers' UNet of a model folder -> OpenVINO's files, in fp32 and for any shape.

PYTHON -m benchmarks.sides.convert_openvino MODEL_FOLDER FILE.xml
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import openvino as ov
import torch
from diffusers import UNet2DConditionModel


class Plain(torch.nn.Module):
    """The UNet with tensors alone in its signature."""

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, sample: Any, time: Any, text: Any) -> Any:
        """(batch, 4, side, side), a time and (batch, 77, width) to the prediction."""
        return self.unet(sample, time, text, return_dict=False)[0]


def main() -> None:
    """Convert the folder's UNet; the file appears whole."""
    folder, file = sys.argv[1], Path(sys.argv[2])
    unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet").eval().requires_grad_(False)
    side = 8 * 2 ** (len(unet.config.block_out_channels) - 1)
    example = (
        torch.zeros(2, unet.config.in_channels, side, side),
        torch.tensor(500.0),
        torch.zeros(2, 77, unet.config.cross_attention_dim),
    )
    with torch.no_grad():
        model = ov.convert_model(Plain(unet), example_input=example)
    temporary = file.with_name(f"{os.getpid()}-{file.name}")
    ov.save_model(model, temporary, compress_to_fp16=False)
    os.replace(temporary.with_suffix(".bin"), file.with_suffix(".bin"))
    os.replace(temporary, file)  # last: where it is, both are whole


if __name__ == "__main__":
    main()
