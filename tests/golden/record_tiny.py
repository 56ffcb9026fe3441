"""Records what PyTorch diffusers makes of the embedded model's folder: `python tests/golden/record_tiny.py`.

Run it from the repository's root, in the environment that README.md describes, after every change of the folder.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from record import noise, save

FOLDER = Path("jstyle/embedded/tiny")
SETTINGS = {"prompt": "a red house by the sea, watercolour", "guidance_scale": 5.0, "num_inference_steps": 10}


def main() -> None:
    torch.set_num_threads(1)
    pipe = StableDiffusionPipeline.from_pretrained(FOLDER, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    side = pipe.unet.config.sample_size
    latents = noise("tiny", (1, pipe.unet.config.in_channels, side, side))
    made = {
        kind: pipe(**SETTINGS, latents=torch.from_numpy(latents), output_type=kind).images for kind in ("latent", "np")
    }
    arrays = {"init_latents": latents, "latents": made["latent"].numpy(), "image": made["np"]}
    save("embedded", {**arrays, **{name: np.array(value) for name, value in SETTINGS.items()}})


if __name__ == "__main__":
    main()
