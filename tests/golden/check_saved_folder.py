"""Loads a pipeline folder with PyTorch diffusers and compares its image with the one in pipeline.npz.

Run `python tests/golden/check_saved_folder.py FOLDER` from the repository's root, in the environment that README.md
describes. FOLDER holds the networks of `diffusers_folder/`, written again by this project. Every weight must be there,
and no other; exits with 1 where weights or images differ.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from record import HERE
from transformers import CLIPTextModel

LEAST_PSNR = 80.0
"""In decibels. float32 arithmetic leaves about 130, a wrong last alpha_bar 51."""

NETWORKS = {"unet": UNet2DConditionModel, "vae": AutoencoderKL, "text_encoder": CLIPTextModel}


def weight_faults(folder: Path) -> list[str]:
    """One line for each missing, unexpected or mis-shaped weight."""
    faults = []
    for name, network in NETWORKS.items():
        _, info = network.from_pretrained(folder / name, use_safetensors=True, output_loading_info=True)
        for kind in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
            faults += [f"{name}: {kind}: {fault}" for fault in sorted(info.get(kind, []))]
    return faults


def psnr(image: np.ndarray, reference: np.ndarray) -> float:
    """Peak signal to noise ratio, in decibels, of images in [0, 1]."""
    error = np.mean((image.astype(np.float64) - reference.astype(np.float64)) ** 2)
    return float(-10 * np.log10(max(error, 1e-30)))


def compare(folder: Path) -> float:
    """The PSNR between the image that `folder` makes with diffusers and the recorded one."""
    with np.load(HERE / "pipeline.npz") as golden:
        recorded = {name: golden[name] for name in golden.files}
    pipe = StableDiffusionPipeline.from_pretrained(folder, use_safetensors=True)
    pipe.set_progress_bar_config(disable=True)
    settings = ("prompt", "negative_prompt", "guidance_scale", "num_inference_steps")
    image = pipe(
        **{name: recorded[name].item() for name in settings},
        latents=torch.from_numpy(recorded["init_latents"]),
        output_type="np",
    ).images
    return psnr(image, recorded["ddim_image"])


def main() -> int:
    """Prints the faults or the PSNR; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    torch.set_num_threads(1)
    faults = weight_faults(folder)
    if faults:
        print("\n".join(faults))
        return 1
    value = compare(folder)
    print(f"PSNR {value:.1f} dB")
    return 0 if value >= LEAST_PSNR else 1


if __name__ == "__main__":
    sys.exit(main())
