"""Which networks are loaded, and how they compute: the same wherever a model is named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Optional

from jstyle.settings.fields import free
from jstyle.settings.paths import ReadFile, Source, require_paths
from jstyle.settings.vocabulary import Backend, Precision, PredictionType

_BY_HASH = "the weights' hash stands for it"


class NamesModel:
    """Settings that name a model, and by "module:attribute" what is done with it."""

    model: Any

    pipeline: ClassVar[str]
    """The class whose ``from_settings`` loads it."""

    counting: ClassVar[str]
    """The class whose ``from_settings`` reads sizes and digests, and stands for it where a run is counted."""

    locate: ClassVar[str]
    """The function of these settings that raises InputError where there is no such model; it reads no weights."""

    describe: ClassVar[str]
    """The function of these settings that tells its digests (`jstyle.weights.description.Checkpoint`)."""


@dataclass(frozen=True)
class ModelSettings(NamesModel):
    """Which networks, and how they compute."""

    pipeline: ClassVar[str] = "jstyle.pipelines.stable_diffusion:StableDiffusionPipeline"
    counting: ClassVar[str] = "jstyle.pipelines.cost:CountingPipeline"
    locate: ClassVar[str] = "jstyle.weights.model_files:locate_model"
    describe: ClassVar[str] = "jstyle.weights.description:describe_checkpoint"

    model: Source = free("tiny", because=_BY_HASH)
    """A folder in diffusers' layout, a single .safetensors file, a hub id, or tiny, the embedded model."""

    revision: Optional[str] = free(None, because=_BY_HASH)
    """Commit or branch of a hub id."""

    variant: Optional[str] = free(None, because=_BY_HASH)
    """fp16 reads the half-precision files of a model."""

    vae_weights: Optional[Source] = free(None, because=_BY_HASH)
    """A VAE in the place of the model's own: a .safetensors file, a folder or a hub id."""

    base_model: Optional[Source] = free(None, because=_BY_HASH)
    """The folder or hub id whose tokenizer, configurations and networks a single file takes that has none."""

    prediction_type: Optional[PredictionType] = free(None, because="the model's configuration stands for it")
    """What the UNet predicts, where a single file does not say it."""

    precision: Precision = "fp32"
    """bf16 runs the UNet faster, in half the memory, on processors with AVX-512 BF16; fp16 does on a GPU."""

    backend: Backend = "native"
    """Whose networks compute: this project's, or JDiffusion's where it is installed."""

    vae_tiling: bool = False
    """Decode large images in tiles, in the memory that one tile takes."""

    def __post_init__(self) -> None:
        require_paths(model=self.model, vae_weights=self.vae_weights, base_model=self.base_model)


@dataclass(frozen=True)
class ArtFusionModelSettings(NamesModel):
    """A model of ArtFusion's, which is one file."""

    pipeline: ClassVar[str] = "jstyle.pipelines.artfusion:ArtFusionPipeline"
    counting: ClassVar[str] = "jstyle.pipelines.artfusion:CountingArtFusion"
    locate: ClassVar[str] = "jstyle.weights.artfusion:locate_artfusion"
    describe: ClassVar[str] = "jstyle.weights.artfusion:describe_artfusion"
    precision: ClassVar[Precision] = "fp32"
    backend: ClassVar[Backend] = "native"

    model: ReadFile = free(because=_BY_HASH)
    """A .safetensors file; `jstyle convert` makes it of the paper's artfusion_r12_step=317673.ckpt."""

    vae_tiling: bool = False
    """Encode and decode large images in tiles, in the memory that one tile takes."""
