"""Records Attention Distillation (arXiv 2502.20235) by the paper's own code, on `diffusers_folder/`.

Run `python tests/golden/record_attention_distillation.py CHECKOUT` from the repository's root, in the environment that
README.md describes. CHECKOUT is github.com/xugao97/AttentionDistillation at commit 142800c; of it the pipeline for
Stable Diffusion runs as it is, in fp32. What it imports to show pictures stands empty here. Its latents are given and
taken in place of pictures, and its noise is drawn by names.
"""

from __future__ import annotations

import sys
import zlib
from types import ModuleType
from typing import Any, Optional

import numpy as np
import torch
from diffusers import DDIMScheduler
from record import HERE, noise, save
from torch import Tensor

STEPS = 10
SEED = 5
SIDE = 16
PROMPT = "a cat in the night"
GUIDANCE = 4.0
LEVEL = 501
"""The time at which gradients are recorded."""


def draw(purpose: str) -> Tensor:
    """The noise (1, 4, h, w) that the project draws for a purpose with `SEED`."""
    generator = np.random.default_rng([SEED, zlib.crc32(purpose.encode())])
    return torch.from_numpy(generator.standard_normal((1, 4, SIDE, SIDE), np.float32))


def draw_rows(like: Tensor, purpose: str) -> Tensor:
    """The noise of each style (styles, 4, h, w)."""
    return torch.cat([draw(f"style {number}, {purpose}") for number in range(len(like))])


def import_pipeline(checkout: str) -> Any:
    """The modules of the paper's code, `pipeline_sd` and `losses`, without what draws pictures on screens."""
    for name in ("matplotlib", "matplotlib.pyplot", "torchvision", "torchvision.transforms", "torchvision.utils"):
        module = ModuleType(name)
        module.ToTensor = module.save_image = None  # type: ignore[attr-defined]
        sys.modules[name] = module
    sys.modules["matplotlib"].pyplot = sys.modules["matplotlib.pyplot"]  # type: ignore[attr-defined]
    sys.path.insert(0, checkout)
    import losses
    import pipeline_sd
    import utils

    return pipeline_sd, losses, utils


class Run:
    """The paper's pipeline of one kind of prediction, between latents."""

    def __init__(self, modules: Any, prediction: str, styles: Tensor, content: Optional[Tensor]) -> None:
        self.pipeline_sd, self.losses, self.utils = modules
        scheduler = DDIMScheduler.from_pretrained(HERE / "diffusers_folder", subfolder="scheduler")
        scheduler.register_to_config(prediction_type=prediction)
        pipe = self.pipeline_sd.ADPipeline.from_pretrained(
            HERE / "diffusers_folder", scheduler=scheduler, safety_checker=None
        )
        pipe.classifier = pipe.unet
        pipe.set_progress_bar_config(disable=True)
        pipe.image2latent = {"style": styles, "content": content}.get
        pipe.latent2image = lambda latents: latents
        pipe.enable_vae_slicing = lambda: None  # which this diffusers has no longer
        self.pipe, self.content = pipe, content
        self.given = {"style_image": "style", "content_image": None if content is None else "content"}

    def controller(self) -> Any:
        """Layers 10 to 15."""
        return self.utils.Controller(self_layers=(10, 16))

    def optimise(self, **options: Any) -> np.ndarray:
        """Style transfer, or a texture from noise."""
        drawn, torch.randn = torch.randn, lambda *_, **__: draw("latents")
        try:
            latents = self.pipe.optimize(
                controller=self.controller(),
                width=SIDE * self.pipe.vae_scale_factor,
                height=SIDE * self.pipe.vae_scale_factor,
                **self.given,
                **options,
            )
        finally:
            torch.randn = drawn
        return latents.detach().numpy()

    def sample(self, **options: Any) -> np.ndarray:
        """A picture of a text."""
        purposes = (f"{what} {step}" for step in range(STEPS) for what in self.list_draws(options["adain"]))
        drawn, torch.randn_like = torch.randn_like, lambda like: draw_rows(like, next(purposes))
        try:
            latents = self.pipe.sample(
                controller=self.controller(),
                num_inference_steps=STEPS,
                latents=draw("latents"),
                **self.given,
                **options,
            )
        finally:
            torch.randn_like = drawn
        assert next(purposes, None) is None
        return latents.detach().numpy()

    def list_draws(self, adain: bool) -> list[str]:
        """What noise is drawn for in a step, in order."""
        return ["statistics", "features"] if adain else ["features"]

    def gradient(self, x: Tensor, weight: float, scale: float) -> tuple[np.ndarray, np.ndarray]:
        """The loss of x (1, 4, h, w) at `LEVEL`, and its gradient."""
        pipe, controller = self.pipe, self.controller()
        pipe.cache, pipe.controller = self.utils.DataCache(), controller
        self.utils.register_attn_control(pipe.classifier, controller=controller, cache=pipe.cache)
        styles, text, t = pipe.image2latent("style"), pipe.encode_prompt("", "cpu", 1, False)[0], torch.tensor(LEVEL)
        with torch.no_grad():
            _, keys, values, _ = pipe.extract_feature(styles, t, text.expand(len(styles), -1, -1))
            queries, *_ = pipe.extract_feature(self.content, t, text)
        x = x.clone().requires_grad_()
        q, _, _, out = pipe.extract_feature(x, t, text)
        loss = self.losses.ad_loss(q, keys, values, out, scale=scale) + weight * self.losses.q_loss(q, queries)
        (gradient,) = torch.autograd.grad(loss, x)
        return loss.detach().numpy(), gradient.numpy()


def smooth(name: str, rows: int = 1) -> Tensor:
    """Latents with large shapes in them, as those of pictures have."""
    coarse = torch.from_numpy(noise(f"attention_distillation/{name}", (rows, 4, 4, 4)))
    fine = torch.from_numpy(noise(f"attention_distillation/{name}/fine", (rows, 4, SIDE, SIDE)))
    return torch.nn.functional.interpolate(coarse, size=(SIDE, SIDE), mode="bilinear") + 0.3 * fine


def main() -> None:
    """Records the latents that go in and those that come out."""
    torch.set_num_threads(1)
    modules = import_pipeline(sys.argv[1])
    styles, content, x = smooth("styles", 2), smooth("content"), smooth("x")
    arrays: dict[str, Any] = {"styles": styles.numpy(), "content": content.numpy(), "x": x.numpy()}
    pairs = {"transfer": styles[:1], "transfer_of_two": styles}
    transfer: dict[str, Any] = {"num_inference_steps": STEPS, "weight": 0.25, "iters": 1, "lr": 0.05}
    for name, of in pairs.items():
        arrays[name] = Run(modules, "v_prediction", of, content).optimise(**transfer)
    texture: dict[str, Any] = {"num_inference_steps": STEPS // 2, "iters": 2, "lr": 0.05, "attn_scale": 1.2}
    arrays["texture"] = Run(modules, "v_prediction", styles[:1], None).optimise(**texture)
    for prediction in ("epsilon", "v_prediction"):
        text = Run(modules, prediction, styles[:1], None)
        options = {"prompt": PROMPT, "negative_prompt": "", "guidance_scale": GUIDANCE, "iters": 3, "lr": 0.015}
        arrays[f"text_{prediction}"] = text.sample(adain=True, **options)
    unguided = {"prompt": "", "negative_prompt": "", "guidance_scale": 1.0, "iters": 1, "lr": 0.05}
    of_two = Run(modules, "epsilon", styles, None)
    arrays["text_of_two"] = of_two.sample(adain=True, **unguided)
    arrays["sampled_texture"] = of_two.sample(adain=False, **unguided)
    arrays["loss"], arrays["gradient"] = Run(modules, "epsilon", styles, content).gradient(x, 0.25, 1.2)
    save("attention_distillation", arrays)


if __name__ == "__main__":
    main()
