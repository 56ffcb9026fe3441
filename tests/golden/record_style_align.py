"""Records Style Aligned (arXiv 2312.02133) in float64 on the tiny UNets: a plain rendering of the paper and its code.

Run `python tests/golden/record_style_align.py` from the repository's root, in the environment that README.md
describes. The reference is row 0 of each guidance half of one batch; keys, values and the maps before group norms are
concatenated with its own. Ten steps stand for the method's fifty: the UNet is fed t = 901, 801, ..., 1.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
import tiny
import torch
from record import build_unet, noise, save
from torch import Tensor
from torch.nn import functional

TIMESTEPS = list(range(901, 0, -100))
ALPHA_BAR = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, dim=0)
TARGETS = 2
SIDE, WIDE, STRIDE = 16, 28, 4
"""A window, a panorama's width and its stride, in latent pixels."""
FACTOR = 4
"""Pixels of a latent's side."""


@dataclass(frozen=True)
class Rules:
    """Guidance; sharing of group norms, values' statistics or everything; the reference keys' shift and scale."""

    guidance: float
    norms: bool = True
    values: bool = False
    everything: bool = False
    shift: float = 0.0
    scale: float = 1.0


RULES = {
    "sd": Rules(7.5),
    "sdxl": Rules(5.0, norms=False),
    "full_attention": Rules(5.0, norms=False, everything=True),
    "full_attention_norms": Rules(5.0, everything=True),
    "values": Rules(7.5, values=True),
    "image": Rules(10.0, shift=math.log(2)),
    "famous_image": Rules(10.0, scale=0.5),
    "panorama": Rules(7.5),
}


def firsts(x: Tensor) -> Tensor:
    """The first row of each half of (2 n, ...), for every row of that half."""
    halves = x.reshape(2, -1, *x.shape[1:])
    return halves[:, :1].expand_as(halves).reshape(x.shape)


def adain(x: Tensor) -> Tensor:
    """x (rows, heads, tokens, head_dim) with the mean and deviation over tokens of its half's first row."""
    mean, deviation = x.mean(2, keepdim=True), (x.var(2, keepdim=True) + 1e-5).sqrt()
    return (x - mean) / deviation * firsts(deviation) + firsts(mean)


class Shared:
    """Stands in for one self-attention, under `rules`."""

    def __init__(self) -> None:
        self.rules: Optional[Rules] = None

    def __call__(self, attn: Any, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        rules, shape = self.rules, hidden_states.shape
        if rules is not None and rules.everything:
            hidden_states = hidden_states.reshape(2, -1, shape[2])
        rows, tokens, _ = hidden_states.shape
        q, k, v = (
            project(hidden_states).reshape(rows, tokens, attn.heads, -1).transpose(1, 2)
            for project in (attn.to_q, attn.to_k, attn.to_v)
        )
        bias = torch.zeros(1, 1, 1, tokens, dtype=torch.float64)
        if rules is not None and not rules.everything:
            q, k, v = adain(q), adain(k), adain(v) if rules.values else v
            scale = torch.full((2, rows // 2), rules.scale, dtype=torch.float64)
            scale[:, 0] = 1.0  # the reference's own keys stay
            k = torch.cat([k, firsts(k) * scale.reshape(-1, 1, 1, 1)], dim=2)
            v = torch.cat([v, firsts(v)], dim=2)
            bias = torch.cat([bias, bias + rules.shift], dim=3)
        logits = q @ k.transpose(2, 3) * q.shape[-1] ** -0.5 + bias
        out = (torch.softmax(logits, dim=-1) @ v).transpose(1, 2).reshape(shape)
        return attn.to_out[0](out)


class Network:
    """A UNet that predicts eps under guidance, for rows of texts behind the unconditional one."""

    def __init__(self, config: tiny.Config, prediction: str) -> None:
        self.unet = build_unet(config).double()
        self.prediction = prediction
        self.vectors: Optional[Tensor] = None
        self.layers: list[Shared] = []
        processors = {}
        for name, processor in self.unet.attn_processors.items():
            if "attn1" in name:
                self.layers.append(Shared())
                processor = self.layers[-1]
            processors[name] = processor
        self.unet.set_attn_processor(processors)

    def eps(self, x: Tensor, t: int, texts: Tensor, guidance: float) -> Tensor:
        """x is (n, 4, h, w), texts (1 + n, tokens, channels), the unconditional one first."""
        context = torch.cat([texts[:1].expand(len(x), -1, -1), texts[1:]])
        added = None
        if self.vectors is not None:  # SDXL's texts have them, as many, and all are told the size of a latent
            vectors = torch.cat([self.vectors[:1].expand(len(x), -1), self.vectors[1 : len(texts)]])
            sizes = torch.tensor([[SIDE * FACTOR, SIDE * FACTOR, 0, 0, SIDE * FACTOR, SIDE * FACTOR]])
            added = {"text_embeds": vectors, "time_ids": sizes.expand(2 * len(x), -1)}
        out = self.unet(torch.cat([x, x]), t, context, added_cond_kwargs=added).sample
        out = out[: len(x)] + guidance * (out[len(x) :] - out[: len(x)])
        return out if self.prediction == "eps" else ALPHA_BAR[t].sqrt() * out + (1 - ALPHA_BAR[t]).sqrt() * x

    @contextlib.contextmanager
    def sharing(self, rules: Rules) -> Iterator[None]:
        """Shares by these rules for a while."""
        norms = [module for module in self.unet.modules() if isinstance(module, torch.nn.GroupNorm)]
        for layer in self.layers:
            layer.rules = rules
        for norm in norms if rules.norms else []:
            norm.forward = pooled(norm)
        yield
        for layer in self.layers:
            layer.rules = None
        for norm in norms if rules.norms else []:
            del norm.forward


def pooled(norm: torch.nn.GroupNorm) -> Callable[[Tensor], Tensor]:
    """A group norm over each map and its half's first map side by side, of which the first half is kept."""

    def forward(x: Tensor) -> Tensor:
        together = torch.cat([x, firsts(x)], dim=2)
        out = functional.group_norm(together, norm.num_groups, norm.weight, norm.bias, norm.eps)
        return out[:, :, : x.shape[2]]

    return forward


def move(x: Tensor, eps: Tensor, start: int, end: int) -> Tensor:
    """The deterministic DDIM step from t = start to t = end, in either direction; below 0 it is t = 0."""
    a, b = ALPHA_BAR[max(start, 0)], ALPHA_BAR[max(end, 0)]
    return b.sqrt() * (x - (1 - a).sqrt() * eps) / a.sqrt() + (1 - b).sqrt() * eps


def sample(network: Network, x: Tensor, texts: Tensor, rules: Rules) -> Tensor:
    """A set from noise, reference first."""
    with network.sharing(rules):
        for t in TIMESTEPS:
            x = move(x, network.eps(x, t, texts, rules.guidance), t, t - 100)
    return x


def invert(network: Network, clean: Tensor, texts: Tensor, guidance: float) -> list[Tensor]:
    """The latents from noise to the clean one; eps is taken at the level that is reached."""
    path = [clean]
    for t in TIMESTEPS[::-1]:
        path.append(move(path[-1], network.eps(path[-1], t, texts, guidance), t - 100, t))
    return path[::-1]


def transfer(network: Network, path: list[Tensor], x: Tensor, texts: Tensor, rules: Rules, offset: int) -> Tensor:
    """Targets from noise beside an inverted reference, whose row is set after each step."""
    x = torch.cat([path[offset], x])
    with network.sharing(rules):
        for i, t in enumerate(TIMESTEPS):
            x = move(x, network.eps(x, t, texts, rules.guidance), t, t - 100)
            x[:1] = path[max(offset + 1, i + 1)]
    return x[1:]


def panorama(network: Network, first: Tensor, x: Tensor, texts: Tensor, rules: Rules) -> tuple[Tensor, Tensor]:
    """A reference and a wide target, (1, 4, SIDE, WIDE): a DDIM step in each window, then their average."""
    lefts = range(0, WIDE - SIDE + 1, STRIDE)
    with network.sharing(rules):
        for t in TIMESTEPS:
            total, count = torch.zeros_like(x), torch.zeros_like(x)
            for left in lefts:
                rows = torch.cat([first, x[..., left : left + SIDE]])
                rows = move(rows, network.eps(rows, t, texts, rules.guidance), t, t - 100)
                total[..., left : left + SIDE] += rows[1:]
                count[..., left : left + SIDE] += 1
            first, x = rows[:1], total / count
    return first, x


def record_flavour(
    flavour: str, config: tiny.Config, prediction: str, presets: Sequence[str] = tuple(RULES)
) -> dict[str, np.ndarray]:
    """Presets, by default every one, on one network."""
    network = Network(config, prediction)
    vectors = noise(f"style_align/{flavour}/vectors", (2 + TARGETS, tiny.SDXL_POOLED))
    if flavour == "sdxl":
        network.vectors = torch.from_numpy(vectors).double()
    inputs = {
        "texts": noise(f"style_align/{flavour}/texts", (2 + TARGETS, 77, config["cross_attention_dim"])),
        "noise": noise(f"style_align/{flavour}/noise", (1 + TARGETS, 4, SIDE, SIDE)),
        "wide_noise": noise(f"style_align/{flavour}/wide", (1, 4, SIDE, WIDE)),
        "clean": noise(f"style_align/{flavour}/clean", (1, 4, SIDE, SIDE)) * np.float32(0.8),
    }
    texts, start, wide, clean = (torch.from_numpy(one).double() for one in inputs.values())
    path = invert(network, clean, texts[:2], 2.0)
    outputs = {"path": torch.cat(path)}
    for name, rules in ((name, RULES[name]) for name in presets):
        if "image" in name:
            outputs[name] = transfer(network, path, start[1:], texts, rules, offset=len(TIMESTEPS) // 10)
        elif name == "panorama":
            outputs["panorama_reference"], outputs[name] = panorama(network, start[:1], wide, texts[:3], rules)
        else:
            outputs[name] = sample(network, start, texts, rules)
    arrays = {f"{flavour}_{name}": value for name, value in inputs.items()}
    if network.vectors is not None:
        arrays[f"{flavour}_vectors"] = vectors
    arrays.update({f"{flavour}_{name}": value.numpy().astype(np.float32) for name, value in outputs.items()})
    return arrays


def main() -> None:
    """Stable Diffusion 1's tiny UNet predicts eps, Stable Diffusion 2's v; SDXL's eps, in a file of its own."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    arrays: dict[str, Any] = record_flavour("sd1", tiny.SD1["unet"], "eps")
    arrays.update(record_flavour("sd2", tiny.SD2["unet"], "v"))
    save("style_align", arrays)
    save("style_align_sdxl", record_flavour("sdxl", tiny.SDXL["unet"], "eps", ("sdxl", "sd", "image")))


if __name__ == "__main__":
    main()
