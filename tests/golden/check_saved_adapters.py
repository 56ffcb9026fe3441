"""Checks in PyTorch diffusers that what jstyle writes means there what it means here.

    python tests/golden/check_saved_adapters.py FOLDER

`FOLDER` is what `tests/adapters/write_adapters.py` wrote: a LoRA and a word for the tiny Stable Diffusion 2, and the
outputs with them. Needs the environment of README.md and peft. Exits with an error where outputs differ by more than
1e-4 of their size.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import record
import tiny
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline
from transformers import CLIPTokenizer

HERE = Path(__file__).resolve().parent


def relative(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


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
    pipe.load_lora_weights(folder)
    with torch.no_grad():
        arrays = [torch.from_numpy(ours[name]) for name in ("sample", "timestep", "context", "input_ids")]
        unet = pipe.unet(*arrays[:3]).sample.numpy()
        text = pipe.text_encoder(arrays[3].long()).last_hidden_state.numpy()
        pipe.unload_lora_weights()
        pipe.load_textual_inversion(folder)
        prompt = pipe.maybe_convert_prompt(str(ours["prompt"]), pipe.tokenizer)
        ids = pipe.tokenizer(prompt, padding="max_length", return_tensors="pt").input_ids
        word = pipe.text_encoder(ids).last_hidden_state.numpy()
    errors = {name: relative(found, ours[name]) for name, found in (("unet", unet), ("text", text), ("word", word))}
    print(errors)
    assert max(errors.values()) < 1e-4


if __name__ == "__main__":
    main()
