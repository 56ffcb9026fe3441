"""Records Z* (arXiv 2311.16491): its published code on tiny random networks, and the formula in float64.

Run `python tests/golden/record_z_star.py CHECKOUT` from the repository's root, in the environment that README.md
describes, with einops 0.8 besides. CHECKOUT is one of HolmesShuan/Zero-shot-Style-Transfer-via-Attention-Rearrangement
at commit df1f3d0, whose demo.py, ptp_utils.py and zstar/ run as they are, on Stable Diffusion 1's tiny networks in
float32; what they import for pictures and notebooks, and do not use here, is replaced by nothing.

`published_*`: ten steps, of which the first two are left alone; `content`, `style` (clean latents), `content_path`,
`style_path` (noisiest first), the empty text's `context`, and final latents of both rows, style first: `out` with the
empty text as the unconditional one, `out_null_text` with the optimised `null_texts` (step, tokens, channels).

`sd1_*` (eps) and `sd2_*` (v): the formula in float64 with whole matrices of attention, of two contents and a style;
`context`, `nulls` (content, step, 1, channels), of which 0.3 is added to make null texts, and the contents' final
latents of each of `RUNS`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Optional
from unittest import mock

import numpy as np
import tiny
import torch
from diffusers import DDIMScheduler
from record import HERE, build_text, build_unet, build_vae, noise, rng, save, write_tokenizer
from torch import Tensor

STEPS = 10
START = 2
SIDE = 64
"""Pixels; the latents are 16 x 16."""
UNUSED = ("cv2", "IPython", "IPython.display", "matplotlib", "pytorch_lightning", "tqdm.notebook",
          "torchvision", "torchvision.transforms", "torchvision.utils")  # fmt: skip
ALPHA_BAR = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, dim=0)


def load_published(checkout: Path) -> tuple[ModuleType, Any]:
    """Its demo as a module, and its pipeline with the tiny networks."""
    sys.path.insert(0, str(checkout))
    stand_ins = {name: mock.MagicMock() for name in UNUSED}
    with mock.patch.dict(sys.modules, stand_ins), mock.patch("torch.cuda.set_device"):
        from zstar import diffuser_utils  # type: ignore[import-not-found]

        pipeline = build_pipeline(diffuser_utils.ZstarPipeline)
        with mock.patch.object(diffuser_utils.ZstarPipeline, "from_pretrained", return_value=pipeline):
            import demo  # type: ignore[import-not-found]
    demo.NUM_DDIM_STEPS = demo.TOTAL_STEP = STEPS
    demo.TARGET_IMG_SIZE = SIDE
    demo.tqdm = iter
    diffuser_utils.tqdm = lambda steps, **_: steps
    return demo, pipeline


def build_pipeline(kind: Any) -> Any:
    """Stable Diffusion 1's tiny networks and the scheduler that its demo makes, in the published pipeline."""

    class Kept(kind):
        """Keeps the latents that it decodes."""

        def latent2image(self, latents: Tensor, return_type: str = "np") -> Any:
            self.decoded = latents
            return super().latent2image(latents, return_type)

    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False
    )
    return Kept(
        vae=build_vae(tiny.SD1["vae"]),
        text_encoder=build_text(tiny.SD1["text"]),
        tokenizer=write_tokenizer(HERE / "tokenizer_sd1", pad="<|endoftext|>"),
        unet=build_unet(tiny.SD1["unet"]),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def run_published(checkout: Path) -> dict[str, np.ndarray]:
    """What its demo computes for a content in a style, with and without the optimisation of the null text."""
    demo, pipeline = load_published(checkout)
    content, style = (
        rng(f"z_star/{name}").integers(0, 256, (SIDE, SIDE, 3), np.uint8) for name in ("content", "style")
    )
    arrays: dict[str, np.ndarray] = {}
    for name, inner_steps in (("out", 0), ("out_null_text", 10)):
        inversion = demo.NullInversion(pipeline)
        _, content_path, x_t, null_texts = inversion.invert(content, ["", ""], num_inner_steps=inner_steps)
        demo.regiter_attention_editor_diffusers(pipeline, demo.AttentionBase())
        picture = torch.from_numpy(style).permute(2, 0, 1)[None].float() / 127.5 - 1
        _, style_path = pipeline.invert(
            picture, "", guidance_scale=7.5, num_inference_steps=STEPS, return_intermediates=True
        )
        editor = demo.ReweightCrossAttentionControl(START, STEPS, layer_idx=demo.LAYER_INDEX, total_steps=STEPS)
        demo.regiter_attention_editor_diffusers(pipeline, editor)
        pipeline(
            ["", ""],
            height=8 * SIDE // 4,
            width=8 * SIDE // 4,
            latents=x_t.expand(2, -1, -1, -1),
            guidance_scale=7.5,
            uncond_embeddings=null_texts,
            num_inference_steps=STEPS,
            ref_intermediate_latents=[content_path, style_path],
        )
        arrays[name] = pipeline.decoded.numpy()
    arrays["content"], arrays["style"] = content_path[0].numpy(), style_path[0].numpy()
    arrays["content_path"], arrays["style_path"] = (
        torch.cat(path[::-1]).detach().numpy() for path in (content_path, style_path)
    )
    arrays["null_texts"] = torch.cat(null_texts).numpy()
    arrays["context"] = inversion.context[1:].numpy()
    return {f"published_{name}": value for name, value in arrays.items()}


@dataclass
class Run:
    """The published settings, for ten steps, and what a run changes of them."""

    style_scale: float = 1.2
    content_scale: Optional[float] = 1.5  # None: the style attends to itself alone
    pull: float = 0.01
    guidance: float = 1.0
    start: int = 2
    stop: int = STEPS
    layers: Sequence[int] = range(6)


RUNS = {
    "plain": Run(),
    "null_text": Run(guidance=7.5),
    "scales": Run(style_scale=2.0, content_scale=0.5, pull=0.2),
    "apart": Run(content_scale=None),
    "window": Run(start=0, stop=6, layers=(1, 4)),
}
LAYERS = 6


class Rearranged:
    """Stands in for one self-attention. Of each half of a batch the first row is the style, the second the content."""

    def __init__(self, layer: int) -> None:
        self.layer = layer
        self.run: Optional[Run] = None

    def __call__(self, attn: Any, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        """Attention of `hidden_states` (batch, tokens, channels)."""
        q, k, v = (
            project(hidden_states).unflatten(2, (attn.heads, -1)).transpose(1, 2)
            for project in (attn.to_q, attn.to_k, attn.to_v)
        )
        rows = [self.attend(q, k, v, row) for row in range(len(q))]
        return attn.to_out[0](torch.stack(rows).transpose(1, 2).flatten(2))

    def attend(self, q: Tensor, k: Tensor, v: Tensor, row: int) -> Tensor:
        """What a row gathers, (heads, tokens, head_dim)."""
        other = row + 1 if row % 2 == 0 else row - 1
        own = q[row] @ k[row].transpose(1, 2) * q.shape[-1] ** -0.5
        scale = None
        if self.run is not None and self.layer in self.run.layers:
            scale = self.run.content_scale if row % 2 == 0 else self.run.style_scale
        if scale is None:
            return torch.softmax(own, dim=-1) @ v[row]
        others = scale * (q[row] @ k[other].transpose(1, 2)) * q.shape[-1] ** -0.5
        return torch.softmax(torch.cat([others, own], dim=-1), dim=-1) @ torch.cat([v[other], v[row]], dim=1)


class Rendering:
    """A UNet in float64 with its six last self-attentions at hand, under the empty text."""

    def __init__(self, unet: Any, context: np.ndarray, prediction: str) -> None:
        self.unet = unet
        self.context = torch.from_numpy(context).double()
        self.prediction = prediction
        on_the_way_up = [module for path, module in unet.up_blocks.named_modules() if path.endswith("attn1")]
        self.layers = [Rearranged(layer) for layer in range(LAYERS)]
        for layer, attention in zip(self.layers, on_the_way_up[-LAYERS:]):
            attention.set_processor(layer)

    def eps(self, x: Tensor, t: int, null_text: Optional[Tensor] = None, guidance: float = 1.0) -> Tensor:
        """The noise in the rows of `x`; guided where there is a null text."""
        out = self.unet(x, t, self.context.expand(len(x), -1, -1)).sample
        if null_text is not None:
            null = self.unet(x, t, null_text.expand(len(x), -1, -1)).sample
            out = null + guidance * (out - null)
        return out if self.prediction == "eps" else ALPHA_BAR[t].sqrt() * out + (1 - ALPHA_BAR[t]).sqrt() * x

    def invert(self, x: Tensor) -> list[Tensor]:
        """The path to noise, noisiest first: eps at the time that a step moves to."""
        path = [x]
        for t in range(1, 1000, 100):
            path.append(move(path[-1], self.eps(path[-1], t), ALPHA_BAR[max(t - 100, 0)], ALPHA_BAR[t]))
        return path[::-1]

    def stylise(self, run: Run, content: list[Tensor], style: list[Tensor], null_texts: Tensor) -> Tensor:
        """A content in a style, by their paths."""
        x = content[0]
        for step, t in enumerate(range(901, 0, -100)):
            x = (1 - run.pull) * x + run.pull * content[step]
            for layer in self.layers:
                layer.run = run if run.start <= step < run.stop else None
            null = null_texts[step] if run.guidance > 1 else None
            eps = self.eps(torch.cat([style[step], x]), t, null, run.guidance)[1:]
            x = move(x, eps, ALPHA_BAR[t], ALPHA_BAR[max(t - 100, 0)])
        for layer in self.layers:
            layer.run = None
        return x


def move(x: Tensor, eps: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """The deterministic DDIM step from alpha_bar `start` to alpha_bar `end`, in either direction."""
    x_0 = (x - (1 - start).sqrt() * eps) / start.sqrt()
    return end.sqrt() * x_0 + (1 - end).sqrt() * eps


def render(flavour: str, config: tiny.Config, prediction: str) -> dict[str, np.ndarray]:
    """All the runs of one network."""
    channels = config["cross_attention_dim"]
    context = noise(f"z_star/{flavour}/context", (1, 77, channels))
    nulls = noise(f"z_star/{flavour}/null", (2, STEPS, 1, channels))  # added to every token of the empty text
    latents = {name: noise(f"z_star/{flavour}/{name}", (1, 4, 16, 16)) for name in ("first", "second", "style")}
    rendering = Rendering(build_unet(config).double(), context, prediction)
    paths = {name: rendering.invert(torch.from_numpy(latent).double()) for name, latent in latents.items()}
    arrays = {"context": context, "nulls": nulls, **latents}
    null_texts = torch.from_numpy(context[:, None] + 0.3 * nulls).double()
    for name, run in RUNS.items():
        made = [
            rendering.stylise(run, paths[content], paths["style"], null_texts[row])
            for row, content in enumerate(("first", "second"))
        ]
        arrays[name] = torch.cat(made).numpy().astype(np.float32)
    return {f"{flavour}_{name}": value for name, value in arrays.items()}


def main() -> None:
    """Stable Diffusion 1's tiny UNet predicts eps, Stable Diffusion 2's v."""
    torch.set_num_threads(1)
    arrays = run_published(Path(sys.argv[1]))
    with torch.no_grad():
        arrays.update(render("sd1", tiny.SD1["unet"], "eps"))
        arrays.update(render("sd2", tiny.SD2["unet"], "v"))
    save("z_star", arrays)


if __name__ == "__main__":
    main()
