#!/usr/bin/env bash
# diffusers 0.42.1, transformers 5.23.0, torch 2.13.0
#
# Guess: clip_skip=1 leaves the last layer of the text encoder out, with any transformers that diffusers installs beside.
#
# Seen: AttributeError, 'CLIPTextModel' object has no attribute 'text_model'. The pipeline asks the text encoder for
# text_model.final_layer_norm, and under transformers 5 a CLIPTextModel has its layers in itself. Without clip_skip the
# same call runs; so does it once the name is there again.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet diffusers==0.42.1 transformers==5.23.0 torch==2.13.0 accelerate==1.15.0
"$folder/venv/bin/python" - <<'PYTHON'
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

torch.manual_seed(0)
vocab = {"<|startoftext|>": 0, "<|endoftext|>": 1, "a</w>": 2}
text = CLIPTextConfig(
    vocab_size=3, hidden_size=32, intermediate_size=32, num_attention_heads=2, num_hidden_layers=2,
    max_position_embeddings=8, bos_token_id=0, eos_token_id=1,
)
pipe = StableDiffusionPipeline(
    vae=AutoencoderKL(block_out_channels=(32,), norm_num_groups=32),
    text_encoder=CLIPTextModel(text).eval(),
    tokenizer=CLIPTokenizer(vocab=vocab, merges=[], model_max_length=8),
    unet=UNet2DConditionModel(
        sample_size=8, block_out_channels=(32, 32), layers_per_block=1, cross_attention_dim=32, attention_head_dim=2,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    ),
    scheduler=DDIMScheduler(clip_sample=False, steps_offset=1),
    safety_checker=None,
    feature_extractor=None,
    requires_safety_checker=False,
)
pipe.set_progress_bar_config(disable=True)
common = dict(num_inference_steps=1, height=8, width=8, output_type="latent")
print("without clip_skip:", tuple(pipe("a", **common).images.shape))
try:
    pipe("a", clip_skip=1, **common)
    raise SystemExit("clip_skip works now")
except AttributeError as error:
    print("with clip_skip:", error)
    assert "text_model" in str(error), error
CLIPTextModel.text_model = property(lambda model: model)
print("with the name back:", tuple(pipe("a", clip_skip=1, **common).images.shape))
PYTHON
