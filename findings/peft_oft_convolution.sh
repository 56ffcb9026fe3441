#!/usr/bin/env bash
# peft 0.21.2, torch 2.13.0 (CPU): OFT on a convolution of 3x3.
#
# Guess: an OFT adapter that has just been made turns nothing, so the layer computes what it did, and merging it changes
# nothing either. Both hold for linear layers, for convolutions of 1x1, and for BOFT.
#
# Seen: not for OFT on larger kernels. The layer cuts its input into overlapping patches, turns them, and sums the patches
# where they overlap, so even by the identity every inner pixel is counted nine times; the convolution then runs on that.
# Merging turns the weights instead, which changes nothing. What is trained so is another map than what is merged:
#
#     OFT of 1x1: off by 0.00 with a new adapter, by 0.00 merged
#     OFT of 3x3: off by 2.68 with a new adapter, by 0.00 merged
#     BOFT of 3x3: off by 0.00 with a new adapter, by 0.00 merged
#
# Exits with 1 if this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 peft==0.21.2
"$folder/venv/bin/python" - 2> "$folder/warnings" <<'PYTHON'
import sys

import torch
from peft import BOFTConfig, OFTConfig, get_peft_model


class Network(torch.nn.Module):
    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(4, 6, kernel, padding=kernel // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


torch.manual_seed(0)
found = []
for name, kernel, config in (
    ("OFT", 1, OFTConfig(r=0, oft_block_size=4, target_modules=["conv"])),
    ("OFT", 3, OFTConfig(r=0, oft_block_size=4, target_modules=["conv"])),
    ("BOFT", 3, BOFTConfig(boft_block_size=4, target_modules=["conv"])),
):
    network, x = Network(kernel), torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        before = network(x)
        model = get_peft_model(network, config).eval()
        new = model(x)
        model.merge_adapter()
        merged = model(x)
    errors = [float((out - before).norm() / before.norm()) for out in (new, merged)]
    print(f"{name} of {kernel}x{kernel}: off by {errors[0]:.2f} with a new adapter, by {errors[1]:.2f} merged")
    found.append([error > 1 for error in errors])
sys.exit(0 if found == [[False, False], [True, False], [False, False]] else 1)
PYTHON
