"""Which networks are loaded, and how they compute: the same wherever a model is named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from jstyle.settings.fields import free
from jstyle.settings.vocabulary import Backend, Precision, PredictionType

_BY_HASH = "the weights' hash stands for it"


@dataclass(frozen=True)
class ModelSettings:
    """Which networks, and how they compute."""

    model: str = free("tiny", because=_BY_HASH)
    """A folder in diffusers' layout, a single .safetensors file, a hub id, or tiny, the embedded model."""

    revision: Optional[str] = free(None, because=_BY_HASH)
    """Commit or branch of a hub id."""

    variant: Optional[str] = free(None, because=_BY_HASH)
    """fp16 reads the half-precision files of a model."""

    vae_weights: Optional[str] = free(None, because=_BY_HASH)
    """A VAE in the place of the model's own: a .safetensors file, a folder or a hub id."""

    base_model: Optional[str] = free(None, because=_BY_HASH)
    """The folder or hub id whose tokenizer, configurations and networks a single file takes that has none."""

    prediction_type: Optional[PredictionType] = free(None, because="the model's configuration stands for it")
    """What the UNet predicts, where a single file does not say it."""

    precision: Precision = "fp32"
    """bf16 runs the UNet faster, in half the memory, on processors with AVX-512 BF16; fp16 does on a GPU."""

    backend: Backend = "native"
    """Whose networks compute: this project's, or JDiffusion's where it is installed."""

    vae_tiling: bool = False
    """Decode large images in tiles, in the memory that one tile takes."""
