#!/usr/bin/env bash
# diffusers 0.42.1, peft 0.21.2, transformers 5.23.0, torch 2.13.0 (CPU)
#
# Guess: a LoRA that add_adapter put on a UNet, with lora_alpha twice the rank, has the same effect once it was saved by
# convert_state_dict_to_diffusers(get_peft_model_state_dict(unet)) and save_lora_weights, and loaded again.
#
# Seen: half of it, without a word. The state dict has the matrices alone, the file has no alpha either, and the loader
# takes the rank for it. unet_lora_adapter_metadata, which save_lora_weights takes since 0.35, would have kept it; with
# lora_alpha equal to the rank, as diffusers' scripts have it, nothing is lost.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 diffusers==0.42.1 peft==0.21.2 transformers==5.23.0 accelerate==1.15.0
cat > "$folder/alpha.py" <<'PYTHON'
import sys

import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig, get_peft_model_state_dict

SHAPE = dict(
    sample_size=8,
    block_out_channels=(32, 32),
    layers_per_block=1,
    cross_attention_dim=8,
    attention_head_dim=4,
    norm_num_groups=8,
    down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
)


def start():
    torch.manual_seed(0)
    return UNet2DConditionModel(**SHAPE)


def ask(unet):
    torch.manual_seed(1)
    with torch.no_grad():
        return unet(torch.randn(1, 4, 8, 8), 10, torch.randn(1, 5, 8)).sample


def saved_and_loaded(alpha):
    trained, loaded = start(), start()
    modules = ["to_q", "to_k", "to_v"]
    trained.add_adapter(LoraConfig(r=4, lora_alpha=alpha, target_modules=modules, init_lora_weights=False))
    layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(trained))
    StableDiffusionPipeline.save_lora_weights(sys.argv[1], unet_lora_layers=layers)
    state, alphas = StableDiffusionPipeline.lora_state_dict(sys.argv[1], weight_name="pytorch_lora_weights.safetensors")
    StableDiffusionPipeline.load_lora_into_unet(state, network_alphas=alphas, unet=loaded)
    plain = ask(start())
    return round(((ask(loaded) - plain).norm() / (ask(trained) - plain).norm()).item(), 1)


print(saved_and_loaded(4), saved_and_loaded(8))
PYTHON
seen=$("$folder/venv/bin/python" "$folder/alpha.py" "$folder/lora" 2> /dev/null | tail -1)
echo "share of the effect that is left, with lora_alpha 4 and 8 at rank 4: $seen"
[ "$seen" = "1.0 0.5" ]
