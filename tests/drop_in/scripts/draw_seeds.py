"""Draws a prompt from two seeds, after JDiffusion's first example."""
# ruff: noqa: I001  (jstyle is imported first: it brings Jittor up as the machine allows)

import sys

from jstyle import StableDiffusionPipeline

import jittor as jt

pipe = StableDiffusionPipeline.from_pretrained(sys.argv[1], dtype=jt.float32, safety_checker=None)
text = ["a red boat on the sea"]
images = pipe(text * 2, height=128, width=128, seed=[20, 30], num_inference_steps=2).images
images[0].save("./output_0.jpg")
images[1].save("./output_1.jpg")
