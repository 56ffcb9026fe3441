"""PyTorch and diffusers, with fused attention (SDPA) and without autograd where none is needed."""

# pyright: reportMissingImports=false
from __future__ import annotations

import importlib
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.sides import Call, Case, Job, diffusers_updates, inputs
from benchmarks.sides.diffusers_styleid import StyleID

FORMATS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
LIBRARIES = {"text_encoder": "transformers"}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class TorchSide:
    """diffusers' networks of one model folder, each loaded when a case first needs it."""

    def __init__(self, job: Job) -> None:
        torch.set_num_threads(job["threads"])
        self._folder = Path(job["model"]) if job["model"] else None
        self._dtype = DTYPES[job["precision"]]
        self._networks: dict[str, Any] = {}
        self._works = {
            "unet": self._unet,
            "encode": self._encode,
            "decode": self._decode,
            "training_step": self._training_step,
            "attention": self._attention,
            "styleid": self._styleid,
            "update": self._update,
        }
        if self._folder is not None:
            import diffusers  # noqa: F401  (a missing package is to be known now)

    def describe(self) -> dict[str, str]:
        """Versions, and the settings that decide about speed."""
        names = ("torch", "diffusers", "transformers", "numpy")
        return {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in names},
            "threads": str(torch.get_num_threads()),
            "attention": "scaled_dot_product_attention",
        }

    def variants(self, case: Case) -> Sequence[str]:
        """The settings worth trying for a case."""
        return ["tokens first", "heads first"] if case["work"] == "attention" else list(FORMATS)

    def prepare(self, case: Case, variant: str) -> Call:
        """What will be timed, made ready."""
        return self._works[case["work"]](case, variant)

    def arrays(self, result: dict[str, Any]) -> dict[str, np.ndarray]:
        """A call's result as NumPy arrays."""
        return {name: one.detach().float().contiguous().numpy() for name, one in result.items()}

    def _network(self, name: str, class_name: str, variant: str) -> Any:
        if name not in self._networks:
            load = getattr(importlib.import_module(LIBRARIES.get(name, "diffusers")), class_name).from_pretrained
            dtype = self._dtype if name == "unet" else torch.float32  # as jstyle does
            self._networks[name] = load(str(self._folder), subfolder=name, torch_dtype=dtype).eval()
        network = self._networks[name].to(memory_format=FORMATS[variant]).requires_grad_(False)
        for parameter in network.parameters():  # out of the mapped file, whose pages would count as memory too
            parameter.data = parameter.data.clone()
        return network

    def _given(self, case: Case, name: str, variant: str, dtype: Any) -> Any:
        one = torch.from_numpy(inputs(case)[name]).to(dtype)
        return one.contiguous(memory_format=FORMATS[variant]) if one.ndim == 4 else one

    def _unet(self, case: Case, variant: str) -> Call:
        unet = self._network("unet", "UNet2DConditionModel", variant)
        sample, text = (self._given(case, name, variant, self._dtype) for name in ("sample", "text"))

        def call() -> dict[str, Any]:
            with torch.inference_mode():
                return {"output": unet(sample, case["time"], text, return_dict=False)[0]}

        return call

    def _encode(self, case: Case, variant: str) -> Call:
        vae = self._network("vae", "AutoencoderKL", variant)
        image = self._given(case, "image", variant, torch.float32)

        def call() -> dict[str, Any]:
            with torch.inference_mode():
                return {"latent": vae.encode(image).latent_dist.mode()}

        return call

    def _decode(self, case: Case, variant: str) -> Call:
        vae = self._network("vae", "AutoencoderKL", variant)
        latent = self._given(case, "latent", variant, torch.float32)

        def call() -> dict[str, Any]:
            with torch.inference_mode():
                return {"image": vae.decode(latent, return_dict=False)[0]}

        return call

    def _training_step(self, case: Case, variant: str) -> Call:
        unet = self._network("unet", "UNet2DConditionModel", variant)
        sample, given = (self._given(case, name, variant, self._dtype) for name in ("sample", "text"))
        target = torch.from_numpy(inputs(case)["target"])

        def call() -> dict[str, Any]:
            text = given.clone().requires_grad_(True)
            out = unet(sample, case["time"], text, return_dict=False)[0]
            loss = F.mse_loss(out.float(), target)
            (gradient,) = torch.autograd.grad(loss, text)
            return {"gradient": gradient, "loss": loss}

        return call

    def _attention(self, case: Case, variant: str) -> Call:
        given = inputs(case)
        # (batch, heads, tokens, head_dim); tokens first is how a projection leaves them, a view of its output
        q, k, v = (torch.from_numpy(given[name]).to(self._dtype).transpose(1, 2) for name in "qkv")
        if variant == "heads first":
            q, k, v = (one.contiguous() for one in (q, k, v))
        weight = torch.from_numpy(given["weight"]).transpose(1, 2)

        def forward() -> dict[str, Any]:
            with torch.inference_mode():
                return {"output": F.scaled_dot_product_attention(q, k, v).transpose(1, 2)}

        def both() -> dict[str, Any]:
            leaves = [one.detach().requires_grad_(True) for one in (q, k, v)]
            out = F.scaled_dot_product_attention(*leaves)
            gradients = torch.autograd.grad((out.float() * weight).sum(), leaves)
            named = dict(zip(("dq", "dk", "dv"), (one.transpose(1, 2) for one in gradients)))
            return {"output": out.transpose(1, 2), **named}

        return both if case["backward"] else forward

    def _styleid(self, case: Case, variant: str) -> Call:
        given = inputs(case)
        contents, styles = torch.from_numpy(given["contents"]), torch.from_numpy(given["styles"])
        unet = self._network("unet", "UNet2DConditionModel", variant)
        vae = self._network("vae", "AutoencoderKL", variant)
        method = StyleID(unet, vae, str(self._folder), case["steps"], reuse=case["reuse"])

        def call() -> dict[str, Any]:
            with torch.inference_mode():
                return {"latents": method.run(contents, styles)["latents"]}

        return call

    def _update(self, case: Case, variant: str) -> Call:
        unet = self._network("unet", "UNet2DConditionModel", variant)
        vae = self._network("vae", "AutoencoderKL", variant)
        text = self._network("text_encoder", "CLIPTextModel", variant)
        return diffusers_updates.prepared(unet, vae, text, case)


def open_side(job: Job) -> TorchSide:
    """Load what the job names."""
    return TorchSide(job)
