"""Records what diffusers and peft make of LoRAs and learnt words: tests/golden/adapters.npz.

    python tests/golden/record_adapters.py

Needs the environment of README.md and peft. The adapters' arrays are not stored: both sides make them with
`adapter_tensor` from the key under which diffusers saves them. All is computed in float64.

* `keys`: JSON, key -> shape, of the file that diffusers' `save_lora_weights` writes; `metadata` what it writes beside;
  `kohya_keys` and `older_keys` what other formats call the same arrays.
* `lora_`: inputs, and outputs of the UNet and the text encoder at the scales of the name.
* `step_{prediction}_`: one step of training by PyTorch's AdamW under diffusers' training script's loss: `loss`,
  the gradients' norm, and for LoRA (`lora`), the whole UNet (`unet`) and new words (`words`) some of what it gives.
* `words_`: token ids and hidden states of prompts with two loaded words, of one and of three vectors.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import record
import tiny
import torch
from adapter_tensors import adapter_tensor
from diffusers import DDPMScheduler, StableDiffusionPipeline
from diffusers.utils.state_dict_utils import convert_state_dict_to_kohya, convert_unet_state_dict_to_peft
from peft import LoraConfig, get_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import CLIPTextModel

HERE = Path(__file__).resolve().parent
RANK, ALPHA = 3, 6
UNET_TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "conv1", "conv2", "conv_shortcut"]
UNET_TARGETS += ["downsamplers.0.conv", "upsamplers.0.conv"]
TEXT_TARGETS = ["q_proj", "k_proj", "v_proj", "out_proj"]
STEP = dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2)
WHOLE = ("conv_in.weight", "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight", "conv_out.bias")
PROMPTS = ["a painting in the style of <ink>", "<pond>", "the <pond> at night, <ink>, and <pond>", "a<ink>cat"]


def seed_adapter(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k: torch.from_numpy(adapter_tensor(f"{prefix}.{k}", v.shape)) for k, v in state.items()}


def networks() -> Any:
    unet = record.build_unet(tiny.SD2["unet"]).double()
    text = record.build_text(tiny.SD2["text"]).double()
    return unet, text


def with_adapters() -> Any:
    unet, text = networks()
    for network, targets in ((unet, UNET_TARGETS), (text, TEXT_TARGETS)):
        network.add_adapter(LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=targets))
        prefix = "unet" if network is unet else "text_encoder"
        state = seed_adapter(get_peft_model_state_dict(network), prefix)
        parameters = dict(network.named_parameters())
        for key, value in state.items():
            parameters[key.replace(".weight", ".default.weight")].data = value.double()
        network.double()
    return unet, text


def inputs() -> dict[str, np.ndarray]:
    ids = record.rng("adapters ids").integers(0, tiny.VOCAB_SIZE, size=(2, 9))
    return {
        "sample": record.noise("adapters sample", (2, 4, 16, 16)),
        "noise": record.noise("adapters noise", (2, 4, 16, 16)),
        "timestep": np.array([981, 7]),
        "context": record.noise("adapters context", (2, 9, 48)),
        "input_ids": ids,
    }


def record_files(arrays: dict[str, Any]) -> None:
    unet, text = with_adapters()
    with tempfile.TemporaryDirectory() as folder:
        StableDiffusionPipeline.save_lora_weights(
            folder,
            unet_lora_layers=get_peft_model_state_dict(unet),
            text_encoder_lora_layers=get_peft_model_state_dict(text),
            unet_lora_adapter_metadata=_config(unet),
            text_encoder_lora_adapter_metadata=_config(text),
        )
        with safe_open(Path(folder) / "pytorch_lora_weights.safetensors", framework="np") as file:
            shapes = {key: list(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
            arrays["keys"] = json.dumps(shapes)
            arrays["metadata"] = file.metadata()["lora_adapter_metadata"]
    whole = {f"unet.{k}": v for k, v in get_peft_model_state_dict(unet).items()}
    whole.update({f"text_encoder.text_model.{k}": v for k, v in get_peft_model_state_dict(text).items()})
    kohya = [k for k in convert_state_dict_to_kohya(whole) if not k.endswith(".alpha")]
    arrays["kohya_keys"] = json.dumps(dict(zip(whole, kohya)))
    attention = {k: v for k, v in get_peft_model_state_dict(unet).items() if ".attn" in k}
    older = {k: re.sub(r"\.(to_\w+)(?:\.0)?\.lora_(A|B)", _older, k) for k in attention}
    assert list(convert_unet_state_dict_to_peft({v: attention[k] for k, v in older.items()})) == list(attention)
    arrays["older_keys"] = json.dumps(older)


def _older(match: Any) -> str:
    return f".processor.{match[1]}_lora.{'down' if match[2] == 'A' else 'up'}"


def _config(network: Any) -> dict[str, Any]:
    config = network.peft_config["default"].to_dict()
    config["target_modules"] = sorted(config["target_modules"])
    return {k: v for k, v in config.items() if isinstance(v, (int, float, str, bool, list, dict))}


def record_outputs(arrays: dict[str, Any], given: dict[str, np.ndarray]) -> None:
    unet, text = with_adapters()
    x, t, c = (torch.from_numpy(given[name]) for name in ("sample", "timestep", "context"))
    for scale in (1.0, 0.3):
        for network in (unet, text):
            network.set_adapter("default")
            for module in network.modules():
                if hasattr(module, "scaling"):
                    module.scaling["default"] = scale * ALPHA / RANK
        with torch.no_grad():
            arrays[f"lora_unet_{scale}"] = unet(x.double(), t, c.double()).sample.numpy()
            arrays[f"lora_text_{scale}"] = text(torch.from_numpy(given["input_ids"])).last_hidden_state.numpy()


def loss_of(prediction: str, unet: Any, context: torch.Tensor, given: dict[str, np.ndarray]) -> torch.Tensor:
    schedule = DDPMScheduler(1000, 0.00085, 0.012, "scaled_linear", prediction_type=prediction)
    x0, eps, t = (torch.from_numpy(given[name]) for name in ("sample", "noise", "timestep"))
    x = schedule.add_noise(x0.double(), eps.double(), t)
    target = eps.double() if prediction == "epsilon" else schedule.get_velocity(x0.double(), eps.double(), t)
    return torch.nn.functional.mse_loss(unet(x, t, context).sample, target)


def step(parameters: list[torch.nn.Parameter], loss: torch.Tensor) -> dict[str, np.ndarray]:
    optimizer = torch.optim.AdamW(parameters, **STEP)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
    return {"loss": loss.detach().numpy(), "norm": norm.numpy()}


def record_steps(arrays: dict[str, Any], given: dict[str, np.ndarray]) -> None:
    ids = torch.from_numpy(given["input_ids"])
    for prediction in ("epsilon", "v_prediction"):
        unet, text = with_adapters()
        named = {f"unet.{k}": p for k, p in unet.named_parameters() if "lora" in k}
        named.update({f"text_encoder.{k}": p for k, p in text.named_parameters() if "lora" in k})
        for p in named.values():
            p.requires_grad_(True)
        found = step(list(named.values()), loss_of(prediction, unet, text(ids).last_hidden_state, given))
        kept = [k for k in named if "attn2.to_k" in k or "conv1" in k or "q_proj" in k or "net.0" in k][::9]
        found.update({k.replace(".default", ""): named[k].detach().numpy() for k in kept})
        arrays.update({f"step_{prediction}_lora_{k}": v for k, v in found.items()})

        unet, text = networks()
        named = dict(unet.requires_grad_(True).named_parameters())
        found = step(
            list(named.values()), loss_of(prediction, unet, torch.from_numpy(given["context"]).double(), given)
        )
        found.update({k: named[k].detach().numpy() for k in WHOLE})
        arrays.update({f"step_{prediction}_unet_{k}": v for k, v in found.items()})

        unet, text = networks()
        rows = torch.nn.Parameter(torch.from_numpy(tiny.seeded_tensor("words._embedding.weight", (3, 48))).double())
        table = text.get_input_embeddings()
        first, known = tiny.VOCAB_SIZE - 3, table.weight.detach()[: tiny.VOCAB_SIZE - 3]
        ids_with_words = ids.clone()
        ids_with_words[:, 2:5] = torch.arange(first, first + 3)
        whole = torch.cat([known, rows])
        embedded = torch.nn.functional.embedding(ids_with_words, whole)
        table.forward = lambda _: embedded  # noqa: B023
        found = step([rows], loss_of(prediction, unet, text(ids_with_words).last_hidden_state, given))
        found["rows"] = rows.detach().numpy()
        arrays.update({f"step_{prediction}_words_{k}": v for k, v in found.items()})
        arrays["words_input_ids"] = ids_with_words.numpy()


def record_words(arrays: dict[str, Any]) -> None:
    pipe = StableDiffusionPipeline.from_pretrained(HERE / "diffusers_folder", safety_checker=None)
    assert isinstance(pipe.text_encoder, CLIPTextModel)
    with tempfile.TemporaryDirectory() as folder:
        for token, count in (("<ink>", 1), ("<pond>", 3)):
            vectors = torch.from_numpy(tiny.seeded_tensor(f"{token}_embedding.weight", (count, 16)))
            save_file({token: vectors}, Path(folder) / "learned_embeds.safetensors")
            pipe.load_textual_inversion(folder)
        prompts = pipe.maybe_convert_prompt(PROMPTS, pipe.tokenizer)
        ids = pipe.tokenizer(
            prompts, padding="max_length", truncation=True, max_length=77, return_tensors="pt"
        ).input_ids
        with torch.no_grad():
            hidden = pipe.text_encoder.double()(ids).last_hidden_state
    arrays["words_prompts"] = json.dumps(PROMPTS)
    arrays["words_ids"], arrays["words_hidden"] = ids.numpy(), hidden.numpy()


def main() -> None:
    torch.set_num_threads(1)
    given = inputs()
    arrays: dict[str, Any] = {f"lora_{name}": value for name, value in given.items()}
    record_files(arrays)
    record_outputs(arrays, given)
    record_steps(arrays, given)
    record_words(arrays)
    narrow = {k: np.float32(v) if getattr(v, "dtype", None) == np.float64 else v for k, v in arrays.items()}
    record.save("adapters", narrow)


if __name__ == "__main__":
    main()
