"""Records how strong diffusers and peft make the layers of LoRAs in their files: tests/golden/lora_files.npz.

    python tests/golden/record_lora_files.py

Needs the environment of README.md and peft. Arrays are not stored: both sides make them with `adapter_tensor`.

* `adapter_`, `pipeline_`, `peft_`: what `UNet2DConditionModel.save_lora_adapter`, `save_lora_weights` of a pipeline and
  peft's own `save_pretrained` write: `keys` (JSON, key -> shape) and `metadata` (peft's configuration as it lies in the
  header, or in `adapter_config.json`); and `scalings`, JSON, module -> alpha / rank after loading.
* `blocks`: JSON, a list of [weights as `set_adapters` takes them, module -> factor on top of the scaling].
* `pissa_`, `olora_`: `keys`, `metadata`, the arrays `array_KEY` of a trained adapter, `sample`, `context`, and `out`,
  what the trained UNet makes of them in float32.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import record
import tiny
import torch
from adapter_tensors import adapter_tensor
from diffusers import StableDiffusionPipeline
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from record_adapters import TEXT_TARGETS, UNET_TARGETS
from safetensors import safe_open

HERE = Path(__file__).resolve().parent
UNET = dict(
    r=4,
    lora_alpha=6,
    target_modules=["to_q", "to_k", "conv1"],
    rank_pattern={r"attn2\.to_[qv]": 3, "down_blocks.0.*to_q": 5},
    alpha_pattern={
        "attn1.to_q": 32,
        "to_q": 2,
        r"^down_blocks\.1\..*to_k": 7,
        "(mid|up)_block.*attn2.to_k|conv_in": 9,
        "resnets.[01].conv1": 1.5,
    },
    use_rslora=True,
)
TEXT = dict(
    r=2,
    lora_alpha=3,
    target_modules=["q_proj", "v_proj"],
    alpha_pattern={r"^encoder\.layers\.0\.self_attn\.q_proj": 16, "layers.1": 5, r"encoder.*v_proj": 8},
)
BLOCKS = [
    {"unet": {"down": 0.5}},
    {"unet": {"mid": 0.25, "up": {"block_1": [0.1, 0.2, 0.3], "block_2": 2.0}}, "text_encoder": 0.7},
    {"unet": {"down": {"block_0": [0.1, 0.9], "block_2": 0.3}, "mid": [4.0], "up": 0.0}},
    {"unet": 0.4},
    0.6,
]


def networks() -> Any:
    return record.build_unet(tiny.SD2["unet"]), record.build_text(tiny.SD2["text"])


def list_scalings(network: Any, adapter: str) -> dict[str, float]:
    return {
        path: float(module.scaling[adapter])
        for path, module in network.named_modules()
        if isinstance(module, BaseTunerLayer)
    }


def fill(network: Any, adapter: str = "default") -> None:
    """Other numbers than peft's in the new layers: a B of zeros would show nothing."""
    for name, parameter in network.named_parameters():
        if ".lora_" in name:
            parameter.data = torch.from_numpy(adapter_tensor(name.replace(f".{adapter}", ""), parameter.shape))


def describe(file: Path) -> dict[str, str]:
    with safe_open(file, framework="np") as opened:
        shapes = {key: list(opened.get_slice(key).get_shape()) for key in sorted(opened.keys())}
        return {"keys": json.dumps(shapes), "metadata": (opened.metadata() or {}).get("lora_adapter_metadata", "")}


def record_adapter(folder: Path) -> dict[str, Any]:
    unet, _ = networks()
    unet.add_adapter(LoraConfig(**UNET))
    fill(unet)
    unet.save_lora_adapter(folder)
    fresh, _ = networks()
    fresh.load_lora_adapter(str(folder), prefix=None, adapter_name="a", weight_name="pytorch_lora_weights.safetensors")
    scalings = list_scalings(fresh, "a")
    assert scalings == list_scalings(unet, "default")
    return {**describe(folder / "pytorch_lora_weights.safetensors"), "scalings": json.dumps(scalings)}


def build_pipeline() -> Any:
    unet, text = networks()
    pipe = StableDiffusionPipeline.from_pretrained(HERE / "diffusers_folder", safety_checker=None)
    return StableDiffusionPipeline(pipe.vae, text, pipe.tokenizer, unet, pipe.scheduler, None, None, None, False)


def record_pipeline(folder: Path) -> dict[str, Any]:
    unet, text = networks()
    for network, config in ((unet, UNET), (text, TEXT)):
        network.add_adapter(LoraConfig(**config))
        fill(network)
    configs = [network.peft_config["default"].to_dict() for network in (unet, text)]
    for config in configs:
        config["target_modules"] = sorted(config["target_modules"])
    StableDiffusionPipeline.save_lora_weights(
        folder,
        unet_lora_layers=get_peft_model_state_dict(unet),
        text_encoder_lora_layers=get_peft_model_state_dict(text),
        unet_lora_adapter_metadata=configs[0],
        text_encoder_lora_adapter_metadata=configs[1],
    )
    pipe = build_pipeline()
    pipe.load_lora_weights(str(folder), adapter_name="a")
    scalings = {"unet": list_scalings(pipe.unet, "a"), "text_encoder": list_scalings(pipe.text_encoder, "a")}
    return {**describe(folder / "pytorch_lora_weights.safetensors"), "scalings": json.dumps(scalings)}


def record_peft(folder: Path) -> dict[str, Any]:
    model = get_peft_model(networks()[0], LoraConfig(**UNET))
    fill(model)
    model.save_pretrained(folder)
    scalings = {k.replace("base_model.model.", ""): v for k, v in list_scalings(model, "default").items()}
    found = describe(folder / "adapter_model.safetensors")
    return {**found, "metadata": (folder / "adapter_config.json").read_text(), "scalings": json.dumps(scalings)}


def record_blocks(folder: Path) -> str:
    pipe = build_pipeline()
    for network, targets in ((pipe.unet, UNET_TARGETS), (pipe.text_encoder, TEXT_TARGETS)):
        network.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=targets), adapter_name="a")
    found = []
    for weights in BLOCKS:
        pipe.set_adapters("a", weights)
        factors = {f"unet.{k}": v for k, v in list_scalings(pipe.unet, "a").items()}
        factors.update({f"text_encoder.{k}": v for k, v in list_scalings(pipe.text_encoder, "a").items()})
        found.append([weights, factors])
    return json.dumps(found)


def record_start(start: str, folder: Path) -> dict[str, Any]:
    unet = record.build_unet(tiny.SD2["unet"])
    targets = ["mid_block.attentions.0.transformer_blocks.0.attn1.to_q", "down_blocks.0.attentions.1.proj_in"]
    unet.add_adapter(LoraConfig(r=3, lora_alpha=6, target_modules=targets, init_lora_weights=start))
    for name, parameter in unet.named_parameters():
        if ".lora_" in name:  # a training's way from there
            parameter.data += torch.from_numpy(adapter_tensor(name, parameter.shape))
    unet.save_lora_adapter(folder)
    sample, context = record.noise(f"{start} sample", (1, 4, 8, 8)), record.noise(f"{start} context", (1, 5, 48))
    given = torch.from_numpy(sample), torch.tensor([321]), torch.from_numpy(context)
    fresh = record.build_unet(tiny.SD2["unet"])
    fresh.load_lora_adapter(str(folder), prefix=None, weight_name="pytorch_lora_weights.safetensors")
    with torch.no_grad():
        out, again = unet(*given).sample.numpy(), fresh(*given).sample.numpy()
        base = record.build_unet(tiny.SD2["unet"])(*given).sample.numpy()
    print(start, "loaded again differs by", abs(out - again).max(), "the base by", abs(out - base).max())
    with safe_open(folder / "pytorch_lora_weights.safetensors", framework="np") as opened:
        arrays = {f"array_{key}": opened.get_tensor(key) for key in sorted(opened.keys())}
    found = describe(folder / "pytorch_lora_weights.safetensors")
    return {**found, **arrays, "sample": sample, "context": context, "out": out}


def main() -> None:
    torch.set_num_threads(1)
    arrays: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        kinds = {"adapter": record_adapter, "pipeline": record_pipeline, "peft": record_peft}
        for kind, write in kinds.items():
            arrays.update({f"{kind}_{name}": value for name, value in write(place / kind).items()})
        for start in ("pissa", "olora"):
            arrays.update({f"{start}_{name}": value for name, value in record_start(start, place / start).items()})
        arrays["blocks"] = record_blocks(place)
    record.save("lora_files", arrays)


if __name__ == "__main__":
    main()
