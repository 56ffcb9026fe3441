"""Writes `sdxl_folder/` with PyTorch diffusers and records what SDXL's networks and pipelines make from known numbers.

Run `python tests/golden/record_sdxl.py` from the repository's root, in the environment that README.md describes.

sdxl_networks.npz: for the UNet's cases `unetN_` (0 to 2; `five0_` with five sizes) `sample`, `timestep`, `context`,
`text_embeds`, `time_ids`, `out`; for the text encoders `text_` and `text_2_` `input_ids`, `hidden` (the last state but
one), `last`, and of the second `embeds`.

sdxl.npz: `noise`, `init_image`, `mask`; of each of RUNS, as NAME_latents, the last latents, and `plain_image`.

sdxl_adapters.npz: of each of ADAPTED, as NAME_latents, the last latents with a LoRA or a word (3 steps), and `none_`
without any. The second text encoder's eos_token_id is the real one there: with the hub's 2 transformers takes the
largest id, and so a learnt word, for a text's end.

sdxl_single_file.npz: `names` and `shapes` (JSON) of a file with the original code's names, and where diffusers takes
each of `parameters` from, `sources`.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tiny
import torch
from diffusers import (
    AutoencoderKL,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion_xl import pipeline_stable_diffusion_xl_img2img as img2img
from diffusers.pipelines.stable_diffusion_xl import pipeline_stable_diffusion_xl_inpaint as inpaint
from PIL import Image
from record import HERE, PROMPTS, build_text, build_unet, build_vae, noise, save, seeded, tokenize, write_tokenizer
from record_pipelines import HEIGHT, LATENT, WIDTH, disc, drawn, photo
from safetensors.numpy import save_file
from sdxl import ADAPTED, DEEP, PICTURES, RUNS, SCHEDULE, STEPS, WORD, write_base, write_lora, write_word
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

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


def make_adapted(name: str, prompt: str) -> np.ndarray:
    """What a run of three steps comes to with a LoRA or a word."""
    config = CLIPTextConfig(**{**tiny.SDXL["text_2"], "eos_token_id": tiny.VOCAB_SIZE - 1})
    pipe = load("text", {"config": {"text_encoder_2": seeded(CLIPTextModelWithProjection(config))}})
    if name == "word":
        arrays = {key: torch.from_numpy(array) for key, array in write_word().items()}
        for key, encoder, tokenizer in (("clip_l", pipe.text_encoder, pipe.tokenizer),
                                        ("clip_g", pipe.text_encoder_2, pipe.tokenizer_2)):  # fmt: skip
            pipe.load_textual_inversion({WORD: arrays[key]}, text_encoder=encoder, tokenizer=tokenizer)
    elif name != "none":
        with tempfile.TemporaryDirectory() as folder:
            save_file(write_lora(name), f"{folder}/lora.safetensors")
            pipe.load_lora_weights(folder, weight_name="lora.safetensors")
    start = torch.from_numpy(noise("sdxl/noise", LATENT))
    size = {"height": HEIGHT, "width": WIDTH, "latents": start, "output_type": "latent"}
    return pipe(prompt, negative_prompt="a town", num_inference_steps=3, **size).images.numpy()


def list_file_names(configs: dict[str, Any]) -> dict[str, list[int]]:
    """The names and shapes of a single file: this project's, of which diffusers must find a use for every one."""
    sys.path.insert(0, str(HERE.parents[1]))
    from jstyle.networks.config import UNetConfig, VAEConfig
    from jstyle.weights.single_file import names

    with torch.device("meta"):
        text = {f"text_model.{n.removeprefix('text_model.')}": v for n, v in build_bare(CLIPTextModel, "text", configs)}
        second = dict(build_bare(CLIPTextModelWithProjection, "text_2", configs))
        unet = UNet2DConditionModel.from_config(configs["unet"]).state_dict()
        vae = AutoencoderKL.from_config(configs["vae"]).state_dict()
    finders = {
        "model.diffusion_model.": (unet, names.find_unet_names(UNetConfig.from_dict(configs["unet"]))),
        "first_stage_model.": (vae, names.find_vae_names(VAEConfig.from_dict(configs["vae"]))),
        "conditioner.embedders.0.transformer.": (text, names.find_clip_names),
        "conditioner.embedders.1.model.": (second, names.find_open_clip_names),
    }
    shapes: dict[str, list[int]] = {"conditioner.embedders.1.model.logit_scale": []}
    for prefix, (state, find) in finders.items():
        for name, value in state.items():
            place, shape = find(name), list(value.shape)
            linear = prefix == "first_stage_model." and ".attn" not in name and "mid_block.attentions" in name
            if linear and len(shape) == 2:
                shape += [1, 1]
            shapes[prefix + place.name] = [shape[0] * place.parts, *shape[1:]][:: -1 if place.transposed else 1]
    return shapes


def build_bare(kind: Any, part: str, configs: dict[str, Any]) -> Any:
    """Names and values of a text encoder's parameters."""
    return ((n, v) for n, v in kind(CLIPTextConfig(**configs[part])).state_dict().items() if "position_ids" not in n)


def record_single_file() -> None:
    """Where diffusers takes each parameter from, of a file with the layers by which it knows SDXL."""
    shapes = list_file_names(DEEP)
    arrays = {name: np.asarray(tiny.seeded_tensor(name, shape)) for name, shape in shapes.items()}
    with tempfile.TemporaryDirectory() as folder:
        save_file(arrays, f"{folder}/model.safetensors")
        base = write_base(Path(folder) / "base")
        pipe = StableDiffusionXLPipeline.from_single_file(
            f"{folder}/model.safetensors", config=str(base), add_watermarker=False
        )
    sources = {}
    for part in ("unet", "vae", "text_encoder", "text_encoder_2"):
        for name, value in getattr(pipe, part).state_dict().items():
            found = find_source(value.numpy(), arrays)
            is_text = part.startswith("text") and not name.startswith("text_projection")
            sources[f"{part}/text_model.{name.removeprefix('text_model.')}" if is_text else f"{part}/{name}"] = found
    save("sdxl_single_file", {
        "names": np.array(list(shapes)),
        "shapes": np.array(json.dumps(list(shapes.values()))),
        "parameters": np.array(list(sources)),
        "sources": np.array(list(sources.values())),
    })  # fmt: skip


def find_source(value: np.ndarray, arrays: dict[str, np.ndarray]) -> str:
    """The name, part and number of parts, and "T" where it is transposed, of the array that a parameter is of."""
    for name, array in arrays.items():
        if array.size == value.size and np.array_equal(array.reshape(value.shape), value):
            return f"{name} 0 1"
        if array.ndim == 2 and array.T.shape == value.shape and np.array_equal(array.T, value):
            return f"{name} 0 1 T"
        if "in_proj" in name and array.size == 3 * value.size:
            for part, third in enumerate(np.split(array, 3)):
                if np.array_equal(third, value):
                    return f"{name} {part} 3"
    raise AssertionError(f"no source of a parameter {value.shape}")


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
    record_single_file()
    adapted = {"none": "a painting", **ADAPTED}
    save("sdxl_adapters", {f"{name}_latents": make_adapted(name, prompt) for name, prompt in adapted.items()})


if __name__ == "__main__":
    main()
