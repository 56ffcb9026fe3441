"""Records ArtFusion (arXiv 2306.09330) as its authors' own program computes it: tests/golden/artfusion.npz.

    PYTHONPATH=ARTFUSION python tests/golden/record_artfusion.py

ARTFUSION is a checkout of github.com/ChenDarYen/ArtFusion at 3c9c5e6; besides what README.md names einops is needed.
Of PyTorch Lightning and torchvision, which the program imports, only a base class and VGG16's layers are used; these
stand below. The model is the program's own class with the sizes of SIZES, and the weights are `tiny.seeded_tensor`'s by
their names in its checkpoint.

* `latent`, `content`, `style`, `times` -> `noise`: its UNet; `image` -> `moments`, `features`: VAE and style of a
  picture; `decoded`: the picture of `latent`, in the scale of the diffusion.
* `run_{scales}_{eta}`: the samples after each of ten DDIM steps from `start`, noised by `draws`, with the scales of
  content and style as they stand in the name.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tiny
import torch
from torch import nn

HERE = Path(__file__).parent
WIDTHS = (4, 4, 8, 8, 8)
STYLE = 2 * sum(WIDTHS)
SIZES = dict(
    image_size=8, in_channels=4, out_channels=4, content_in_dim=4, content_refined_dim=3, model_channels=32,
    attention_resolutions=[1, 2], num_res_blocks=2, channel_mult=[1, 2], context_dim=STYLE, num_head_channels=16,
    hidden_time_embed_dim=16, time_embed_dim=48, num_norm_groups=8,
)  # fmt: skip
VAE = dict(
    double_z=True, z_channels=4, resolution=32, in_channels=3, out_ch=3, ch=32, ch_mult=[1, 2], num_res_blocks=1,
    attn_resolutions=[16], dropout=0.0,
)  # fmt: skip
SCALES, SHIFTS = [0.33, 0.18, 0.34, 0.37], [-0.74, -0.4, 0.43, -0.2]


def make_features(*_: Any, **__: Any) -> Any:
    """VGG16's layers, as torchvision has them, with few channels."""
    layers: list[nn.Module] = []
    channels = 3
    for width, count in zip(WIDTHS, (2, 2, 3, 3, 3)):
        for _ in range(count):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2, 2))
    return types.SimpleNamespace(features=nn.Sequential(*layers))


def stand_in() -> None:
    """Let the program find what it imports and does not use here."""
    lightning, vision = types.ModuleType("pytorch_lightning"), types.ModuleType("torchvision")
    lightning.LightningModule = nn.Module  # type: ignore[attr-defined]
    utilities, distributed = (types.ModuleType(f"pytorch_lightning.{name}") for name in ("utilities", "u.distributed"))
    distributed.rank_zero_only = lambda function: function  # type: ignore[attr-defined]
    grid = types.ModuleType("torchvision.utils")
    grid.make_grid = None  # type: ignore[attr-defined]
    vision.models = types.SimpleNamespace(vgg16=make_features)  # type: ignore[attr-defined]
    sys.modules.update(
        {"pytorch_lightning": lightning, "pytorch_lightning.utilities": utilities, "torchvision": vision,
         "pytorch_lightning.utilities.distributed": distributed, "torchvision.utils": grid}
    )  # fmt: skip
    if "requests" not in sys.modules:
        sys.modules["requests"] = types.ModuleType("requests")


def build_model() -> Any:
    """The program's own model, with seeded weights in the EMA, and zeros where the training's own copies lie."""
    from ldm.models.diffusion.dual_cond_ddpm import DualCondLDM

    unet = {"target": "ldm.modules.diffusionmodules.model.StyleUNetModel", "params": SIZES}
    encoder, decoder = (f"ldm.modules.vae.model.{name}" for name in ("Encoder", "Decoder"))
    first = {
        "target": "ldm.models.autoencoder.AutoencoderKL",
        "params": {
            "embed_dim": 4,
            "ddconfig": {"encoder_target": encoder, "decoder_target": decoder, "params": VAE},
            "lossconfig": {"target": "torch.nn.Identity"},
        },
    }
    model = DualCondLDM(
        style_dim=STYLE, first_stage_config=first, cond_stage_config="__is_adaptive__", unet_config=unet,
        linear_start=0.0015, linear_end=0.0195, timesteps=1000, image_size=8, channels=4,
        conditioning_key=["other", "other"], scale_factors=SCALES, shift_values=SHIFTS,
    ).eval()  # fmt: skip
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(tiny.seeded_tensor(name, tuple(parameter.shape))))
        for ema, network in ((model.model_ema, model.model), (model.null_style_vector_ema, model.null_style_vector)):
            for name, parameter in network.named_parameters():
                getattr(ema, name.replace(".", "")).copy_(parameter)
    return model


def sample(model: Any, start: torch.Tensor, cond: dict, draws: np.ndarray, content: float, style: float, eta: float):
    """The samples after each of ten steps."""
    from ldm.models.diffusion import ddim

    samples: list[np.ndarray] = []
    ddim.DDIMSampler.register_buffer = lambda self, name, attr: setattr(self, name, attr)
    take: Callable[..., Any] = ddim.DDIMSampler.p_sample_ddim

    def watch(self: Any, *args: Any, **settings: Any) -> Any:
        ddim.noise_like = lambda *_: torch.from_numpy(draws[len(samples)])
        found = take(self, *args, **settings)
        samples.append(found[0].numpy())
        return found

    ddim.DDIMSampler.p_sample_ddim = watch
    try:
        ddim.DDIMSampler(model).sample(
            10, start.shape[0], tuple(start.shape[1:]), conditioning=cond, x_T=start, eta=eta, verbose=False,
            unconditional_guidance_scale=content,
            unconditional_conditioning={"c1": torch.zeros_like(cond["c1"]), "c2": cond["c2"]},
            unconditional_guidance_scale_2=style,
            unconditional_conditioning_2={
                "c1": cond["c1"], "c2": model.null_style_vector.weight[:1].expand_as(cond["c2"]).clone()
            },
        )  # fmt: skip
    finally:
        ddim.DDIMSampler.p_sample_ddim = take
    return np.stack(samples)


def main() -> None:
    stand_in()
    model = build_model()
    model.device = torch.device("cpu")
    rng = np.random.default_rng(11)
    latent, content, start = (torch.from_numpy(rng.standard_normal((2, 4, 8, 6)).astype(np.float32)) for _ in range(3))
    image = torch.from_numpy(rng.uniform(-1, 1, (2, 3, 48, 32)).astype(np.float32))
    draws = rng.standard_normal((10, 2, 4, 8, 6)).astype(np.float32)
    times = torch.tensor([7, 903])
    arrays: dict[str, Any] = {
        "latent": latent, "raw": content, "start": start, "image": image, "draws": draws, "times": times
    }  # fmt: skip
    with torch.no_grad(), model.ema_scope():
        arrays["features"] = style = model.get_style_features(model.vgg(model.vgg_scaling_layer(image)))
        cond = {"c1": model.get_content_features(content), "c2": style}
        arrays["content"] = cond["c1"]
        arrays["noise"] = model.apply_model(latent, times, cond)
        arrays["encoded"] = model.get_first_stage_encoding(model.encode_first_stage(image))
        arrays["decoded"] = model.decode_first_stage(latent.clone())
        for name, scales in (("1_1", (1.0, 1.0)), ("05_1", (0.5, 1.0)), ("1_2", (1.0, 2.0)), ("05_2", (0.5, 2.0))):
            for eta in (0.0, 1.0):
                arrays[f"run_{name}_{eta:g}"] = sample(model, start, cond, draws, *scales, eta)
    np.savez_compressed(HERE / "artfusion.npz", **{key: np.asarray(value) for key, value in arrays.items()})
    torch.save(
        {"epoch": 3, "global_step": 7, "pytorch-lightning_version": "1.5.9", "state_dict": model.state_dict(),
         "optimizer_states": [{"state": {}, "param_groups": []}]},
        sys.argv[1],
    ) if len(sys.argv) > 1 else None  # fmt: skip


if __name__ == "__main__":
    main()
