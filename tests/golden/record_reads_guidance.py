"""Records UNets that read the guidance, as latent consistency models do (arXiv 2310.04378), by diffusers.

Run `python tests/golden/record_reads_guidance.py` from the repository's root, in the environment that README.md
describes. The tiny networks of Stable Diffusion 1 and XL, with a `time_cond_proj_dim`.

`scales` and `embedded_{8,9}`: what diffusers' pipeline makes of guidance scales, 8 and 9 wide. `sd_out`, `xl_out`: a
UNet's answers to the inputs of `sd_*` and `xl_*`. `sd_run`, `xl_run`, `sd_image_run`: final latents of ten steps of
DDIM at a guidance of 8 from `noise`, the last from a picture of which the last six run. `lora_run`: four steps with
the LoRA of `lcm_lora.py` on the plain folder, without guidance.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tiny
import torch
from diffusers import (
    DDIMScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)
from lcm_lora import write_lora
from record import HERE, build_unet, noise, save

WIDTH = 8
SCALES = (1.0, 1.5, 8.0)
CALL: dict[str, Any] = {
    "prompt": "a painting of the river at night",
    "negative_prompt": "the old town",
    "guidance_scale": 8.0,
    "num_inference_steps": 10,
    "output_type": "latent",
}


def record_answers(name: str, config: tiny.Config) -> dict[str, np.ndarray]:
    """A UNet's answers to two rows at two times and guidances."""
    inputs = {
        "sample": noise(f"reads_guidance/{name}/sample", (2, 4, 8, 8)),
        "timestep": np.array([981, 3], np.int64),
        "context": noise(f"reads_guidance/{name}/context", (2, 77, config["cross_attention_dim"])),
        "timestep_cond": noise(f"reads_guidance/{name}/guidance", (2, WIDTH)),
    }
    added: dict[str, Any] = {}
    if name == "xl":
        inputs["text_embeds"] = noise("reads_guidance/xl/pooled", (2, tiny.SDXL_POOLED))
        inputs["time_ids"] = np.array([[64, 64, 0, 0, 64, 64]] * 2, np.float32)
        added = {"added_cond_kwargs": {key: torch.from_numpy(inputs[key]) for key in ("text_embeds", "time_ids")}}
    sample, times, context, guidance = (
        torch.from_numpy(inputs[key]) for key in ("sample", "timestep", "context", "timestep_cond")
    )
    unet = build_unet({**config, "time_cond_proj_dim": WIDTH})
    out = unet(sample, times, context, timestep_cond=guidance, **added).sample
    return {f"{name}_{key}": array for key, array in {**inputs, "out": out.numpy()}.items()}


def load(kind: Any, folder: str, config: tiny.Config) -> Any:
    """A pipeline on a folder, with a UNet that reads the guidance and DDIM."""
    pipe = kind.from_pretrained(HERE / folder, unet=build_unet({**config, "time_cond_proj_dim": WIDTH}))
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def main() -> None:
    """Records answers and runs."""
    torch.set_num_threads(1)
    arrays: dict[str, Any] = {"scales": np.array(SCALES), "noise": noise("reads_guidance/noise", (1, 4, 16, 16))}
    with torch.no_grad():
        arrays.update(record_answers("sd", tiny.FOLDER["unet"]))
        arrays.update(record_answers("xl", tiny.SDXL["unet"]))
        sd = load(StableDiffusionPipeline, "diffusers_folder", tiny.FOLDER["unet"])
        xl = load(StableDiffusionXLPipeline, "sdxl_folder", tiny.SDXL["unet"])
        for width in (WIDTH, WIDTH + 1):
            less = torch.tensor(SCALES) - 1
            arrays[f"embedded_{width}"] = sd.get_guidance_scale_embedding(less, embedding_dim=width).numpy()
        start = {"height": 64, "width": 64, "latents": torch.from_numpy(arrays["noise"])}
        arrays["sd_run"] = np.array(sd(**CALL, **start).images)
        arrays["xl_run"] = np.array(xl(**CALL, **start).images)
        image = StableDiffusionImg2ImgPipeline(**sd.components)
        clean = torch.from_numpy(noise("reads_guidance/clean", (1, 4, 16, 16)))
        arrays["clean"] = clean.numpy()
        image.prepare_latents = lambda *_, **__: image.scheduler.add_noise(clean, start["latents"], torch.tensor([501]))
        arrays["sd_image_run"] = np.array(image(**CALL, image=clean, strength=0.6).images)
        plain = StableDiffusionPipeline.from_pretrained(HERE / "diffusers_folder", safety_checker=None)
        weights = {
            path.removesuffix(".weight"): tuple(w.shape) for path, w in plain.unet.named_parameters() if w.ndim > 1
        }
        plain.load_lora_weights({name: torch.from_numpy(array) for name, array in write_lora(weights).items()})
        plain.scheduler = DDIMScheduler.from_config(plain.scheduler.config, timestep_spacing="trailing")
        call = {**CALL, "guidance_scale": 1.0, "num_inference_steps": 4}
        arrays["lora_run"] = np.array(plain(**call, **start).images)
    save("reads_guidance", arrays)


if __name__ == "__main__":
    main()
