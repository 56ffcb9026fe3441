"""The options by which a script is told its model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, Literal, Optional

if TYPE_CHECKING:
    from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline


@dataclass(frozen=True)
class ModelOptions:
    """Which networks, and how they compute."""

    model: str = "tiny"
    """A folder in diffusers' layout, a hub id, or tiny, the embedded model."""

    revision: Optional[str] = None
    """Commit or branch of a hub id."""

    variant: Optional[str] = None
    """fp16 reads the half-precision files of a model."""

    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """bf16 runs the UNet faster, in half the memory, on processors with AVX-512 BF16; fp16 does on a GPU."""

    backend: Literal["native", "jdiffusion"] = "native"
    """Whose networks compute: this project's, or JDiffusion's where it is installed (docs/jdiffusion.md)."""

    vae_tiling: bool = False
    """Decode large images in tiles, in the memory that one tile takes."""

    def pipeline(self) -> StableDiffusionPipeline:
        """The model, loaded. Raises InputError where it cannot be."""
        from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline

        pipe = StableDiffusionPipeline.from_pretrained(
            self.model,
            revision=self.revision,
            variant=self.variant,
            precision=self.precision,
            backend=self.backend,
        )
        if self.vae_tiling:
            pipe.enable_vae_tiling()
        return pipe

    def recorded(self, model_hash: str) -> Dict[str, object]:
        """What a picture's file says of the model that made it."""
        chosen = {"precision": self.precision, "backend": self.backend, "vae_tiling": self.vae_tiling}
        return {"model": self.model, "model_hash": model_hash, **chosen}


def in_the_recipes_place(settings: Any) -> Dict[str, str]:
    """What a command line says of the model, over what its recipe says."""
    return {name: value for name in ("model", "backend") if (value := getattr(settings, name)) is not None}
