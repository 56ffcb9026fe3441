"""Records what LyCORIS, peft and sd-scripts make of adapters of every kind: tests/golden/adapter_kinds.npz.

    python tests/golden/record_adapter_kinds.py SD_SCRIPTS

Needs the environment of README.md, peft 0.21.2 and lycoris_lora 4.1.3; `SD_SCRIPTS` is a checkout of
kohya-ss/sd-scripts (at 48d368fa557731ad0488c07304dfeba8c07910eb), of which `networks/lora.py` and `oft.py` are used.
Each package makes the adapter on the tiny Stable Diffusion 1, saves it and, with the numbers of `kind_tensor` in it,
computes. Arrays are not stored: both sides make them from their keys.

`sample`, `timestep`, `context`, `input_ids` are the inputs. Of each case, `CASE_` has

* `keys` (JSON, key -> shape), `numbers` (JSON, the single numbers that the package wrote: alphas and switches) and
  `config` (peft's adapter_config.json, or what diffusers puts into the header, or "");
* `unet` and `text`: outputs at strength 1, without `text` where only the UNet is changed;
* `half_unet`: at strength 0.5, where the package has a strength that is ours too.

peft's several stages of BOFT, which it has under CUDA alone, are computed by its own matrices here.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import types
import warnings
from pathlib import Path
from typing import Any, Optional

import numpy as np
import peft
import record
import tiny
import torch
from adapter_tensors import kind_tensor
from diffusers import StableDiffusionPipeline
from lycoris import kohya
from safetensors import safe_open
from safetensors.torch import load_file, save_file

LINEAR = ["to_q", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2"]
ALL = [*LINEAR, "proj_in", "conv1", "conv_shortcut", "downsamplers.0.conv"]
TEXT = ["q_proj", "fc1"]
PRESET = {  # LyCORIS' own names the layers of the time's embedding twice, which it then refuses
    "enable_conv": True,
    "unet_target_module": ["Transformer2DModel", "ResnetBlock2D", "Downsample2D", "Upsample2D"],
    "unet_target_name": ["conv_in", "conv_out", "time_embedding.linear_1"],
    "text_encoder_target_module": ["CLIPAttention", "CLIPMLP"],
    "text_encoder_target_name": [],
}
LYCORIS: dict[str, dict[str, Any]] = {
    "locon": dict(algo="lora", conv_dim=3, conv_alpha=2),
    "tucker": dict(algo="lora", conv_dim=3, use_tucker=True),
    "loha": dict(algo="loha"),
    "loha_tucker": dict(algo="loha", use_tucker=True),
    "lokr": dict(algo="lokr", factor=4),
    "lokr_both": dict(algo="lokr", factor=8, decompose_both=True, network_dim=2),
    "lokr_full": dict(algo="lokr", factor=4, full_matrix=True),
    "lokr_tucker": dict(algo="lokr", factor=2, use_tucker=True),
    "full": dict(algo="full"),
    "glora": dict(algo="glora"),
    "oft": dict(algo="diag-oft", constraint=0.01),
    "oft_rescaled": dict(algo="diag-oft", rescaled=True),
    "boft": dict(algo="boft", rescaled=True, constraint=0.1),
    "ia3": dict(algo="ia3"),
    "ia3_inputs": dict(algo="ia3", preset="inputs"),
    "norms": dict(algo="lora", train_norm=True),
    "dora": dict(algo="lora", dora_wd=True),
    "dora_inputs": dict(algo="lora", dora_wd=True, wd_on_output=False),
    "doha": dict(algo="loha", dora_wd=True),
    "dokr": dict(algo="lokr", factor=4, dora_wd=True),
}
WITHOUT_HALF = ("oft_rescaled", "boft", "dora", "dora_inputs", "doha", "dokr")
PEFT: dict[str, Any] = {
    "peft_loha": peft.LoHaConfig(r=3, alpha=2, target_modules=ALL, use_effective_conv2d=True),
    "peft_lokr": peft.LoKrConfig(
        r=2, alpha=3, target_modules=ALL, decompose_both=True, decompose_factor=8, alpha_pattern={"attn1.to_q": 7}
    ),
    "peft_lokr_full": peft.LoKrConfig(r=64, alpha=32, target_modules=ALL, use_effective_conv2d=True),
    "peft_oft": peft.OFTConfig(r=0, oft_block_size=8, target_modules=LINEAR),
    "peft_oft_exact": peft.OFTConfig(
        r=4, oft_block_size=0, target_modules=LINEAR, use_cayley_neumann=False, coft=True, eps=0.5
    ),
    "peft_oft_shared": peft.OFTConfig(
        r=0, oft_block_size=8, target_modules=[*LINEAR, "proj_in"], block_share=True, num_cayley_neumann_terms=3
    ),
    "peft_boft": peft.BOFTConfig(boft_block_size=4, target_modules=ALL),
    "peft_boft_stages": peft.BOFTConfig(boft_block_size=4, boft_n_butterfly_factor=3, target_modules=LINEAR),
    "peft_ia3": peft.IA3Config(
        target_modules=[*LINEAR, "conv1", "downsamplers.0.conv", "proj_in"], feedforward_modules=["ff.net.2", "proj_in"]
    ),
    "peft_dora": peft.LoraConfig(r=3, lora_alpha=5, use_dora=True, use_rslora=True, target_modules=ALL),
    "peft_bias": peft.LoraConfig(r=3, lora_alpha=5, lora_bias=True, target_modules=ALL),
}
SCALED = ("peft_loha", "peft_lokr", "peft_lokr_full", "peft_dora", "peft_bias")


def networks() -> tuple[Any, Any]:
    return record.build_unet(tiny.SD1["unet"]), record.build_text(tiny.SD1["text"])


def make_inputs() -> dict[str, np.ndarray]:
    return {
        "sample": record.noise("kinds sample", (1, 4, 8, 8)),
        "timestep": np.array([321]),
        "context": record.noise("kinds context", (1, 5, 32)),
        "input_ids": record.rng("kinds ids").integers(0, tiny.VOCAB_SIZE, size=(1, 7)),
    }


def compute(unet: Any, text: Any, given: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    sample, timestep, context, ids = (torch.from_numpy(given[name]) for name in given)
    with torch.no_grad():
        return unet(sample, timestep, context).sample.numpy(), text(ids).last_hidden_state.numpy()


def fill(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same keys with other numbers; single ones stay."""
    return {
        key: torch.from_numpy(kind_tensor(key, value.shape)) if value.ndim and value.numel() > 1 else value
        for key, value in state.items()
    }


def describe(state: dict[str, torch.Tensor]) -> dict[str, str]:
    numbers = {key: value.item() for key, value in state.items() if not (value.ndim and value.numel() > 1)}
    shapes = {key: list(value.shape) for key, value in sorted(state.items()) if key not in numbers}
    return {"keys": json.dumps(shapes), "numbers": json.dumps(numbers)}


def record_lycoris(settings: dict[str, Any], given: Any, folder: Path, half: bool) -> dict[str, Any]:
    inputs = {name: {"algo": "ia3", "train_on_input": True} for name in ("ResnetBlock2D", "CLIPMLP")}
    kohya.PRESET.update({"tiny": PRESET, "inputs": {**PRESET, "module_algo_map": inputs}})
    kohya.LycorisNetworkKohya.MODULE_ALGO_MAP = {}
    return record_module(kohya, {"preset": "tiny", **settings}, given, folder, half)


def record_module(module: Any, settings: dict[str, Any], given: Any, folder: Path, half: bool) -> dict[str, Any]:
    """What a module that follows sd-scripts' manner of networks writes, and computes with other numbers in its file."""
    unet, text = networks()
    settings = {"network_dim": 3, "network_alpha": 2.0, **settings}
    network = module.create_network(1.0, vae=None, text_encoder=text, unet=unet, **settings)
    network.apply_to(text, unet, True, True)
    file = folder / "file.safetensors"
    network.save_weights(str(file), torch.float32, {})
    state = fill(load_file(file))
    save_file(state, file)
    network.load_weights(str(file))
    network.eval()
    found: dict[str, Any] = {**describe(state), "config": ""}
    found["unet"], found["text"] = compute(unet, text, given)
    if half:
        network.set_multiplier(0.5)
        found["half_unet"] = compute(unet, text, given)[0]
    return found


def record_peft(config: Any, given: Any, folder: Path, half: bool) -> dict[str, Any]:
    unet, text = networks()
    model = peft.get_peft_model(unet, config)
    model.save_pretrained(folder)
    state = fill(load_file(folder / "adapter_model.safetensors"))
    peft.set_peft_model_state_dict(model, state)
    model.eval()
    if isinstance(config, peft.BOFTConfig):
        for module in model.modules():
            if hasattr(module, "fbd_cuda_available"):
                module.fbd_cuda_available = False
    found: dict[str, Any] = {**describe(state), "config": (folder / "adapter_config.json").read_text()}
    found["unet"] = compute(model, text, given)[0]
    if half:
        for module in model.modules():
            if hasattr(module, "scaling"):
                module.scaling["default"] *= 0.5
        found["half_unet"] = compute(model, text, given)[0]
    return found


def record_stages(config: Any, given: Any, folder: Path) -> dict[str, Any]:
    """BOFT of several stages, which peft makes only where it can compile for CUDA; its matrices it has everywhere."""
    from peft.tuners.boft import layer as boft

    compiled, diagonal = boft.get_fbd_cuda, boft.FastBlockDiag.apply
    boft.get_fbd_cuda = lambda: True
    boft.FastBlockDiag.apply = lambda blocks: torch.stack([torch.block_diag(*stage.unbind()) for stage in blocks])
    try:
        unet, text = networks()
        model = peft.get_peft_model(unet, config)
        model.save_pretrained(folder)
        state = fill(load_file(folder / "adapter_model.safetensors"))
        peft.set_peft_model_state_dict(model, state)
        out = compute(model.eval(), text, given)[0]
    finally:
        boft.get_fbd_cuda, boft.FastBlockDiag.apply = compiled, diagonal
    return {**describe(state), "config": (folder / "adapter_config.json").read_text(), "unet": out}


def record_diffusers_dora(given: Any, folder: Path) -> dict[str, Any]:
    """DoRA and LoRA with biases in one header, as a pipeline of diffusers saves them."""
    unet, text = networks()
    unet.add_adapter(peft.LoraConfig(r=3, lora_alpha=5, use_dora=True, target_modules=ALL))
    text.add_adapter(peft.LoraConfig(r=2, lora_alpha=3, lora_bias=True, target_modules=TEXT))
    configs = []
    for network in (unet, text):
        config = network.peft_config["default"].to_dict()
        configs.append({key: sorted(value) if isinstance(value, set) else value for key, value in config.items()})
    StableDiffusionPipeline.save_lora_weights(
        folder,
        unet_lora_layers=peft.get_peft_model_state_dict(unet),
        text_encoder_lora_layers=peft.get_peft_model_state_dict(text),
        unet_lora_adapter_metadata=configs[0],
        text_encoder_lora_adapter_metadata=configs[1],
    )
    file = folder / "pytorch_lora_weights.safetensors"
    with safe_open(file, framework="np") as opened:
        header = opened.metadata()["lora_adapter_metadata"]
    state = fill(load_file(file))
    for prefix, network in (("unet.", unet), ("text_encoder.", text)):
        own = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
        peft.set_peft_model_state_dict(network, own)
    out = compute(unet, text, given)
    return {**describe(state), "config": header, "unet": out[0], "text": out[1]}


def import_sd_scripts(folder: Optional[str]) -> tuple[Any, Any]:
    """sd-scripts' two modules; of the rest they need a logger's set-up, a class to compare with and hashes of files."""
    if folder is None:
        raise SystemExit("give the folder of a checkout of kohya-ss/sd-scripts")
    sys.path.insert(0, folder)
    for name, content in {
        "library": {},
        "library.train_util": {"precalculate_safetensors_hashes": lambda *_: ("", "")},
        "library.utils": {"setup_logging": lambda *_, **__: None},
        "library.sdxl_original_unet": {"SdxlUNet2DConditionModel": type("SdxlUNet2DConditionModel", (), {})},
    }.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        sys.modules[name] = module
        if "." in name:
            setattr(sys.modules["library"], name.partition(".")[2], module)
    from networks import lora, oft

    return lora, oft


def main() -> None:
    torch.set_num_threads(1)
    logging.disable()
    warnings.simplefilter("ignore")
    given = make_inputs()
    arrays: dict[str, Any] = dict(given)
    base = compute(*networks(), given)
    lora, oft = import_sd_scripts(sys.argv[1] if len(sys.argv) > 1 else None)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        cases = {name: record_lycoris(kind, given, folder, name not in WITHOUT_HALF) for name, kind in LYCORIS.items()}
        cases["kohya"] = record_module(lora, {"conv_dim": 2, "conv_alpha": 1}, given, folder, True)
        cases["kohya_oft"] = record_module(
            oft, {"network_dim": 4, "network_alpha": 1e-2, "enable_conv": True}, given, folder, True
        )
        for name, config in PEFT.items():
            if name == "peft_boft_stages":
                cases[name] = record_stages(config, given, folder / name)
            else:
                cases[name] = record_peft(config, given, folder / name, name in SCALED)
        cases["diffusers_dora"] = record_diffusers_dora(given, folder / "diffusers")
    for name, found in cases.items():
        changes = [
            np.linalg.norm(found[key] - out) / np.linalg.norm(out)
            for key, out in zip(("unet", "text"), base)
            if key in found
        ]
        print(name, [f"{change:.3f}" for change in changes], len(json.loads(found["keys"])))
        arrays.update({f"{name}_{key}": value for key, value in found.items()})
    arrays["cases"] = json.dumps(list(cases))
    record.save("adapter_kinds", arrays)


if __name__ == "__main__":
    main()
