#!/usr/bin/env bash
# diffusers 0.42.1, transformers 5.23.0, torch 2.13.0
#
# Guess: the vector of a text that SDXL's second text encoder gives is read at the text's end, also where the text has a
# learnt word.
#
# Seen: it is read at the word. SDXL's configuration, as all old ones of CLIP, names 2 as eos_token_id; there transformers
# looks for the largest id, which is the end's (49407), until load_textual_inversion adds a token behind it. What comes
# after the word then changes nothing of the vector, and with the real id in the configuration it does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet diffusers==0.42.1 transformers==5.23.0 torch==2.13.0 accelerate==1.15.0
"$folder/venv/bin/python" - <<'PYTHON'
import torch
from diffusers.loaders import TextualInversionLoaderMixin
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer


class Loader(TextualInversionLoaderMixin):
    """As much of a pipeline as the loading of a word needs."""

    components, hf_device_map = {}, None


vocab = {"a</w>": 0, "b</w>": 1, "<|startoftext|>": 2, "<|endoftext|>": 3}


def differ(end):
    """How far the vectors of two texts are apart that differ behind a learnt word."""
    torch.manual_seed(0)
    tokenizer = CLIPTokenizer(vocab=vocab, merges=[], model_max_length=8)
    config = CLIPTextConfig(
        vocab_size=4, hidden_size=32, intermediate_size=32, num_attention_heads=2, num_hidden_layers=2,
        max_position_embeddings=8, bos_token_id=0, eos_token_id=end, projection_dim=32,
    )
    encoder = CLIPTextModelWithProjection(config).eval()
    Loader().load_textual_inversion({"<ink>": torch.randn(1, 32)}, text_encoder=encoder, tokenizer=tokenizer)
    ids = tokenizer(["<ink> a", "<ink> b"], padding="max_length", max_length=8, return_tensors="pt").input_ids
    with torch.no_grad():
        one, other = encoder(ids).text_embeds
    return float((one - other).norm() / one.norm())


hub, real = differ(2), differ(3)
print(f"'<ink> a' and '<ink> b' are {hub:.1e} apart with the hub's eos_token_id, {real:.1e} with the end's own")
assert hub == 0 and real > 1e-3, (hub, real)
PYTHON
