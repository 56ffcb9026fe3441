"""Records two training scripts under PyTorch, diffusers and peft: tests/golden/scripts.npz.

    python tests/golden/record_scripts.py

Needs the environment of README.md and peft; on the embedded model, in fp32, one thread. Pictures and draws are those of
`script_inputs`; A starts as `adapter_tensor` has it, B at zero, in both.

* `dreambooth_`: what examples/dreambooth/train.py of JDiffusion does: one prompt for all, AdamW, a constant rate.
* `captions_`: what diffusers' examples/text_to_image/train_text_to_image_lora.py does: a caption each, min-SNR weights,
  clipped gradients, a cosine after a warm-up.

Each has `losses` (updates,), `rates` that each update had, `down` and `up`, the trained matrices of one layer, and
`image` (1, 128, 128, 3) in [0, 1], drawn with the LoRA as it was saved and loaded again, from the noise `latents`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import script_inputs as given
import torch
from adapter_tensors import adapter_tensor
from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.optimization import get_scheduler
from diffusers.training_utils import compute_snr
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig, get_peft_model_state_dict
from record import noise, save
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer

MODEL = "jstyle/embedded/tiny"


def start_unet() -> Any:
    unet = UNet2DConditionModel.from_pretrained(MODEL, subfolder="unet", torch_dtype=torch.float32)
    unet.requires_grad_(False)
    config = dict(r=given.RANK, lora_alpha=given.RANK, init_lora_weights="gaussian", target_modules=given.TARGETS)
    unet.add_adapter(LoraConfig(**config))
    for name, parameter in unet.named_parameters():
        if "lora_A" in name:
            parameter.data = torch.from_numpy(adapter_tensor(name, parameter.shape))
    return unet


def train(captions: list[str], is_dreambooth: bool) -> tuple[Any, dict[str, Any]]:
    unet = start_unet()
    vae = AutoencoderKL.from_pretrained(MODEL, subfolder="vae", torch_dtype=torch.float32).requires_grad_(False)
    text_encoder = CLIPTextModel.from_pretrained(
        MODEL, subfolder="text_encoder", torch_dtype=torch.float32
    ).requires_grad_(False)
    tokenizer = CLIPTokenizer.from_pretrained(MODEL, subfolder="tokenizer")
    schedule = DDPMScheduler.from_pretrained(MODEL, subfolder="scheduler")
    layers = [parameter for parameter in unet.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(layers, lr=given.RATE, weight_decay=1e-2)
    curve = ("constant", 0) if is_dreambooth else ("cosine", 2)
    rates = get_scheduler(curve[0], optimizer, num_warmup_steps=curve[1], num_training_steps=given.UPDATES)
    pixels = torch.from_numpy(np.stack(given.draw_pictures())).permute(0, 3, 1, 2) / 127.5 - 1
    tokens = tokenizer(captions, padding="max_length", truncation=True, max_length=77, return_tensors="pt").input_ids
    draws = given.Draws()
    told: dict[str, Any] = {"losses": [], "rates": []}
    for update in range(given.UPDATES):
        rows = [0, 1] if update % 2 == 0 else [2]  # three pictures in batches of two, in order
        latents = vae.encode(pixels[rows]).latent_dist.mode() * vae.config.scaling_factor
        eps = torch.from_numpy(draws.noise(tuple(latents.shape)))
        times = torch.from_numpy(draws.times(len(rows)))
        noisy = schedule.add_noise(latents, eps, times)
        target = schedule.get_velocity(latents, eps, times)
        output = unet(noisy, times, text_encoder(tokens[rows])[0]).sample
        if is_dreambooth:
            loss = functional.mse_loss(output, target)
        else:
            snr = compute_snr(schedule, times)
            weights = torch.minimum(snr, torch.full_like(snr, 5.0)) / (snr + 1)
            loss = (functional.mse_loss(output, target, reduction="none").mean(dim=(1, 2, 3)) * weights).mean()
        loss.backward()
        if not is_dreambooth:
            torch.nn.utils.clip_grad_norm_(layers, given.NORM)
        told["losses"].append(loss.item())
        told["rates"].append(rates.get_last_lr()[0])
        optimizer.step()
        rates.step()
        optimizer.zero_grad()
    return unet, told


def draw(unet: Any, latents: np.ndarray) -> np.ndarray:
    pipe = StableDiffusionPipeline.from_pretrained(MODEL, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    with tempfile.TemporaryDirectory() as folder:
        state = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))
        StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=state)
        pipe.load_lora_weights(Path(folder))
    return pipe(**given.DRAWN, latents=torch.from_numpy(latents), output_type="np").images


def main() -> None:
    torch.set_num_threads(1)
    latents = noise("scripts", (1, 16, 16, 16))
    arrays: dict[str, Any] = {"latents": latents}
    for name, captions in (("dreambooth", [given.PROMPT] * 3), ("captions", given.CAPTIONS)):
        unet, told = train(captions, name == "dreambooth")
        state = get_peft_model_state_dict(unet)
        told["down"], told["up"] = (state[f"{given.LAYER}.lora_{matrix}.weight"].numpy() for matrix in "AB")
        told["image"] = draw(unet, latents).astype(np.float16)  # of which an error alone would be 80 dB
        arrays.update({f"{name}_{key}": np.array(value) for key, value in told.items()})
    save("scripts", arrays)


if __name__ == "__main__":
    main()
