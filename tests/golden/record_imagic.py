"""Records Imagic (arXiv 2210.09276) in float64 on `diffusers_folder/`: `python tests/golden/record_imagic.py`.

Both stages by PyTorch's Adam, as in diffusers' community pipeline, but with the loss of what the UNet predicts, eps or
v (that pipeline compares with eps whatever the model). Run it from the repository's root, in the environment that
README.md describes. Times and noise of update i are drawn by the names "times" and "noise", as this project does.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from record import HERE, noise, save
from torch import Tensor

PROMPT = "a red cat on the mat at night"
SHAPE = (1, 4, 8, 8)
UPDATES = 3
RATES = {"embedding": 1e-2, "unet": 1e-3}
SEEDS = {"embedding": 3, "unet": 4}
STEPS = 4
GUIDANCE = 3.0
ETAS = (0.0, 0.7, 1.2)
SEED = 5
SHOWN = ("conv_in.weight", "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight", "conv_out.bias")
ALPHA_BAR = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, dim=0)


def generator(seed: int, step: int, purpose: str) -> np.random.Generator:
    """The draws of one purpose at one step."""
    return np.random.default_rng([seed, step, zlib.crc32(purpose.encode())])


def learn(stage: str, kind: str, unet: Any, embedding: Tensor, parameters: list[Tensor], clean: Tensor) -> list[float]:
    """Some updates of the parameters; the losses before each."""
    optimizer = torch.optim.Adam(parameters, lr=RATES[stage])
    losses = []
    for index in range(UPDATES):
        (time,) = generator(SEEDS[stage], index, "times").integers(1000, size=1).tolist()
        eps = torch.from_numpy(generator(SEEDS[stage], index, "noise").standard_normal(SHAPE, np.float32)).double()
        signal, spread = ALPHA_BAR[time].sqrt(), (1 - ALPHA_BAR[time]).sqrt()
        target = eps if kind == "epsilon" else signal * eps - spread * clean
        loss = torch.nn.functional.mse_loss(unet(signal * clean + spread * eps, time, embedding).sample, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def draw(kind: str, unet: Any, embedding: Tensor, empty: Tensor) -> Tensor:
    """Clean latents by guided DDIM from the seed's noise."""
    x = np.random.default_rng([SEED, zlib.crc32(b"latents")]).standard_normal(SHAPE, np.float32)
    x = torch.from_numpy(x).double()
    for time in [1 + i * (1000 // STEPS) for i in range(STEPS)][::-1]:
        plain, text = unet(torch.cat([x, x]), time, torch.cat([empty, embedding])).sample.chunk(2)
        output = plain + GUIDANCE * (text - plain)
        here, there = ALPHA_BAR[time], ALPHA_BAR[max(time - 1000 // STEPS, 0)]
        eps = output if kind == "epsilon" else here.sqrt() * output + (1 - here).sqrt() * x
        x = there.sqrt() * (x - (1 - here).sqrt() * eps) / here.sqrt() + (1 - there).sqrt() * eps
    return x


def record(kind: str) -> dict[str, Any]:
    """All that is recorded of a model that predicts eps or v."""
    pipe = StableDiffusionPipeline.from_pretrained(HERE / "diffusers_folder", safety_checker=None)
    unet, text_encoder = pipe.unet.double().requires_grad_(False), pipe.text_encoder.double()
    with torch.no_grad():
        ids = pipe.tokenizer([PROMPT, ""], padding="max_length", max_length=77, return_tensors="pt").input_ids
        text, empty = text_encoder(ids).last_hidden_state.split(1)
    clean = torch.from_numpy(noise("imagic/clean", SHAPE)).double()
    optimised = text.clone().requires_grad_()
    losses = {"embedding": learn("embedding", kind, unet, optimised, [optimised], clean)}
    optimised = optimised.detach()
    unet.requires_grad_(True)
    losses["unet"] = learn("unet", kind, unet, optimised, list(unet.parameters()), clean)
    named = dict(unet.named_parameters())
    arrays: dict[str, Any] = {f"{stage}_losses": np.array(values) for stage, values in losses.items()}
    arrays |= {"optimised": optimised, **{f"weights_{name}": named[name] for name in SHOWN}}
    with torch.no_grad():
        arrays["drawn"] = torch.cat([draw(kind, unet, eta * text + (1 - eta) * optimised, empty) for eta in ETAS])
    return {
        f"{kind}_{name}": value.detach().numpy().astype(np.float32) if isinstance(value, Tensor) else value
        for name, value in arrays.items()
    }


def main() -> None:
    """Records both kinds of model."""
    torch.set_num_threads(1)
    save("imagic", {"clean": noise("imagic/clean", SHAPE), **record("epsilon"), **record("v_prediction")})


if __name__ == "__main__":
    main()
