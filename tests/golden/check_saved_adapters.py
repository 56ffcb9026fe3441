"""Checks in PyTorch diffusers, peft and sd-scripts that what jstyle writes means there what it means here.

    python tests/golden/check_saved_adapters.py FOLDER SD_SCRIPTS

`FOLDER` is what `tests/adapters/write_adapters.py` wrote: a LoRA, in several formats, and a word for the tiny Stable
Diffusion 2, and the outputs with them. `SD_SCRIPTS` is a checkout of kohya-ss/sd-scripts. Needs the environment of
README.md and peft. Exits with an error where outputs differ by more than 1e-4 of their size (fp16 1e-3, bf16 1e-2).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import peft
import record
import tiny
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline
from record_adapter_kinds import import_sd_scripts
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import CLIPTokenizer

HERE = Path(__file__).resolve().parent


def relative(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


FILE = "pytorch_lora_weights.safetensors"


class Prefixed(torch.nn.Module):
    """A text encoder whose paths have the prefix that transformers 5 has dropped and sd-scripts' version has not."""

    def __init__(self, text: Any) -> None:
        super().__init__()
        self.text_model = text


def compute(unet: Any, text: Any, ours: Any) -> tuple[np.ndarray, np.ndarray]:
    sample, timestep, context, ids = (
        torch.from_numpy(ours[name]) for name in ("sample", "timestep", "context", "input_ids")
    )
    with torch.no_grad():
        return unet(sample, timestep, context).sample.numpy(), text(ids.long()).last_hidden_state.numpy()


def compute_in_sd_scripts(file: Path, lora: Any, ours: Any) -> tuple[np.ndarray, np.ndarray]:
    unet, text = record.build_unet(tiny.SD2["unet"]), record.build_text(tiny.SD2["text"])
    prefixed = Prefixed(text)
    network, state = lora.create_network_from_weights(1.0, str(file), None, prefixed, unet)
    network.apply_to(prefixed, unet)
    told = network.load_state_dict(state, strict=False)
    assert not told.unexpected_keys and not told.missing_keys, told
    network.float()
    return compute(unet, text, ours)


def compute_in_peft(file: Path, ours: Any) -> tuple[np.ndarray, np.ndarray]:
    """By the configuration in the header alone."""
    with safe_open(file, framework="np") as opened:
        header = json.loads(opened.metadata()["lora_adapter_metadata"])
    networks = {"unet": record.build_unet(tiny.SD2["unet"]), "text_encoder": record.build_text(tiny.SD2["text"])}
    for name, network in networks.items():
        prefix = f"{name}."
        entries = {key[len(prefix) :]: value for key, value in header.items() if key.startswith(prefix)}
        state = {key[len(prefix) :]: value for key, value in load_file(file).items() if key.startswith(prefix)}
        if name == "text_encoder":  # transformers 5's paths
            state = {key.replace("text_model.", ""): value for key, value in state.items()}
        peft.inject_adapter_in_model(peft.LoraConfig(**entries), network)
        told = peft.set_peft_model_state_dict(network, state)
        assert not told.unexpected_keys
    return compute(networks["unet"], networks["text_encoder"], ours)


def main() -> None:
    folder = Path(sys.argv[1])
    ours = np.load(folder / "outputs.npz")
    pipe = StableDiffusionPipeline(
        AutoencoderKL.from_config(tiny.SD2["vae"]),
        record.build_text(tiny.SD2["text"]),
        CLIPTokenizer.from_pretrained(HERE / "tokenizer_sd2"),
        record.build_unet(tiny.SD2["unet"]),
        DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    found = {}
    for name in (".", "diffusers_fp16", "kohya_fp32", "kohya_bf16"):
        pipe.load_lora_weights(folder / name)
        found[f"diffusers {name}"] = compute(pipe.unet, pipe.text_encoder, ours)
        pipe.unload_lora_weights()
    lora, _ = import_sd_scripts(sys.argv[2] if len(sys.argv) > 2 else None)
    for name in ("kohya_fp32", "kohya_bf16"):
        found[f"sd-scripts {name}"] = compute_in_sd_scripts(folder / name / FILE, lora, ours)
    found["peft ."] = compute_in_peft(folder / FILE, ours)
    with torch.no_grad():
        pipe.load_textual_inversion(folder)
        prompt = pipe.maybe_convert_prompt(str(ours["prompt"]), pipe.tokenizer)
        ids = pipe.tokenizer(prompt, padding="max_length", return_tensors="pt").input_ids
        word = pipe.text_encoder(ids).last_hidden_state.numpy()
    errors = {
        name: [relative(out, ours[of]) for out, of in zip(outs, ("unet", "text"))] for name, outs in found.items()
    }
    errors["word"] = [relative(word, ours["word"])]
    for name, each in errors.items():
        bound = 1e-2 if "bf16" in name else 1e-3 if "fp16" in name else 1e-4
        print(f"{name}: " + ", ".join(f"{error:.1e}" for error in each))
        assert max(each) < bound


if __name__ == "__main__":
    main()
