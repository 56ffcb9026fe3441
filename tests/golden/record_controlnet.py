"""Records what PyTorch diffusers' ControlNets make of maps, and its ControlNet pipelines on `diffusers_folder/`.

Run `python tests/golden/record_controlnet.py` from the repository's root, in the environment that README.md describes.

controlnet.npz: for each of `NETS` `{net}_` `sample`, `timestep`, `context`, `map` (of "sdxl" `text_embeds` and
`time_ids` too), and for the plain and (`guess_`) the guess mode at a scale of 0.7 the residuals end to end, those of
the middle last; `config`, what diffusers writes of the net "sd1", as JSON.
controlnet_file.npz: `names` and `shapes` (JSON) of a file of the original code's, and, on sd1's inputs and `map`,
`residuals`.
controlnet_runs.npz: `map` and `edges` (uint8), `mask`, `noise`, `forward` (of pictures), and final latents of each of
`RUNS`, of `image`, `mask4`, `mask9`, of SDXL `xl`, `xl_guess`, `xl_image` and `xl_mask`, and of `batch`, two prompts
with a map each.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tiny
import torch
from diffusers import (
    ControlNetModel,
    StableDiffusionControlNetImg2ImgPipeline,
    StableDiffusionControlNetInpaintPipeline,
    StableDiffusionControlNetPipeline,
    StableDiffusionXLControlNetImg2ImgPipeline,
    StableDiffusionXLControlNetInpaintPipeline,
    StableDiffusionXLControlNetPipeline,
)
from diffusers.pipelines.controlnet import pipeline_controlnet_img2img as img2img
from diffusers.pipelines.controlnet import pipeline_controlnet_inpaint as inpaint
from diffusers.pipelines.controlnet import pipeline_controlnet_inpaint_sd_xl as xl_inpaint
from diffusers.pipelines.controlnet import pipeline_controlnet_sd_xl_img2img as xl_img2img
from PIL import Image
from record import HERE, build_unet, noise, rng, save, seeded
from record_pipelines import FOLDER, HEIGHT, LATENT, SETTINGS, WIDTH, disc, drawn, generate, photo
from safetensors.numpy import save_file

NETS: dict[str, tiny.Config] = {
    "sd1": tiny.controlnet_config(tiny.SD1["unet"]),
    "sd2": tiny.controlnet_config(tiny.SD2["unet"], controlnet_conditioning_channel_order="bgr"),
    "sdxl": tiny.controlnet_config(tiny.SDXL["unet"]),
    "pool": tiny.controlnet_config(tiny.FOLDER["unet"], global_pool_conditions=True),
}
SCALE = 0.7
TEN: dict[str, Any] = {"num_inference_steps": 10}
BOTH = "both nets"
RUNS: dict[str, dict[str, Any]] = {
    "one": {},
    "scaled": {"controlnet_conditioning_scale": 0.6},
    "guess": {"guess_mode": True, "guidance_scale": 4.0},
    "window": {"control_guidance_start": 0.2, "control_guidance_end": 0.7},
    "unguided": {"guidance_scale": 1.0},
    "two": {BOTH: True, "controlnet_conditioning_scale": [0.5, 0.8]},
    "windows": {BOTH: True, "control_guidance_start": [0.0, 0.3], "control_guidance_end": [0.5, 1.0]},
    "guess_two": {BOTH: True, "guess_mode": True, "controlnet_conditioning_scale": 0.4},
}
"""Text-to-image of 10 steps, by what diffusers is told beside `SETTINGS`."""


def build_net(config: tiny.Config, prefix: str = "") -> ControlNetModel:
    """The diffusers ControlNet with seeded weights; a prefix makes another one."""
    return seeded(ControlNetModel.from_config(config), prefix)


def _draw_inputs(name: str, config: tiny.Config) -> tuple[np.ndarray, ...]:
    """Latents, times, texts and maps, two of each."""
    height, width = (5, 6) if name == "sd1" else (6, 5)
    return (
        noise(f"controlnet/{name}/sample", (2, 4, height, width)),
        np.array([37, 921], np.int64),
        noise(f"controlnet/{name}/context", (2, 7, config["cross_attention_dim"])),
        rng(f"controlnet/{name}/map").random((2, 3, 4 * height, 4 * width), np.float32),
    )


def record_net(name: str, config: tiny.Config) -> dict[str, np.ndarray]:
    """The residuals of two latents of odd sizes under two maps."""
    net = build_net(config)
    inputs = dict(zip(("sample", "timestep", "context", "map"), _draw_inputs(name, config)))
    added = {}
    if name == "sdxl":
        added["text_embeds"] = noise("controlnet/pooled", (2, tiny.SDXL_POOLED))
        added["time_ids"] = np.array([[64, 80, 0, 8, 48, 40], [24, 20, 0, 0, 24, 20]], np.float32)
    arrays = {f"{name}_{key}": value for key, value in {**inputs, **added}.items()}
    sample, timestep, context, shown = (torch.from_numpy(value) for value in inputs.values())
    more = {"added_cond_kwargs": {key: torch.from_numpy(value) for key, value in added.items()} or None}
    for mode in ("", "guess_"):
        down, middle = net(sample, timestep, context, shown, SCALE, guess_mode=bool(mode), return_dict=False, **more)
        flat = [one.numpy().ravel() for one in (*down, middle)]
        arrays[f"{name}_{mode}residuals"] = np.concatenate(flat)
    return arrays


def list_original_names(config: tiny.Config, channels: int) -> list[tuple[str, list[int]]]:
    """Names and shapes in a file of the original code (github.com/lllyasviel/ControlNet, `cldm/cldm.py`), in order."""
    widths, text, hints = config["block_out_channels"], config["cross_attention_dim"], [3, 4, 4, 4, 4, 8, 8, 12]
    names: list[tuple[str, list[int]]] = []

    def add(name: str, *shape: int, bias: bool = True) -> None:
        names.append((f"{name}.weight", list(shape)))
        if bias:
            names.append((f"{name}.bias", [shape[0]]))

    def add_resnet(name: str, taken: int, given: int) -> None:
        add(f"{name}.in_layers.0", taken)
        add(f"{name}.in_layers.2", given, taken, 3, 3)
        add(f"{name}.emb_layers.1", given, 4 * widths[0])
        add(f"{name}.out_layers.0", given)
        add(f"{name}.out_layers.3", given, given, 3, 3)
        if taken != given:
            add(f"{name}.skip_connection", given, taken, 1, 1)

    def add_transformer(name: str, width: int) -> None:
        block = f"{name}.transformer_blocks.0"
        add(f"{name}.norm", width)
        add(f"{name}.proj_in", width, width, 1, 1)
        for attention, source in (("attn1", width), ("attn2", text)):
            add(f"{block}.{attention}.to_q", width, width, bias=False)
            add(f"{block}.{attention}.to_k", width, source, bias=False)
            add(f"{block}.{attention}.to_v", width, source, bias=False)
            add(f"{block}.{attention}.to_out.0", width, width)
        add(f"{block}.ff.net.0.proj", 8 * width, width)
        add(f"{block}.ff.net.2", width, 4 * width)
        for norm in ("norm1", "norm2", "norm3"):
            add(f"{block}.{norm}", width)
        add(f"{name}.proj_out", width, width, 1, 1)

    add("time_embed.0", 4 * widths[0], widths[0])
    add("time_embed.2", 4 * widths[0], 4 * widths[0])
    add("input_blocks.0.0", widths[0], channels, 3, 3)
    number, taken = 1, widths[0]
    skips = [widths[0]]
    for level, width in enumerate(widths):
        for _ in range(config["layers_per_block"]):
            add_resnet(f"input_blocks.{number}.0", taken, width)
            if level < len(widths) - 1:
                add_transformer(f"input_blocks.{number}.1", width)
            taken, number = width, number + 1
            skips.append(width)
        if level < len(widths) - 1:
            add(f"input_blocks.{number}.0.op", width, width, 3, 3)
            number += 1
            skips.append(width)
    for place, width in enumerate(skips):
        add(f"zero_convs.{place}.0", width, width, 1, 1)
    for place, (taken, given) in enumerate(zip(hints, [*hints[1:], widths[0]])):
        add(f"input_hint_block.{2 * place}", given, taken, 3, 3)
    add_resnet("middle_block.0", widths[-1], widths[-1])
    add_transformer("middle_block.1", widths[-1])
    add_resnet("middle_block.2", widths[-1], widths[-1])
    add("middle_block_out.0", widths[-1], widths[-1], 1, 1)
    return [(f"control_model.{name}", shape) for name, shape in names]


def record_file() -> dict[str, np.ndarray]:
    """What diffusers makes of a file of the original code's names, on the inputs of the net "sd1"."""
    config = tiny.controlnet_config(tiny.SD1["unet"], conditioning_embedding_out_channels=[4, 4, 8, 12])
    names = list_original_names(config, 4)
    with tempfile.TemporaryDirectory() as folder:
        build_net(config).save_config(folder)
        file = Path(folder) / "control.safetensors"
        save_file({name: tiny.seeded_tensor(name, shape) for name, shape in names}, file)
        net = ControlNetModel.from_single_file(str(file), config=folder)
    sample, timestep, context, _ = _draw_inputs("sd1", config)
    shown = rng("controlnet/file/map").random((2, 3, 40, 48), np.float32)
    down, middle = net(*map(torch.from_numpy, (sample, timestep, context, shown)), return_dict=False)
    return {
        "names": np.array([name for name, _ in names]),
        "shapes": np.array(json.dumps([shape for _, shape in names])),
        "map": shown,
        "residuals": np.concatenate([one.numpy().ravel() for one in (*down, middle)]),
    }


def edges() -> np.ndarray:
    """A uint8 map (H, W, 3) of lines."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    lines = (np.abs((y - 30) ** 2 + (x - 13) ** 2 - 100) < 16) | (x == 5)
    return np.repeat(np.where(lines, 255, 0).astype(np.uint8)[..., None], 3, axis=-1)


def record_runs() -> dict[str, np.ndarray]:
    """Every run of `RUNS`, and those that start from a picture."""
    config = tiny.controlnet_config(tiny.FOLDER["unet"])
    nets = [build_net(config), build_net(config, "second.")]
    maps = [Image.fromarray(photo()), Image.fromarray(edges())]
    initial = noise("pipeline/init_latents", LATENT)
    init = {"latents": torch.from_numpy(initial), **TEN}
    arrays: dict[str, Any] = {"map": photo(), "edges": edges(), "noise": initial, "mask": disc()}

    def make(kind: Any, both: bool = False, **more: Any) -> Any:
        return kind.from_pretrained(FOLDER, controlnet=nets if both else nets[0], safety_checker=None, **more)

    for name, options in RUNS.items():
        options = dict(options)
        both = options.pop(BOTH, False)
        pipe = make(StableDiffusionControlNetPipeline, both)
        arrays[name] = generate(pipe, image=maps if both else maps[0], **init, **options)["latents"]
    batch = {
        "prompt": [SETTINGS["prompt"], SETTINGS["negative_prompt"]],
        "negative_prompt": ["", ""],
        "latents": torch.from_numpy(np.concatenate([initial, -initial])),
    }
    pipe = make(StableDiffusionControlNetPipeline)
    arrays["batch"] = generate(pipe, image=maps, **TEN, **batch)["latents"]
    posterior, forward = np.zeros(LATENT, np.float32), noise("img2img/noise", LATENT)
    arrays["forward"] = forward
    picture = {"image": Image.fromarray(photo()), "control_image": maps[1], **TEN}
    with drawn(img2img, [posterior, forward]):
        pipe = make(StableDiffusionControlNetImg2ImgPipeline)
        arrays["image"] = generate(pipe, strength=0.6, control_guidance_end=0.5, **picture)["latents"]
    size = {"height": HEIGHT, "width": WIDTH, "mask_image": Image.fromarray(disc())}
    with drawn(inpaint, [posterior, forward, posterior]):
        pipe = make(StableDiffusionControlNetInpaintPipeline)
        arrays["mask4"] = generate(pipe, **picture, **size)["latents"]
    with drawn(inpaint, [forward, posterior]):
        unet = build_unet({**tiny.FOLDER["unet"], "in_channels": 9})
        pipe = make(StableDiffusionControlNetInpaintPipeline, unet=unet)
        arrays["mask9"] = generate(pipe, **picture, **size)["latents"]
    return {**arrays, **record_xl_runs()}


def record_xl_runs() -> dict[str, np.ndarray]:
    """With SDXL: from noise, plain and in guess mode, from a picture, and under a mask, with a corner of its own."""
    shown, lines = Image.fromarray(photo()), Image.fromarray(edges())
    posterior, forward = np.zeros(LATENT, np.float32), noise("img2img/noise", LATENT)
    texts = {key: SETTINGS[key] for key in ("prompt", "negative_prompt")}
    call = {**texts, **TEN, "output_type": "latent"}

    def make(kind: Any) -> Any:
        return kind.from_pretrained(HERE / "sdxl_folder", controlnet=build_net(NETS["sdxl"]), add_watermarker=False)

    start = {"latents": torch.from_numpy(noise("pipeline/init_latents", LATENT)), "guidance_scale": 5.0}
    arrays = {}
    for name, guess_mode in (("xl", False), ("xl_guess", True)):
        arrays[name] = make(StableDiffusionXLControlNetPipeline)(image=shown, guess_mode=guess_mode, **start, **call)
    picture = {"image": shown, "control_image": lines, **call}
    with drawn(xl_img2img, [posterior, forward]):
        arrays["xl_image"] = make(StableDiffusionXLControlNetImg2ImgPipeline)(strength=0.6, **picture)
    size = {"height": HEIGHT, "width": WIDTH, "mask_image": Image.fromarray(disc()), "crops_coords_top_left": (8, 16)}
    with drawn(xl_inpaint, [posterior, forward, posterior]):
        arrays["xl_mask"] = make(StableDiffusionXLControlNetInpaintPipeline)(strength=0.75, **picture, **size)
    return {name: output.images.numpy() for name, output in arrays.items()}


def main() -> None:
    """Record the networks and the runs."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    arrays: dict[str, Any] = {"config": np.array(json.dumps(dict(build_net(NETS["sd1"]).config)))}
    for name, config in NETS.items():
        arrays.update(record_net(name, config))
    save("controlnet", arrays)
    save("controlnet_file", record_file())
    save("controlnet_runs", record_runs())


if __name__ == "__main__":
    main()
