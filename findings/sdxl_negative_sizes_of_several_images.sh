#!/usr/bin/env bash
# diffusers 0.42.1, transformers 5.23.0, torch 2.13.0
#
# Guess: with StableDiffusionXLPipeline an image of a prompt is the same whether one or two are made in the call, from the
# same noise, also where negative_original_size and negative_target_size are given.
#
# Seen: it is another. The pipeline joins the negative row of size numbers and the prompt's, and repeats both for each
# image: negative, positive, negative, positive; embeddings are negative, negative, positive, positive. So of two images
# each half has both. Without negative sizes the rows are alike and the two calls agree; with one image they agree too,
# and image-to-image, which repeats before it joins, is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet diffusers==0.42.1 transformers==5.23.0 torch==2.13.0 accelerate==1.15.0
"$folder/venv/bin/python" - <<'PYTHON'
import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

torch.manual_seed(0)
vocab = {"<|startoftext|>": 0, "<|endoftext|>": 1, "a</w>": 2}
tokenizer = CLIPTokenizer(vocab=vocab, merges=[], model_max_length=8)
text = CLIPTextConfig(
    vocab_size=3, hidden_size=32, intermediate_size=32, num_attention_heads=2, num_hidden_layers=2,
    max_position_embeddings=8, bos_token_id=0, eos_token_id=1, projection_dim=32,
)
pipe = StableDiffusionXLPipeline(
    vae=AutoencoderKL(block_out_channels=(32,), norm_num_groups=32),
    text_encoder=CLIPTextModel(text).eval(),
    text_encoder_2=CLIPTextModelWithProjection(text).eval(),
    tokenizer=tokenizer,
    tokenizer_2=tokenizer,
    unet=UNet2DConditionModel(
        sample_size=8, block_out_channels=(32, 32), layers_per_block=1, cross_attention_dim=64, attention_head_dim=2,
        norm_num_groups=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        addition_embed_type="text_time", addition_time_embed_dim=8, projection_class_embeddings_input_dim=32 + 6 * 8,
    ),
    scheduler=EulerDiscreteScheduler(timestep_spacing="leading", steps_offset=1),
    add_watermarker=False,
)
pipe.set_progress_bar_config(disable=True)
noise = torch.randn(1, 4, 8, 8)


def differ(**sizes):
    common = dict(num_inference_steps=2, height=8, width=8, output_type="latent", **sizes)
    one = pipe("a", latents=noise, **common).images
    two = pipe("a", latents=noise.repeat(2, 1, 1, 1), num_images_per_prompt=2, **common).images
    return float((two - one).norm() / one.norm())


plain, sized = differ(), differ(negative_original_size=(512, 512), negative_target_size=(1024, 1024))
print(f"one image against the first of two: without negative sizes {plain:.1e} apart, with them {sized:.1e}")
assert plain < 1e-5 and sized > 1e-4, (plain, sized)
PYTHON
