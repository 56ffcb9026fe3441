#!/usr/bin/env bash
# diffusers 0.42.1, torch 2.13.0
#
# Guess: latents= of StableDiffusionInpaintPipeline is the noise of the run, as in text-to-image; at strength 0.4 the
# picture is noised with it to the level at which the run begins.
#
# Seen: that holds for noise that the pipeline draws itself. With latents= the first sample is those latents as they are,
# pure noise, at any strength, and the scheduler takes it for a sample at the level of strength 0.4. What the mask leaves
# is put back from the picture, so only the painted part suffers.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet diffusers==0.42.1 transformers==5.23.0 torch==2.13.0 accelerate==1.15.0
"$folder/venv/bin/python" - <<'PYTHON'
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionInpaintPipeline, UNet2DConditionModel

torch.manual_seed(0)
unet = UNet2DConditionModel(
    sample_size=8, block_out_channels=(32, 32), layers_per_block=1, cross_attention_dim=32, attention_head_dim=2,
    down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
)
vae = AutoencoderKL(block_out_channels=(32,), norm_num_groups=32)
scheduler = DDIMScheduler(clip_sample=False, steps_offset=1)
pipe = StableDiffusionInpaintPipeline(
    vae=vae, text_encoder=None, tokenizer=None, unet=unet, scheduler=scheduler, safety_checker=None,
    feature_extractor=None, requires_safety_checker=False,
)
pipe.set_progress_bar_config(disable=True)
first = {}


def note(module, given):
    first.setdefault("x", given[0].clone())


unet.register_forward_pre_hook(note)
picture, mask = torch.full((1, 3, 8, 8), 0.9), torch.ones(1, 1, 8, 8)
common = dict(
    prompt_embeds=torch.zeros(1, 4, 32), guidance_scale=1.0, num_inference_steps=10, strength=0.4, height=8, width=8,
    output_type="latent", image=picture, mask_image=mask,
)
noise = torch.randn(1, 4, 8, 8)
with torch.no_grad():
    clean = vae.encode(2 * picture - 1).latent_dist.mode() * vae.config.scaling_factor
    pipe(latents=noise, **common)
begun = first.pop("x")
print("the first sample is latents=:", torch.equal(begun, noise))
wanted = scheduler.add_noise(clean, noise, scheduler.timesteps[6:7])
print("distance to the noised picture:", round(float((begun - wanted).abs().max()), 3))
assert torch.equal(begun, noise) and (begun - wanted).abs().max() > 0.1
with torch.no_grad():
    pipe(generator=torch.Generator().manual_seed(1), **common)
share = float(first.pop("x").std())
print("spread of the first sample that is drawn:", round(share, 3))
assert share < 0.9, share
PYTHON
