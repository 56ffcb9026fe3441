"""Records what diffusers makes of the snippets in snippets.py: `python tests/golden/record_calls.py`.

Run it from the repository's root, in the environment that README.md describes. Latents of the pictures in
`diffusers_folder`, from the noise `noise`; posteriors at their modes.
"""

from __future__ import annotations

from typing import Any

import diffusers
import numpy as np
import torch
from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_img2img as img2img
from record import HERE, noise, save
from record_pipelines import LATENT, drawn
from snippets import SNIPPETS
from transformers import CLIPTextModel

# diffusers 0.42.1 looks for it when clip_skip is given; transformers 5.23 has its parts in the model itself.
CLIPTextModel.text_model = property(lambda model: model)

FOLDER = HERE / "diffusers_folder"


def main() -> None:
    torch.set_num_threads(1)
    unit = noise("calls/noise", LATENT)
    arrays: dict[str, Any] = {"noise": unit}
    for name, snippet in SNIPPETS.items():
        given = {} if name == "change_picture" else {"latents": torch.from_numpy(unit)}
        draws = {"change_picture": [np.zeros_like(unit), unit], "paint_part": [np.zeros_like(unit)] * 2}.get(name, [])
        with torch.no_grad(), drawn(img2img, draws):
            arrays[name] = snippet(diffusers, str(FOLDER), given).numpy()
    save("calls", arrays)


if __name__ == "__main__":
    main()
