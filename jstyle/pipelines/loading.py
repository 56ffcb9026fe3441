"""The model that settings name, loaded."""

from __future__ import annotations

from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.settings.model import ModelSettings


def load_pipeline(model: ModelSettings) -> StableDiffusionPipeline:
    """Raises InputError where the model is missing, damaged, or of a kind that cannot compute here."""
    pipe = StableDiffusionPipeline.from_pretrained(
        model.model,
        revision=model.revision,
        variant=model.variant,
        precision=model.precision,
        backend=model.backend,
    )
    if model.vae_tiling:
        pipe.enable_vae_tiling()
    return pipe
