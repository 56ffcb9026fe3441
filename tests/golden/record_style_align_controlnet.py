"""Records Style Aligned with a ControlNet: in float64, and by the paper's own call and handler of attention.

Run `python tests/golden/record_style_align_controlnet.py CHECKOUT` from the repository's root, in the environment that
README.md describes. CHECKOUT is github.com/google/style-aligned at commit 2faf0af, whose `sa_handler.py` and
`pipeline_calls.py` run as they are, with SDXL.

Networks, texts and noise are those of `record_style_align.py`, by its presets "sd" on sd1's UNet and "sdxl" on SDXL's;
the net is the tiny one of `record_controlnet.py` for that UNet. The reference is row 0 of each half and gets zeros in
place of residuals. `maps` are two, uint8 (2, 3, height, width). Final latents of all rows by flavour: `{flavour}_own`,
a map for each target; `{flavour}_one`, the first for both, at a scale of 0.6 in the steps from 20 to 70 per cent.
`published`: two targets of one text and of the first map, which is all that the paper's call can do. It shows the net
the negative text in both halves; in float64 each half shows it its own.
"""

from __future__ import annotations

import sys
from typing import Any, Optional
from unittest import mock

import numpy as np
import tiny
import torch
from diffusers import DDIMScheduler, StableDiffusionXLControlNetPipeline
from record import HERE, build_unet, rng, save
from record_controlnet import NETS, build_net
from record_style_align import FACTOR, RULES, SIDE, TARGETS, TIMESTEPS, Network, move, noise
from torch import Tensor

SCALE = 0.8
WINDOW = (0.6, 0.2, 0.7)
"""The scale, start and end of "one"."""


class Steered(Network):
    """A UNet whose targets a net steers; the reference's residuals are zeros."""

    def __init__(self, flavour: str, maps: Tensor, scale: float = SCALE, start: float = 0.0, end: float = 1.0) -> None:
        super().__init__({"sd1": tiny.SD1, "sdxl": tiny.SDXL}[flavour]["unet"], "eps")
        self.net = build_net(NETS[flavour]).double()
        self.maps = maps.double()
        self.scale = scale
        self.steps = [
            t
            for number, t in enumerate(TIMESTEPS)
            if number / len(TIMESTEPS) >= start and (number + 1) / len(TIMESTEPS) <= end
        ]
        self.unet.register_forward_pre_hook(self._steer, with_kwargs=True)

    def _steer(self, unet: Any, inputs: tuple[Any, ...], named: dict[str, Any]) -> Optional[Any]:
        """What the UNet is told besides: the net's residuals for the targets of both halves."""
        x, t, texts = inputs
        if t not in self.steps:
            return None
        half = len(x) // 2
        rows = [*range(1, half), *range(half + 1, 2 * half)]
        added = named["added_cond_kwargs"]
        added = None if added is None else {name: value[rows] for name, value in added.items()}
        down, middle = self.net(
            x[rows], t, texts[rows], torch.cat([self.maps, self.maps]), self.scale,
            added_cond_kwargs=added, return_dict=False,
        )  # fmt: skip
        residuals = []
        for one in (*down, middle):
            whole = torch.zeros(len(x), *one.shape[1:], dtype=one.dtype)
            whole[rows] = one
            residuals.append(whole)
        told = {"down_block_additional_residuals": residuals[:-1], "mid_block_additional_residual": residuals[-1]}
        return inputs, {**named, **told}


def read_inputs(flavour: str) -> tuple[Tensor, Tensor, np.ndarray]:
    """Texts, noise and vectors, as `record_style_align.py` draws them."""
    width = {"sd1": tiny.SD1, "sdxl": tiny.SDXL}[flavour]["unet"]["cross_attention_dim"]
    texts = noise(f"style_align/{flavour}/texts", (2 + TARGETS, 77, width))
    first = noise(f"style_align/{flavour}/noise", (1 + TARGETS, 4, SIDE, SIDE))
    vectors = noise(f"style_align/{flavour}/vectors", (2 + TARGETS, tiny.SDXL_POOLED))
    return torch.from_numpy(texts), torch.from_numpy(first), vectors


def sample(network: Steered, flavour: str) -> np.ndarray:
    """The final latents of a set, reference first."""
    texts, x, vectors = read_inputs(flavour)
    texts, x = texts.double(), x.double()
    rules = RULES[{"sd1": "sd"}.get(flavour, flavour)]
    if flavour == "sdxl":
        network.vectors = torch.from_numpy(vectors).double()
    with network.sharing(rules):
        for t in TIMESTEPS:
            x = move(x, network.eps(x, t, texts, rules.guidance), t, t - 100)
    return x.numpy().astype(np.float32)


def run_published(checkout: str, shown: Tensor) -> np.ndarray:
    """The final latents of the paper's call: the reference, and two targets of one text."""
    sys.path.insert(0, checkout)
    with mock.patch.dict(sys.modules, {"einops": mock.MagicMock()}):
        import pipeline_calls
        import sa_handler
    pipe = StableDiffusionXLControlNetPipeline.from_pretrained(
        HERE / "sdxl_folder", controlnet=build_net(NETS["sdxl"]), add_watermarker=False
    )
    pipe.register_modules(unet=build_unet(tiny.SDXL["unet"]))
    pipe.scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False,
        steps_offset=1, timestep_spacing="leading",
    )  # fmt: skip
    sa_handler.Handler(pipe).register(
        sa_handler.StyleAlignedArgs(share_group_norm=False, share_layer_norm=False, adain_values=False)
    )
    ends: list[Tensor] = []
    decode = pipe.vae.decode

    def note(latents: Tensor, **options: Any) -> Any:
        ends.append(latents * pipe.vae.config.scaling_factor)
        return decode(latents, **options)

    pipe.vae.decode = note
    pipe.check_inputs = lambda *_: None  # the call names them in an older order
    texts, first, vectors = read_inputs("sdxl")
    negative, pair = [0, 0], [1, 2]
    pipeline_calls.controlnet_call(
        pipe,
        image=shown,
        num_inference_steps=len(TIMESTEPS),
        guidance_scale=RULES["sdxl"].guidance,
        num_images_per_prompt=TARGETS,
        latents=first,
        prompt_embeds=texts[pair],
        negative_prompt_embeds=texts[negative],
        pooled_prompt_embeds=torch.from_numpy(vectors)[pair],
        negative_pooled_prompt_embeds=torch.from_numpy(vectors)[negative],
        controlnet_conditioning_scale=SCALE,
    )
    (end,) = ends
    return end.numpy()


def main() -> None:
    """Record both flavours, and what the paper's code makes of SDXL's."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    maps = rng("style_align/maps").integers(0, 256, (TARGETS, 3, SIDE * FACTOR, SIDE * FACTOR), np.uint8)
    shown = torch.from_numpy(maps / np.float32(255))
    arrays: dict[str, Any] = {"maps": maps}
    for flavour in ("sd1", "sdxl"):
        arrays[f"{flavour}_own"] = sample(Steered(flavour, shown), flavour)
        arrays[f"{flavour}_one"] = sample(Steered(flavour, shown[[0, 0]], *WINDOW), flavour)
    arrays["published"] = run_published(sys.argv[1], shown[:1])
    save("style_align_controlnet", arrays)


if __name__ == "__main__":
    main()
