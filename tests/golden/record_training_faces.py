"""Records what peft and diffusers make of a LoRA's configuration and of a learning rate's name: training_faces.json.

    python tests/golden/record_training_faces.py

Needs the environment of README.md and peft; on `diffusers_folder`.

* `layers`: for each case, its configuration, the network, and each changed layer's rank and scale by its path.
* `names`: what `convert_state_dict_to_diffusers` calls the matrices of two of the cases, a network each.
* `rates`: for each case, the arguments of `get_scheduler` and the rate of each of 14 updates, at a peak of 1e-3.
* `snr`: the times, and what `compute_snr` gives for them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from diffusers.optimization import get_scheduler
from diffusers.training_utils import compute_snr
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig, get_peft_model_state_dict
from transformers import CLIPTextModel

HERE = Path(__file__).resolve().parent
FOLDER = HERE / "diffusers_folder"
CONFIGS: list[tuple[str, dict[str, Any]]] = [
    ("unet", dict(r=4, lora_alpha=4, target_modules=["to_k", "to_q", "to_v", "to_out.0", "add_k_proj"])),
    ("unet", dict(r=4, lora_alpha=2, target_modules=["mid_block.attentions.0.proj_in", "attn1.to_q"])),
    ("unet", dict(r=2, lora_alpha=6, target_modules=r".*attn2\.to_[kv]")),
    ("unet", dict(r=2, target_modules="all-linear", exclude_modules=["time_emb_proj", "linear_1"])),
    ("unet", dict(r=3, target_modules=["conv1", "conv_shortcut", "proj_in"], exclude_modules=r"up_blocks.*")),
    (
        "unet",
        dict(
            r=4,
            lora_alpha=8,
            use_rslora=True,
            target_modules=["to_q", "to_k", "ff.net.0.proj", "conv2", "time_emb_proj"],
            rank_pattern={"attn1.to_q": 2, "^mid_block.*to_k": 8, "conv2": 1},
            alpha_pattern={"attn2.to_q": 3, "up_blocks.*to_k": 1},
        ),
    ),
    ("text_encoder", dict(r=4, lora_alpha=4, target_modules=["q_proj", "k_proj", "v_proj", "out_proj"])),
    ("text_encoder", dict(r=2, lora_alpha=4, target_modules=r"encoder\.layers\.1\..*fc1")),
]
RATES: list[dict[str, Any]] = [
    dict(name="constant"),
    dict(name="constant_with_warmup", num_warmup_steps=4),
    dict(name="linear", num_warmup_steps=3, num_training_steps=10),
    dict(name="cosine", num_warmup_steps=0, num_training_steps=10),
    dict(name="cosine", num_warmup_steps=3, num_training_steps=10, num_cycles=3),
    dict(name="cosine_with_restarts", num_warmup_steps=2, num_training_steps=11, num_cycles=3),
    dict(name="polynomial", num_warmup_steps=2, num_training_steps=10, power=2.0),
    dict(name="piecewise_constant", step_rules="1:3,0.1:6,0.05"),
]


def load(name: str) -> Any:
    kind = UNet2DConditionModel if name == "unet" else CLIPTextModel
    return kind.from_pretrained(FOLDER, subfolder=name)


def record_layers(name: str, config: dict[str, Any]) -> dict[str, Any]:
    network = load(name)
    network.add_adapter(LoraConfig(**config))
    found = {
        path: [module.r["default"], module.scaling["default"]]
        for path, module in network.named_modules()
        if hasattr(module, "lora_A")
    }
    return {"network": name, "config": config, "layers": found}


def record_names(name: str, config: dict[str, Any]) -> dict[str, str]:
    network = load(name)
    network.add_adapter(LoraConfig(**config))
    state = get_peft_model_state_dict(network)
    return dict(zip(state, convert_state_dict_to_diffusers(state)))


def record_rates(arguments: dict[str, Any]) -> dict[str, Any]:
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    schedule = get_scheduler(optimizer=optimizer, **arguments)
    rates = []
    for _ in range(14):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return {"arguments": arguments, "rates": rates}


def main() -> None:
    times = [0, 1, 25, 500, 999]
    schedule = DDPMScheduler.from_pretrained(FOLDER, subfolder="scheduler")
    found = {
        "layers": [record_layers(name, config) for name, config in CONFIGS],
        "names": {**record_names(*CONFIGS[5]), **record_names(*CONFIGS[6])},
        "rates": [record_rates(arguments) for arguments in RATES],
        "snr": {"times": times, "snr": compute_snr(schedule, torch.tensor(times)).tolist()},
    }
    (HERE / "training_faces.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
