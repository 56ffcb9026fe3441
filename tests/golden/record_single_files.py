"""Records the names that single files have, and what diffusers makes of tiny ones.

Run `python tests/golden/record_single_files.py MODEL_UTIL` from the repository's root, in the environment that
README.md describes. MODEL_UTIL is `library/model_util.py` of kohya-ss/sd-scripts (commit 48d368f): its functions give
the names and shapes, of networks of the real size, on no memory, and of tiny ones. Then diffusers' `from_single_file`
reads files that `single_files.py` writes with these names.

single_files.npz: for the families `one` and `two` `names`, `real_shapes` (JSON), `tiny_shapes` (JSON), and
`parameters`: diffusers' parameters as "unet/NAME" with `sources`, "NAME PART PARTS" of the file; for each kind `ids`,
`context`, `sample`, `timestep`, `out` (of the UNet) and, but for inpainting, `initial` and `picture` (uint8) of a
whole run; for sd1 `image`, `mean`, `latent`, `decoded` (of the VAE).
"""

from __future__ import annotations

import argparse
import ast
import json
import tempfile
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import single_files
import torch
from diffusers import AutoencoderKL, StableDiffusionInpaintPipeline, StableDiffusionPipeline, UNet2DConditionModel
from record import noise, save
from single_files import GUIDANCE, KINDS, NEGATIVE, PROMPT, SIDE, STEPS
from transformers import CLIPTextConfig, CLIPTextModel

CONVERTERS = (
    "conv_transformer_to_linear",
    "convert_unet_state_dict_to_sd",
    "reshape_weight_for_sd",
    "convert_vae_state_dict",
    "convert_text_encoder_state_dict_to_sd_v2",
)
REAL_VAE = {
    **single_files.VAE,
    "block_out_channels": [128, 256, 512, 512],
    "norm_num_groups": 32,
    "sample_size": 512,
}
REAL: dict[str, dict[str, Any]] = {
    "one": {
        "unet": {
            **single_files.ONE["unet"],
            "block_out_channels": [320, 640, 1280, 1280],
            "attention_head_dim": 8,
            "cross_attention_dim": 768,
            "norm_num_groups": 32,
        },
        "vae": REAL_VAE,
        "text": {
            **single_files.ONE["text"],
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_attention_heads": 12,
            "projection_dim": 768,
            "vocab_size": 49408,
        },
    },
    "two": {
        "unet": {
            **single_files.TWO["unet"],
            "block_out_channels": [320, 640, 1280, 1280],
            "attention_head_dim": [5, 10, 20, 20],
            "cross_attention_dim": 1024,
            "norm_num_groups": 32,
        },
        "vae": REAL_VAE,
        "text": {
            **single_files.TWO["text"],
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_attention_heads": 16,
            "projection_dim": 512,
            "vocab_size": 49408,
        },
    },
}


def read_converters(file: Path) -> dict[str, Any]:
    """The functions of the public converter, without the rest of its file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    kept = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in CONVERTERS]
    space: dict[str, Any] = {"torch": torch, "diffusers": diffusers}
    exec(compile(ast.Module(kept, []), str(file), "exec"), space)
    return space


def list_names(family: str, configs: dict[str, Any], convert: dict[str, Any]) -> dict[str, list[int]]:
    """The names in a file of that family and their shapes."""
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(configs["unet"]).state_dict()
        vae = AutoencoderKL.from_config(configs["vae"]).state_dict()
        text = CLIPTextModel(CLIPTextConfig(**configs["text"])).state_dict()
    text = {f"text_model.{name.removeprefix('text_model.')}": value for name, value in text.items()}
    text = {name: value for name, value in text.items() if "position_ids" not in name}
    names = convert["convert_unet_state_dict_to_sd"](family == "two", unet)
    named = {f"model.diffusion_model.{name}": list(value.shape) for name, value in names.items()}
    names = convert["convert_vae_state_dict"](vae)
    named.update({f"first_stage_model.{name}": list(value.shape) for name, value in names.items()})
    if family == "one":
        named.update({f"cond_stage_model.transformer.{name}": list(value.shape) for name, value in text.items()})
        return named
    names = convert["convert_text_encoder_state_dict_to_sd_v2"](text)
    prefix, width = "cond_stage_model.model.", configs["text"]["hidden_size"]
    named.update({prefix + name: list(value.shape) for name, value in names.items()})
    last = {name: shape for name, shape in named.items() if ".resblocks.22." in name}
    named.update({name.replace(".22.", ".23."): shape for name, shape in last.items()})
    named.update({f"{prefix}text_projection": [width, width], f"{prefix}logit_scale": []})
    return named


def find_sources(pipe: Any, arrays: dict[str, np.ndarray]) -> dict[str, str]:
    """Where diffusers took each parameter from, by its numbers."""
    places = {}
    for name, array in arrays.items():
        for parts in (1, 3) if "in_proj" in name else (1,):
            for part, value in enumerate(np.split(array, parts) if parts > 1 else [array]):
                places[value.tobytes()] = f"{name} {part} {parts}"
    sources = {}
    for part, network in (("unet", pipe.unet), ("vae", pipe.vae), ("text_encoder", pipe.text_encoder)):
        for name, value in network.state_dict().items():
            if "position_ids" not in name:
                hub_name = f"text_model.{name.removeprefix('text_model.')}" if part == "text_encoder" else name
                sources[f"{part}/{hub_name}"] = places[value.numpy().tobytes()]
    return sources


def record_kind(kind: str, names: dict[str, list[int]], folder: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """What the networks of one file compute, and where their weights came from."""
    file = single_files.write_file(kind, names, folder / f"{kind}.safetensors")
    config = single_files.write_folder(kind, folder / kind)
    of_kind = StableDiffusionInpaintPipeline if kind == "inpainting" else StableDiffusionPipeline
    pipe = of_kind.from_single_file(str(file), config=str(config), safety_checker=None, feature_extractor=None)
    pipe.set_progress_bar_config(disable=True)
    channels, small = KINDS[kind][3], SIDE // 8

    def draw(name: str, *shape: int) -> torch.Tensor:
        return torch.from_numpy(noise(f"single_{kind}_{name}", shape))

    ids = pipe.tokenizer(PROMPT, padding="max_length", max_length=77, return_tensors="pt").input_ids
    context = pipe.text_encoder(ids)[0]
    sample = draw("sample", 1, channels, small, small)
    made = {
        "ids": ids,
        "context": context,
        "sample": sample,
        "timestep": torch.tensor([321]),
        "out": pipe.unet(sample, 321, encoder_hidden_states=context).sample,
    }
    if kind == "sd1":  # all have this VAE
        made["image"] = torch.tanh(draw("image", 1, 3, SIDE, SIDE))
        made["mean"] = pipe.vae.encode(made["image"]).latent_dist.mean
        made["latent"] = draw("latent", 1, 4, small, small)
        made["decoded"] = pipe.vae.decode(made["latent"]).sample
    arrays = {f"{kind}_{name}": value.numpy() for name, value in made.items()}
    if kind != "inpainting":
        initial = draw("initial", 1, 4, small, small)
        picture = pipe(
            PROMPT,
            SIDE,
            SIDE,
            negative_prompt=NEGATIVE,
            guidance_scale=GUIDANCE,
            num_inference_steps=STEPS,
            latents=initial,
            output_type="np",
        ).images
        arrays[f"{kind}_initial"] = initial.numpy()
        arrays[f"{kind}_picture"] = (picture * 255).round().astype(np.uint8)
    return arrays, find_sources(pipe, single_files.make_arrays(kind, names))


def main() -> None:
    """Record both families and the four kinds."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model_util", type=Path)
    convert = read_converters(parser.parse_args().model_util)
    arrays: dict[str, Any] = {}
    families = {}
    for family, configs in (("one", single_files.ONE), ("two", single_files.TWO)):
        real, small = (list_names(family, of, convert) for of in (REAL[family], configs))
        assert list(real) == list(small)
        families[family] = small
        arrays[f"{family}_names"] = np.array(list(real))
        arrays[f"{family}_real_shapes"] = np.array(json.dumps(list(real.values())))
        arrays[f"{family}_tiny_shapes"] = np.array(json.dumps(list(small.values())))
    with tempfile.TemporaryDirectory() as folder:
        for kind, (family, *_) in KINDS.items():
            made, sources = record_kind(kind, families[family], Path(folder))
            arrays.update(made)
            arrays[f"{family}_parameters"] = np.array(list(sources))
            arrays[f"{family}_sources"] = np.array(list(sources.values()))
    save("single_files", arrays)


if __name__ == "__main__":
    main()
