"""Draws each style's prompts with its LoRA: as the style track's teams write it, after JDiffusion's example."""
# ruff: noqa: I001  (jstyle is imported first: it brings Jittor up as the machine allows)

import json
import os
import sys

from jstyle import StableDiffusionPipeline

import jittor as jt

model, dataset_root, max_num = sys.argv[1], sys.argv[2], int(sys.argv[3])

with jt.no_grad():
    for number in range(max_num):
        style = f"{number:0>2d}"
        pipe = StableDiffusionPipeline.from_pretrained(model).to("cuda")
        pipe.load_lora_weights(f"style/style_{style}")

        with open(f"{dataset_root}/{style}/prompt.json") as file:
            prompts = json.load(file)

        for prompt in prompts.values():
            image = pipe(prompt + f" in style_{style}", num_inference_steps=2, width=128, height=128).images[0]
            os.makedirs(f"./output/{style}", exist_ok=True)
            image.save(f"./output/{style}/{prompt}.png")
