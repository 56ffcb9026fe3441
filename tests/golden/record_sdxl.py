"""Writes `sdxl_folder/` with PyTorch diffusers and records what SDXL's networks and pipelines make from known numbers.

Run `python tests/golden/record_sdxl.py` from the repository's root, in the environment that README.md describes.

sdxl_networks.npz: for the UNet's cases `unetN_` (0 to 2; `five0_` with five sizes) `sample`, `timestep`, `context`,
`text_embeds`, `time_ids`, `out`; for the text encoders `text_` and `text_2_` `input_ids`, `hidden` (the last state but
one), `last`, and of the second `embeds`.

sdxl.npz: `noise`, `init_image`, `mask`; of each of RUNS, as NAME_latents, the last latents, and `plain_image`.
"""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import tiny
import torch
from diffusers import (
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
)
from diffusers.pipelines.stable_diffusion_xl import pipeline_stable_diffusion_xl_img2img as img2img
from diffusers.pipelines.stable_diffusion_xl import pipeline_stable_diffusion_xl_inpaint as inpaint
from PIL import Image
from record import HERE, PROMPTS, build_text, build_unet, build_vae, noise, save, seeded, tokenize, write_tokenizer
from record_pipelines import HEIGHT, LATENT, WIDTH, disc, drawn, photo
from sdxl import PICTURES, RUNS, SCHEDULE, STEPS
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

FOLDER = HERE / "sdxl_folder"


def build_text_2() -> CLIPTextModelWithProjection:
    """The second text encoder; the hub's names of its weights are those that transformers has in memory."""
    return seeded(CLIPTextModelWithProjection(CLIPTextConfig(**tiny.SDXL["text_2"])))


def write_folder() -> None:
    """A whole pipeline with the scheduler of SDXL's base model."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    pads = {"tokenizer": "sd1", "tokenizer_2": "sd2"}
    tokenizers = {part: write_tokenizer(HERE / f"tokenizer_{name}", "!" if name == "sd2" else "<|endoftext|>")
                  for part, name in pads.items()}  # fmt: skip
    StableDiffusionXLPipeline(
        vae=build_vae(tiny.SDXL["vae"]),
        text_encoder=build_text(tiny.SDXL["text"]),
        text_encoder_2=build_text_2(),
        unet=build_unet(tiny.SDXL["unet"]),
        scheduler=EulerDiscreteScheduler(**SCHEDULE),
        add_watermarker=False,
        **tokenizers,
    ).save_pretrained(FOLDER, safe_serialization=True)
    for part, name in pads.items():
        for file in ("vocab.json", "merges.txt", "special_tokens_map.json", "tokenizer_config.json"):
            shutil.copy(HERE / f"tokenizer_{name}" / file, FOLDER / part / file)


def record_networks() -> None:
    """Three sizes of latents with one row and two, and a UNet of the refiner's sizes; a prompt and the empty one."""
    arrays: dict[str, Any] = {}
    shapes = {"unet0": (2, 4, 16, 8), "unet1": (1, 4, 9, 14), "unet2": (2, 4, 8, 8), "five0": (2, 4, 8, 8)}
    for key, shape in shapes.items():
        config = tiny.SDXL_FIVE if key == "five0" else tiny.SDXL["unet"]
        rows, count = shape[0], 5 if key == "five0" else 6
        inputs = {
            "sample": noise(f"sdxl/{key}/sample", shape),
            "timestep": np.array([981, 3][:rows], np.int64),
            "context": noise(f"sdxl/{key}/context", (rows, 77, config["cross_attention_dim"])),
            "text_embeds": noise(f"sdxl/{key}/pooled", (rows, tiny.SDXL_POOLED)),
            "time_ids": np.array([[1024, 768, 16, 0, 1000, 512], [64, 32, 0, 7, 6, 2]], np.float32)[:rows, :count],
        }
        given = {name: torch.from_numpy(array) for name, array in inputs.items()}
        added = {"text_embeds": given["text_embeds"], "time_ids": given["time_ids"]}
        unet = build_unet(config)
        out = unet(given["sample"], given["timestep"], given["context"], added_cond_kwargs=added).sample
        arrays.update({f"{key}_{name}": array for name, array in {**inputs, "out": out.numpy()}.items()})
    texts = [PROMPTS["plain"], PROMPTS["empty"], PROMPTS["long"]]
    for part, flavour, model in (("text", "sd1", build_text(tiny.SDXL["text"])), ("text_2", "sd2", build_text_2())):
        tokenizer = write_tokenizer(HERE / f"tokenizer_{flavour}", "!" if flavour == "sd2" else "<|endoftext|>")
        ids = tokenize(tokenizer, texts)
        out = model(torch.from_numpy(ids), output_hidden_states=True)
        arrays.update({f"{part}_input_ids": ids, f"{part}_hidden": out.hidden_states[-2].numpy()})
        arrays[f"{part}_last"] = out.last_hidden_state.numpy()
        if part == "text_2":
            arrays["text_2_embeds"] = out.text_embeds.numpy()
    save("sdxl_networks", arrays)


def load(kind: str, run: dict[str, Any]) -> Any:
    """The pipeline of a run, on the folder with what the run changes of it."""
    pipe = {
        "text": StableDiffusionXLPipeline,
        "image": StableDiffusionXLImg2ImgPipeline,
        "mask": StableDiffusionXLInpaintPipeline,
    }[kind].from_pretrained(FOLDER, add_watermarker=False, **run.get("config", {}))
    if "unet" in run:
        pipe.unet = build_unet({**tiny.SDXL["unet"], **run["unet"]})
    if "scheduler" in run:
        name, changes = run["scheduler"]
        classes = {"euler": EulerDiscreteScheduler, "euler_a": EulerAncestralDiscreteScheduler}
        pipe.scheduler = classes[name].from_config({**SCHEDULE, **changes})
    pipe.set_progress_bar_config(disable=True)
    return pipe


def make(run: dict[str, Any], output_type: str = "latent") -> np.ndarray:
    """What a run comes to."""
    start = noise("sdxl/noise", (len(run.get("prompts", "a")), *LATENT[1:]))
    settings = {"num_inference_steps": STEPS, "output_type": output_type, **run["call"]}
    kind = run.get("kind", "text")
    pipe = load(kind, run)
    if kind == "text":
        size = {"height": HEIGHT, "width": WIDTH, "latents": torch.from_numpy(start)}
        return np.array(pipe(**size, **settings).images)
    pictures: dict[str, Any] = {"image": Image.fromarray(photo())}
    mode = np.zeros_like(start)
    draws = [mode, start]
    if kind == "mask":
        pictures.update(mask_image=Image.fromarray(disc()), height=HEIGHT, width=WIDTH)
        draws = [start, mode] if "unet" in run else [mode, start, mode]
    with drawn(img2img if kind == "image" else inpaint, draws):
        return np.array(pipe(**pictures, **settings).images)


def main() -> None:
    """Writes the folder, then records networks and runs."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    write_folder()
    record_networks()
    arrays: dict[str, Any] = {
        "noise": noise("sdxl/noise", (2, *LATENT[1:])),
        "init_image": photo(),
        "mask": disc(),
        "plain_image": make(RUNS["plain"], "np"),
    }
    assert np.array_equal(arrays["noise"][:1], noise("sdxl/noise", LATENT))
    assert set(PICTURES) == {run.get("kind", "text") for run in RUNS.values()}
    arrays.update({f"{name}_latents": make(run) for name, run in RUNS.items()})
    save("sdxl", arrays)


if __name__ == "__main__":
    main()
