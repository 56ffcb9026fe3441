"""Records Z* and Attention Distillation on Stable Diffusion XL's shape, on the networks of `sdxl_folder/`.

Run `python tests/golden/record_pair_methods_sdxl.py CHECKOUT` from the repository's root, in the environment that
README.md describes. CHECKOUT is github.com/xugao97/AttentionDistillation at commit 142800c, whose pipeline for Stable
Diffusion runs as it is; SDXL's UNet stands in the place of its own, and is told SDXL's empty text and sizes. Z* is the
formula of `record_z_star.py` in float64.

`first`, `second`, `style`: clean latents. `z_star_*`: both contents' final latents, of those of the runs there that
SDXL can do. `text`: the empty text as diffusers encodes it, `pooled` its vector. `distilled`: the first content in the
style by Attention Distillation; `loss` and `gradient` of its loss for `second` in the place of the content.
"""

from __future__ import annotations

import functools
import sys
from typing import Any, Optional

import numpy as np
import record_attention_distillation as distillation
import torch
from diffusers import DDIMScheduler, StableDiffusionXLPipeline
from record import HERE, save
from record_z_star import RUNS, Rendering
from torch import Tensor

FOLDER = HERE / "sdxl_folder"
SIZES = (64, 64, 0, 0, 64, 64)
LAST_SIX = (11, 17)  # of 17 self-attentions, as the project's default


def load_networks() -> tuple[StableDiffusionXLPipeline, Tensor, Tensor]:
    """The model, its empty text, and the text's vector."""
    pipe = StableDiffusionXLPipeline.from_pretrained(FOLDER, add_watermarker=False)
    text, _, pooled, _ = pipe.encode_prompt("", do_classifier_free_guidance=False)
    return pipe, text.detach(), pooled.detach()


def tell(unet: Any, pooled: Tensor) -> Any:
    """The UNet, told the vector and the sizes in every call."""
    plain = unet.forward

    @functools.wraps(plain)
    def forward(sample: Tensor, *inputs: Any, **named: Any) -> Any:
        rows = len(sample)
        sizes = torch.tensor([SIZES] * rows, dtype=sample.dtype)
        named["added_cond_kwargs"] = {"text_embeds": pooled.to(sample.dtype).expand(rows, -1), "time_ids": sizes}
        return plain(sample, *inputs, **named)

    unet.forward = forward
    return unet


class Told(distillation.Run):
    """The paper's pipeline around SDXL's UNet."""

    def __init__(self, modules: Any, styles: Tensor, content: Optional[Tensor]) -> None:
        super().__init__(modules, "epsilon", styles, content)
        model, text, pooled = load_networks()
        self.pipe.register_modules(unet=tell(model.unet, pooled))
        self.pipe.classifier = self.pipe.unet
        self.pipe.scheduler = DDIMScheduler.from_pretrained(FOLDER, subfolder="scheduler")
        self.pipe.encode_prompt = lambda *_, **__: (text, text)

    def controller(self) -> Any:
        """The last six layers."""
        return self.utils.Controller(self_layers=LAST_SIX)


def render_z_star(latents: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """Both contents in the style, by all runs without null texts."""
    model, text, pooled = load_networks()
    rendering = Rendering(tell(model.unet.double(), pooled), text.numpy(), "eps")
    paths = {name: rendering.invert(latent.double()) for name, latent in latents.items()}
    nothing = torch.zeros(0)
    return {
        f"z_star_{name}": torch.cat(
            [rendering.stylise(run, paths[content], paths["style"], nothing) for content in ("first", "second")]
        )
        .numpy()
        .astype(np.float32)
        for name, run in RUNS.items()
        if run.guidance == 1
    }


def main() -> None:
    """Records the latents that go in and those that come out."""
    torch.set_num_threads(1)
    modules = distillation.import_pipeline(sys.argv[1])
    latents = {name: distillation.smooth(f"sdxl/{name}") for name in ("first", "second", "style")}
    arrays = {name: latent.numpy() for name, latent in latents.items()}
    _, text, pooled = load_networks()
    arrays["text"], arrays["pooled"] = text.numpy(), pooled.numpy()
    with torch.no_grad():
        arrays.update(render_z_star(latents))
    steps: dict[str, Any] = {"num_inference_steps": distillation.STEPS, "weight": 0.25, "iters": 1, "lr": 0.05}
    arrays["distilled"] = Told(modules, latents["style"], latents["first"]).optimise(**steps)
    told = Told(modules, latents["style"], latents["first"])
    arrays["loss"], arrays["gradient"] = told.gradient(latents["second"], 0.25, 1.2)
    save("pair_methods_sdxl", arrays)


if __name__ == "__main__":
    main()
