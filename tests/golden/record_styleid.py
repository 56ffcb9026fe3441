"""Records StyleID (arXiv 2312.09008) in float64 on the tiny UNets: a plain rendering of the paper and its own code.

Run `python tests/golden/record_styleid.py` from the repository's root, in the environment that README.md describes.
Ten steps stand for the method's fifty: the UNet is fed t = 1, 101, ..., 901.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Optional

import numpy as np
import tiny
import torch
from record import build_unet, noise, save
from torch import Tensor

TIMESTEPS = list(range(1, 1000, 100))
LDM_BLOCKS = range(6, 12)
HEAD_FEATURES = dict[tuple[int, int], tuple[Tensor, Tensor, Tensor]]
"""(LDM output block, t fed to the UNet) -> q, k, v, each (batch * heads, tokens, head_dim)."""

ALPHA_BAR = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, dim=0)


class SelfAttention:
    """Stands in for one self-attention: writes q, k, v down or, given `inject`, mixes and replaces them.

    `inject` is (content's features, style's features, gamma, T).
    """

    def __init__(self, block: int) -> None:
        self.block = block
        self.t = 0
        self.record: Optional[HEAD_FEATURES] = None
        self.inject: Optional[tuple[HEAD_FEATURES, HEAD_FEATURES, float, float]] = None

    def __call__(self, attn: Any, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        """Attention of `hidden_states` (batch, tokens, channels) to themselves."""
        q, k, v = (attn.head_to_batch_dim(project(hidden_states)) for project in (attn.to_q, attn.to_k, attn.to_v))
        temperature = 1.0
        if self.record is not None:
            self.record[self.block, self.t] = (q, k, v)
        if self.inject is not None:
            content, style, gamma, temperature = self.inject
            q = gamma * content[self.block, self.t][0] + (1 - gamma) * q
            k, v = style[self.block, self.t][1:]
        logits = temperature * q.shape[-1] ** -0.5 * (q @ k.transpose(1, 2))
        return attn.to_out[0](attn.batch_to_head_dim(torch.softmax(logits, dim=-1) @ v))


class Network:
    """A UNet that predicts eps for the empty prompt's context, with its six decoder self-attentions at hand."""

    def __init__(self, config: tiny.Config, context: np.ndarray, prediction: str) -> None:
        self.unet = build_unet(config).double()
        self.context = torch.from_numpy(context).double()
        self.prediction = prediction
        self.layers: list[SelfAttention] = []
        for block in LDM_BLOCKS:
            # Three LDM output blocks make one up block; the seventh is the first of up_blocks.2.
            transformer = self.unet.up_blocks[block // 3].attentions[block % 3]
            self.layers.append(SelfAttention(block))
            transformer.transformer_blocks[0].attn1.set_processor(self.layers[-1])

    def eps(self, x: Tensor, t: int) -> Tensor:
        """The noise in `x`; v is converted with the alpha_bar of the t that is fed."""
        for layer in self.layers:
            layer.t = t
        out = self.unet(x, t, self.context).sample
        return out if self.prediction == "eps" else ALPHA_BAR[t].sqrt() * out + (1 - ALPHA_BAR[t]).sqrt() * x

    @contextlib.contextmanager
    def mode(self, **setting: Any) -> Iterator[None]:
        """Sets `record` or `inject` in all six layers for a while."""
        for layer in self.layers:
            vars(layer).update(setting)
        yield
        for layer in self.layers:
            vars(layer).update(dict.fromkeys(setting))


def move(x: Tensor, eps: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """The deterministic DDIM step from alpha_bar `start` to alpha_bar `end`, in either direction."""
    x_0 = (x - (1 - start).sqrt() * eps) / start.sqrt()
    return end.sqrt() * x_0 + (1 - end).sqrt() * eps


def invert(network: Network, x: Tensor, convention: str) -> tuple[Tensor, HEAD_FEATURES]:
    """DDIM inversion with the features of every step.

    `current`, the original's: eps at the current t, then alpha_bar[t] -> alpha_bar[next t], at last 999. `target`: x is
    at the previous level, first alpha_bar[0], and eps is evaluated at the t that it moves to.
    """
    features: HEAD_FEATURES = {}
    afters, befores = [*TIMESTEPS[1:], 999], [0, *TIMESTEPS[:-1]]
    with network.mode(record=features):
        for t, before, after in zip(TIMESTEPS, befores, afters):
            start, end = (t, after) if convention == "current" else (before, t)
            x = move(x, network.eps(x, t), ALPHA_BAR[start], ALPHA_BAR[end])
    return x, features


def adain(content: Tensor, style: Tensor) -> Tensor:
    """`content` (batch, 4, h, w) with each channel's mean and unbiased standard deviation those of `style`."""
    plane = {"dim": (2, 3), "keepdim": True}
    unit = (content - content.mean(**plane)) / content.std(**plane)
    return unit * style.std(**plane) + style.mean(**plane)


def denoise(network: Network, x: Tensor, inject: Any, skip: bool) -> Tensor:
    """DDIM with eta 0 down to alpha_bar[0]; `skip` leaves the first, noisiest step out as the original's code does."""
    with network.mode(inject=inject):
        for t in TIMESTEPS[::-1][1 if skip else 0 :]:
            x = move(x, network.eps(x, t), ALPHA_BAR[t], ALPHA_BAR[max(t - 100, 0)])
    return x


def latent(name: str, shape: tuple[int, int], scale: float) -> np.ndarray:
    """A random latent (1, 4, h, w) whose channels have means of their own."""
    return noise(name, (1, 4, *shape)) * np.float32(scale) + noise(f"{name}/mean", (1, 4, 1, 1)) * np.float32(0.5)


def transfer(network: Network, inputs: dict[str, np.ndarray], convention: str, runs: Any) -> dict[str, Tensor]:
    """The inverted latents, their AdaIN and, for each run (gamma, T, skip) by name, the stylised latents."""
    z_content, content = invert(network, torch.from_numpy(inputs["content"]).double(), convention)
    z_style, style = invert(network, torch.from_numpy(inputs["style"]).double(), convention)
    x = adain(z_content, z_style)
    outputs = {"content_inverted": z_content, "style_inverted": z_style, "adain": x}
    outputs.update(zip(("probe_q", "probe_k", "probe_v"), (content[6, 1][0], *style[6, 1][1:])))
    for name, (gamma, temperature, skip) in runs.items():
        outputs[name] = denoise(network, x, (content, style, gamma, temperature), skip)
    return outputs


def record_flavour(flavour: str, config: tiny.Config, prediction: str) -> dict[str, np.ndarray]:
    """All the runs of one network: both conventions, and a content whose size is not the style's."""
    context = noise(f"styleid/{flavour}/context", (1, 77, config["cross_attention_dim"]))
    network = Network(config, context, prediction)
    inputs = {
        "content": latent(f"styleid/{flavour}/content", (16, 16), 0.8),
        "style": latent(f"styleid/{flavour}/style", (16, 16), 1.2),
    }
    oblong = {"content": latent(f"styleid/{flavour}/oblong", (8, 16), 0.8), "style": inputs["style"]}
    grid = {f"out_g{gamma}_t{t}": (gamma, t, True) for gamma in (0.75, 0.3) for t in (1.0, 1.5)}
    plain = {"out_g0.75_t1.5_noskip": (0.75, 1.5, False)}
    arrays = {f"{flavour}_context": context, f"{flavour}_oblong_content": oblong["content"]}
    arrays.update({f"{flavour}_{name}": value for name, value in inputs.items()})
    for label, images, convention, runs in (
        ("current", inputs, "current", {**grid, **plain}),
        ("target", inputs, "target", plain),
        ("oblong", oblong, "current", {"out_g0.75_t1.5": (0.75, 1.5, True)}),
    ):
        for name, value in transfer(network, images, convention, runs).items():
            if label == "current" or not name.startswith("probe"):
                arrays[f"{flavour}_{label}_{name}"] = value.numpy().astype(np.float32)
    return arrays


def main() -> None:
    """Stable Diffusion 1's tiny UNet predicts eps, Stable Diffusion 2's v."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    arrays: dict[str, Any] = {"timesteps": np.array(TIMESTEPS), "alpha_bar": ALPHA_BAR.numpy()}
    arrays.update(record_flavour("sd1", tiny.SD1["unet"], "eps"))
    arrays.update(record_flavour("sd2", tiny.SD2["unet"], "v"))
    save("styleid", arrays)


if __name__ == "__main__":
    main()
