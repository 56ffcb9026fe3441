"""The settings of the recipe; those of the shipped model are in ``configs/tiny.yaml``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Optional

from jstyle.networks.config import CLIPTextConfig, CLIPVisionConfig, UNetConfig, VAEConfig
from jstyle.training.settings import LoopSettings, LossSettings

Stage = Literal["pictures", "tokenizer", "clip", "vae", "latents", "unet", "package"]
STAGES: tuple[Stage, ...] = ("pictures", "tokenizer", "clip", "vae", "latents", "unet", "package")


@dataclass(frozen=True)
class PictureSettings:
    """What is drawn for training, which never includes the held-out pairs of object and technique."""

    count: int = 1000
    """Drawings; 48 KiB of disk each at 128 pixels."""

    size: int = 128
    """Pixels along a side, a multiple of 32."""

    seed: int = 0
    """Decides the scenes."""

    icons: float = 0.0
    """The share of pictures that show icons of real families, which are fetched; see ``icons/NOTICE.md``."""

    sceneries: float = 0.0
    """The share of pictures that show a scenery with nothing in it; drawings are the rest."""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"pictures.count must be at least 1, not {self.count}")
        if self.size < 32 or self.size % 32:
            raise ValueError(f"pictures.size must be a multiple of 32, not {self.size}")
        if min(self.icons, self.sceneries) < 0 or self.icons + self.sceneries > 1:
            raise ValueError("pictures.icons and pictures.sceneries are shares: from 0, and together at most 1")


@dataclass(frozen=True)
class ClipSettings:
    """The two towers, trained to match captions with pictures (arXiv 2103.00020, figure 3)."""

    text: CLIPTextConfig = field(default_factory=CLIPTextConfig)
    """The text tower; the tokenizer's ids and size are filled in."""

    vision: CLIPVisionConfig = field(default_factory=CLIPVisionConfig)
    """The vision tower; it projects to the text tower's width."""

    batch: int = 128
    """Pairs of caption and picture in a batch, among which each picture's caption must be found."""

    loop: LoopSettings = field(default_factory=LoopSettings)
    """How it is trained."""


@dataclass(frozen=True)
class VaeSettings:
    """The autoencoder and the weights of its loss; see ``autoencoder.py``."""

    network: VAEConfig = field(default_factory=lambda: VAEConfig(scaling_factor=1.0))
    """The network; its latents are given unit scale from within."""

    batch: int = 32
    """Crops a step."""

    crop: int = 64
    """Pixels along a crop's side. Every fourth step sees whole pictures instead, with as many pixels as the crops."""

    chroma: float = 2.0
    """The weight of errors of colour, relative to those of brightness."""

    contrast: float = 0.5
    """The weight of differences in local contrast."""

    kl: float = 1e-4
    """The weight of the posterior's divergence from a standard normal, a mean over the latent's numbers."""

    loop: LoopSettings = field(default_factory=LoopSettings)
    """How it is trained."""

    def __post_init__(self) -> None:
        if self.network.scaling_factor != 1:
            raise ValueError(f"vae.network.scaling_factor must be 1, not {self.network.scaling_factor}")


@dataclass(frozen=True)
class UnetSettings:
    """The denoiser, which reads captions with the text tower trained before."""

    network: UNetConfig = field(default_factory=UNetConfig)
    """The network."""

    batch: int = 32
    """Latents a step."""

    caption_dropout: float = 0.1
    """The share of examples that lose their caption, for guidance (arXiv 2207.12598)."""

    loss: LossSettings = field(default_factory=LossSettings)
    """How noise levels are drawn and weighted."""

    loop: LoopSettings = field(default_factory=LoopSettings)
    """How it is trained."""

    sample_every: int = 1000
    """Steps between two sheets of samples."""


@dataclass(frozen=True)
class TinySettings:
    """The whole recipe."""

    output: Path = Path("runs/tiny")
    """Folder for all stages; a run continues from what is there."""

    stages: Optional[tuple[Stage, ...]] = None
    """Which stages to run; by default all that are not finished."""

    start: Optional[str] = None
    """A model from which training goes on: its tokenizer is made larger, CLIP and the denoiser begin with its weights,
    and its autoencoder is kept. By default all begins at random."""

    pictures: PictureSettings = field(default_factory=PictureSettings)
    """The pictures."""

    vocabulary: int = 1024
    """Tokens of the tokenizer, of which 514 are letters and marks."""

    clip: ClipSettings = field(default_factory=ClipSettings)
    """CLIP."""

    vae: VaeSettings = field(default_factory=VaeSettings)
    """The autoencoder."""

    unet: UnetSettings = field(default_factory=UnetSettings)
    """The denoiser."""
