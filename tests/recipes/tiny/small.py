"""The recipe at a size that runs in seconds."""

from __future__ import annotations

from pathlib import Path

from jstyle.networks.config import CLIPTextConfig, CLIPVisionConfig, UNetConfig, VAEConfig
from jstyle.training import LoopSettings
from recipes.tiny.settings import ClipSettings, PictureSettings, TinySettings, UnetSettings, VaeSettings

LOOP = LoopSettings(steps=3, rate=1e-3, ema=0.9, checkpoint_every=2)


def settings(output: Path, **changes: object) -> TinySettings:
    values: dict = {
        "output": output,
        "pictures": PictureSettings(count=24, size=32),
        "vocabulary": 560,
        "clip": ClipSettings(
            CLIPTextConfig(hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2),
            CLIPVisionConfig(16, 32, 16, 1, 2, image_size=32, patch_size=8),
            batch=6,
            loop=LOOP,
        ),
        "vae": VaeSettings(
            VAEConfig(
                down_block_types=("DownEncoderBlock2D",) * 2,
                up_block_types=("UpDecoderBlock2D",) * 2,
                block_out_channels=(8, 16),
                latent_channels=4,
                norm_num_groups=1,
                sample_size=32,
                scaling_factor=1.0,
            ),
            batch=4,
            crop=16,
            loop=LOOP,
        ),
        "unet": UnetSettings(
            UNetConfig(
                sample_size=16,
                down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
                up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
                block_out_channels=(8, 8),
                layers_per_block=1,
                norm_num_groups=4,
                cross_attention_dim=16,
                attention_head_dim=2,
                use_linear_projection=True,
            ),
            batch=4,
            loop=LOOP,
            sample_every=2,
        ),
    }
    return TinySettings(**{**values, **changes})
