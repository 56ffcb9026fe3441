"""Updates as diffusers' training scripts make them, for textual inversion and LoRA (by peft)."""

# pyright: reportMissingImports=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.sides import LORA_RANK, RATE, WORD_SCALE, Call, Case, drawn, inputs

TARGETS = ["to_k", "to_q", "to_v", "to_out.0"]
Update = tuple[list[Any], Callable[[], Any], Callable[[], None], Callable[[], dict[str, Any]]]


def prepared(unet: Any, vae: Any, text_encoder: Any, case: Case) -> Call:
    """An update a call. ``case["reuse"]`` keeps what does not change from call to call."""
    given = {name: torch.from_numpy(one) for name, one in inputs(case).items()}
    make = _word if case["method"] == "textual_inversion" else _lora
    parameters, text, afterwards, told = make(unet, text_encoder, given, case)
    optimizer = torch.optim.AdamW(parameters, lr=RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2)
    signal, noise = case["alpha_bar"] ** 0.5, (1 - case["alpha_bar"]) ** 0.5

    def encoded() -> Any:
        with torch.no_grad():
            return vae.encode(given["image"]).latent_dist.mode() * vae.config.scaling_factor

    kept = encoded() if case["reuse"] else None

    def call() -> dict[str, Any]:
        clean = encoded() if kept is None else kept
        x, target = signal * clean + noise * given["noise"], signal * given["noise"] - noise * clean
        loss = F.mse_loss(unet(x, case["time"], text(), return_dict=False)[0], target)
        loss.backward()
        if case["method"] == "lora":
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        afterwards()
        return {"loss": loss.detach().reshape(1), **told()}

    return call


def _word(unet: Any, text_encoder: Any, given: dict[str, Any], case: Case) -> Update:
    table = text_encoder.get_input_embeddings().weight
    with torch.no_grad():
        table[case["word"]] = torch.from_numpy(drawn("word", (1, table.shape[1]))[0] * WORD_SCALE)
    table.requires_grad_(True)
    before = table.detach().clone()
    others = torch.arange(len(before)) != case["word"]

    def put_back() -> None:
        with torch.no_grad():
            table[others] = before[others]

    return (
        [table],
        lambda: text_encoder(given["ids"].long())[0],
        put_back,
        lambda: {"word": table.detach()[case["word"] :][:1].clone()},
    )


def _lora(unet: Any, text_encoder: Any, given: dict[str, Any], case: Case) -> Update:
    from peft import LoraConfig

    if getattr(unet, "peft_config", None):
        unet.delete_adapters("default")  # of the variant that was tried before
    unet.add_adapter(LoraConfig(r=LORA_RANK, lora_alpha=LORA_RANK, target_modules=TARGETS))
    for name, parameter in unet.named_parameters():
        if ".lora_" in name:
            path, _, which = name.partition(".lora_")
            value = drawn(f"{path}.down", tuple(parameter.shape)) if which[0] == "A" else np.zeros(parameter.shape)
            parameter.data = torch.from_numpy(np.float32(value))

    def text() -> Any:
        with torch.no_grad():
            return text_encoder(given["ids"].long())[0]

    kept = text() if case["reuse"] else None
    parameters = [one for one in unet.parameters() if one.requires_grad]
    return parameters, lambda: text() if kept is None else kept, lambda: None, dict
