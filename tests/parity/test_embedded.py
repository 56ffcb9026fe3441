"""The embedded model against PyTorch diffusers on the same folder."""

from __future__ import annotations

from pathlib import Path

import jstyle
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from tests.parity.networks import golden, relative_error
from tests.parity.test_pipelines import psnr

FOLDER = Path(jstyle.__file__).parent / "embedded" / "tiny"


def test_diffusers_makes_the_same_picture() -> None:
    """Recorded by tests/golden/record_tiny.py; after a change of the folder it is to be run again."""
    recorded = golden("embedded")
    settings = {name: recorded[name].item() for name in ("prompt", "guidance_scale", "num_inference_steps")}
    pipe = StableDiffusionPipeline.from_pretrained("tiny")
    latents = pipe(**settings, latents=recorded["init_latents"], output_type="latent").images
    assert relative_error(latents, recorded["latents"]) < 1e-3
    picture = pipe(**settings, latents=recorded["init_latents"], output_type="np").images
    assert psnr(picture, recorded["image"]) > 60


def test_it_is_small() -> None:
    assert sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()) <= 40_000_000
