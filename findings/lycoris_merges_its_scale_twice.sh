#!/usr/bin/env bash
# lycoris_lora 4.1.3, torch 2.13.0 (CPU): LoHa and LoKr whose alpha is not the rank.
#
# Guess: merging an adapter into a layer (merge_to, merge_from) leaves what the layer computed with the adapter beside it.
# So it is for LoCon.
#
# Seen: LoHa and LoKr multiply by alpha / rank where they form the weight, and again where they hand it out for merging,
# so with a rank of 4 and an alpha of 1 the merged change is a quarter of the trained one; with an alpha of 16 four times:
#
#     LoConModule, alpha 1: merged / trained = 1.00
#     LohaModule, alpha 1: merged / trained = 0.25
#     LokrModule, alpha 1: merged / trained = 0.25
#     LohaModule, alpha 16: merged / trained = 4.00
#
# Files are not touched by it: a loader that applies alpha / rank once meets the trained network.
# Exits with 1 if this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 lycoris_lora==4.1.3
"$folder/venv/bin/python" - 2> "$folder/warnings" <<'PYTHON'
import sys

import torch
from lycoris.modules.locon import LoConModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule

RANK = 4
torch.manual_seed(0)
as_seen = []
for kind, alpha, options in (
    (LoConModule, 1, {}),
    (LohaModule, 1, {}),
    (LokrModule, 1, {"factor": 4}),
    (LohaModule, 16, {}),
):
    layer, x = torch.nn.Linear(64, 64, bias=False), torch.randn(3, 64)
    with torch.no_grad():
        before = layer(x)
        adapter = kind("adapter", layer, 1.0, RANK, alpha, **options)
        for parameter in adapter.parameters():
            parameter.normal_()
        adapter.apply_to()
        trained = layer(x) - before
        adapter.restore()
        adapter.merge_to(1.0)
        merged = layer(x) - before
    ratio = float(merged.norm() / trained.norm())
    print(f"{kind.__name__}, alpha {alpha}: merged / trained = {ratio:.2f}")
    expected = 1.0 if kind is LoConModule else alpha / RANK
    as_seen.append(abs(ratio - expected) < 0.01)
sys.exit(0 if all(as_seen) else 1)
PYTHON
