"""StyleID (arXiv 2312.09008) on diffusers, written as its authors' code runs it: pair after pair.

A fair peer: attention stays fused, only what the method reads is kept (the content's queries, the style's keys and
values, as references, without a copy), nothing is decoded but results, and there is no guidance. With ``reuse``
an image that occurs in several pairs is inverted once, which the authors' code does not do.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

from typing import Any, Optional

import torch
import torch.nn.functional as F

GAMMA, TEMPERATURE = 0.75, 1.5
LAYERS = tuple(f"up_blocks.{block}.attentions.{layer}." for block in (2, 3) for layer in range(3))

Features = dict[tuple[int, str], tuple[Any, ...]]


class State:
    """What the processors do at this call of the UNet: record into one bank, or inject from two."""

    def __init__(self) -> None:
        self.step = 0
        self.role = ""
        self.record: Optional[Features] = None
        self.content: Optional[Features] = None
        self.style: Optional[Features] = None


class Processor:
    """One self-attention of the decoder."""

    def __init__(self, path: str, state: State) -> None:
        self._path = path
        self._state = state

    def __call__(self, attn: Any, hidden_states: Any, *_: Any, **__: Any) -> Any:
        state, key = self._state, (self._state.step, self._path)
        batch, tokens, channels = hidden_states.shape
        shape = batch, tokens, attn.heads, channels // attn.heads
        q, k, v = (to(hidden_states).view(shape).transpose(1, 2) for to in (attn.to_q, attn.to_k, attn.to_v))
        if state.record is not None:
            state.record[key] = (q,) if state.role == "content" else (k, v)
        elif state.content is not None and state.style is not None:
            q = (GAMMA * state.content[key][0] + (1 - GAMMA) * q) * TEMPERATURE
            k, v = state.style[key]
        out = F.scaled_dot_product_attention(q, k, v)
        return attn.to_out[0](out.transpose(1, 2).reshape(batch, tokens, channels))


class StyleID:
    """The method on one model folder's networks, with the settings of the authors' code."""

    def __init__(self, unet: Any, vae: Any, folder: str, steps: int, *, reuse: bool) -> None:
        from diffusers import DDIMScheduler
        from transformers import CLIPTextModel, CLIPTokenizer

        self._unet, self._vae, self._steps, self._reuse = unet, vae, steps, reuse
        self._state = State()
        schedule = DDIMScheduler.from_pretrained(folder, subfolder="scheduler")
        if schedule.config.prediction_type != "v_prediction":
            raise ValueError("this benchmark's model predicts v")
        self._alpha_bars = [float(one) for one in schedule.alphas_cumprod]
        self._final = float(schedule.final_alpha_cumprod)
        self._stride = len(self._alpha_bars) // steps
        self._times = [index * self._stride + schedule.config.steps_offset for index in range(steps)]
        self._tokenizer = CLIPTokenizer.from_pretrained(folder, subfolder="tokenizer")
        self._text_encoder = CLIPTextModel.from_pretrained(folder, subfolder="text_encoder", torch_dtype=torch.float32)
        self._text: Any = None

    def run(self, contents: Any, styles: Any) -> dict[str, Any]:
        """(n, height, width, 3) uint8 pictures to latents and pictures of all pairs, style by style."""
        self._text = self._encode_prompt("")
        plain = dict(self._unet.attn_processors)
        self._unet.set_attn_processor(self._processors(plain))
        known: dict[tuple[str, int], tuple[Any, Features]] = {}
        try:
            latents, pictures = [], []  # the pictures are the work's result, the latents what is compared
            for s in range(len(styles)):
                for c in range(len(contents)):
                    if not self._reuse:
                        known = {}
                    for role, index, images in (("style", s, styles), ("content", c, contents)):
                        if (role, index) not in known:
                            known[role, index] = self._invert(self._encode(images[index]), role)
                    latents.append(self._stylise(known["content", c], known["style", s]))
                    pictures.append(self._decode(latents[-1]))
        finally:
            self._unet.set_attn_processor(plain)
        return {"latents": torch.cat(latents), "pictures": torch.cat(pictures)}

    def _processors(self, plain: dict[str, Any]) -> dict[str, Any]:
        return {
            path: Processor(path, self._state) if path.startswith(LAYERS) and ".attn1." in path else processor
            for path, processor in plain.items()
        }

    def _invert(self, x: Any, role: str) -> tuple[Any, Features]:
        """The latent at the last training time, and the features under the sampling steps' numbers."""
        bank: Features = {}
        self._state.record, self._state.role = bank, role
        reached = [*self._times[1:], len(self._alpha_bars) - 1]
        for index, (t, following) in enumerate(zip(self._times, reached)):
            self._state.step = self._steps - 1 - index
            x = self._move(x, t, self._alpha_bars[following])
        self._state.record = None
        return x, bank

    def _stylise(self, content: tuple[Any, Features], style: tuple[Any, Features]) -> Any:
        x = adain(content[0], style[0])
        self._state.content, self._state.style = content[1], style[1]
        for index, t in list(enumerate(reversed(self._times)))[1:]:  # the authors' code leaves out the first
            self._state.step = index
            below = t - self._stride
            x = self._move(x, t, self._alpha_bars[below] if below >= 0 else self._final)
        self._state.content = self._state.style = None
        return x

    def _move(self, x: Any, t: int, alpha_bar: float) -> Any:
        """One deterministic DDIM step (arXiv 2010.02502, equation 12) from time t to ``alpha_bar``."""
        v = self._unet(x.to(self._unet.dtype), t, self._text, return_dict=False)[0].float()
        signal, noise = self._alpha_bars[t] ** 0.5, (1 - self._alpha_bars[t]) ** 0.5
        return alpha_bar**0.5 * (signal * x - noise * v) + (1 - alpha_bar) ** 0.5 * (signal * v + noise * x)

    def _encode_prompt(self, prompt: str) -> Any:
        tokenizer = self._tokenizer
        ids = tokenizer([prompt], padding="max_length", max_length=tokenizer.model_max_length, return_tensors="pt")
        return self._text_encoder(ids.input_ids)[0].to(self._unet.dtype)

    def _encode(self, picture: Any) -> Any:
        x = picture.permute(2, 0, 1)[None].float() / 127.5 - 1
        return self._vae.encode(x).latent_dist.mode() * self._vae.config.scaling_factor

    def _decode(self, latent: Any) -> Any:
        x = self._vae.decode(latent / self._vae.config.scaling_factor, return_dict=False)[0]
        return ((x / 2 + 0.5).clamp(0, 1) * 255).round().permute(0, 2, 3, 1)


def adain(content: Any, style: Any) -> Any:
    """The style's mean and deviation for each channel (equation 8)."""
    content_mean, content_deviation = content.mean((2, 3), keepdim=True), content.std((2, 3), keepdim=True)
    style_mean, style_deviation = style.mean((2, 3), keepdim=True), style.std((2, 3), keepdim=True)
    return (content - content_mean) / content_deviation * style_deviation + style_mean
