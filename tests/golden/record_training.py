"""Records how PyTorch trains the embedded model's UNet: `python tests/golden/record_training.py`.

The loop is the one of diffusers' examples: encode, tokenise, add noise, predict, mean squared error, AdamW. Run it from
the repository's root, in the environment that README.md describes, after every change of the folder. Pictures are
`blocks` enlarged; the posterior's noise and the noise of update i are `posterior` and `noise`, rolled by i along their
last axis.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from record import noise, save
from transformers import CLIPTextModel, CLIPTokenizer

FOLDER = Path("jstyle/embedded/tiny")
TEXTS = ["a red house by the sea", "a cat"]
TIMES = [[3, 981], [700, 41], [250, 250], [999, 0], [120, 530], [810, 15], [444, 333], [77, 640], [905, 199], [560, 8]]
RATE = 1e-4
SHOWN = (
    "conv_in.bias", "time_embedding.linear_1.bias", "mid_block.attentions.0.transformer_blocks.0.norm2.weight",
    "up_blocks.1.resnets.0.norm1.bias", "conv_out.weight",
)  # fmt: skip


def main() -> None:
    torch.set_num_threads(1)
    scheduler = DDPMScheduler.from_pretrained(FOLDER, subfolder="scheduler")
    tokenizer = CLIPTokenizer.from_pretrained(FOLDER, subfolder="tokenizer")
    text_encoder = CLIPTextModel.from_pretrained(FOLDER, subfolder="text_encoder", dtype=torch.float32)
    vae = AutoencoderKL.from_pretrained(FOLDER, subfolder="vae")
    unet = UNet2DConditionModel.from_pretrained(FOLDER, subfolder="unet")
    vae.requires_grad_(False)
    text_encoder.requires_grad_(False)
    unet.train()
    optimizer = torch.optim.AdamW(unet.parameters(), lr=RATE, weight_decay=1e-2)
    blocks = np.tanh(noise("training blocks", (2, 3, 8, 8)))
    pixels = torch.from_numpy(np.kron(blocks, np.ones((8, 8), np.float32)))
    shape = (2, vae.config.latent_channels, 8, 8)
    drawn = {name: noise(f"training {name}", shape) for name in ("posterior", "noise")}
    arrays = {"texts": np.array(TEXTS), "times": np.array(TIMES), "rate": RATE, "blocks": blocks, **drawn}
    losses = []
    for i, times in enumerate(TIMES):
        rolled = {name: torch.from_numpy(np.roll(array, i, axis=-1)) for name, array in drawn.items()}
        posterior = vae.encode(pixels).latent_dist
        latents = (posterior.mean + posterior.std * rolled["posterior"]) * vae.config.scaling_factor
        timesteps = torch.tensor(times)
        noisy = scheduler.add_noise(latents, rolled["noise"], timesteps)
        ids = tokenizer(
            TEXTS, padding="max_length", truncation=True, max_length=tokenizer.model_max_length, return_tensors="pt"
        ).input_ids
        output = unet(noisy, timesteps, encoder_hidden_states=text_encoder(ids)[0]).sample
        target = rolled["noise"]
        if scheduler.config.prediction_type == "v_prediction":
            target = scheduler.get_velocity(latents, rolled["noise"], timesteps)
        loss = F.mse_loss(output, target)
        loss.backward()
        if i == 0:
            named = dict(unet.named_parameters())
            arrays["names"] = np.array(list(named))
            arrays["gradient_norms"] = np.array([p.grad.norm().item() for p in named.values()])
            arrays |= {f"gradient_{name}": named[name].grad.numpy().copy() for name in SHOWN}
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    save("training", {**arrays, "losses": np.array(losses)})


if __name__ == "__main__":
    main()
