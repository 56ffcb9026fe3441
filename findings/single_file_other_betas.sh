#!/usr/bin/env bash
# diffusers 0.42.1, transformers 5.23.0, torch 2.13.0
#
# Guess: StableDiffusionPipeline.from_single_file takes `prediction_type=` and `scheduler_type=` (deprecated, and taken)
# as what they say: the scheduler of the model's configuration with that prediction, or another scheduler on its noise
# levels, 0.00085 to 0.012 as Stable Diffusion's are.
#
# Seen: either of them alone also replaces the noise levels, even a prediction_type that the configuration has already:
# betas go from 0.02 to 0.085, so alpha_bar[999] is 1.6e-22, where Stable Diffusion's is 0.0047. Without them the
# configuration's levels stay. That the arguments are deprecated is said, that the levels are others is not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet diffusers==0.42.1 transformers==5.23.0 torch==2.13.0 accelerate numpy
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import json
import sys
from pathlib import Path

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from safetensors.torch import save_file

folder = Path(sys.argv[1])
levels = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "prediction_type": "v_prediction"}
DDIMScheduler(**levels).save_pretrained(folder / "config" / "scheduler")
parts = ("unet", "vae", "text_encoder", "tokenizer", "safety_checker", "feature_extractor", "image_encoder")
index = {"_class_name": "StableDiffusionPipeline", "scheduler": ["diffusers", "DDIMScheduler"]}
(folder / "config" / "model_index.json").write_text(json.dumps({**index, **dict.fromkeys(parts, [None, None])}))
save_file({"model.diffusion_model.out.2.bias": torch.zeros(4)}, folder / "model.safetensors")  # a scheduler reads none

seen = {}
for options in ({}, {"prediction_type": "v_prediction"}, {"scheduler_type": "ddim"}):
    scheduler = StableDiffusionPipeline.from_single_file(
        str(folder / "model.safetensors"), config=str(folder / "config"), **dict.fromkeys(parts), **options
    ).scheduler
    config = scheduler.config
    seen[" ".join(options)] = (config.beta_start, config.beta_end)
    print(options, seen[" ".join(options)], float(scheduler.alphas_cumprod[-1]))
assert seen == {"": (0.00085, 0.012), "prediction_type": (0.02, 0.085), "scheduler_type": (0.02, 0.085)}, seen
PYTHON
