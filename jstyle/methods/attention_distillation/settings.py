"""The settings and inputs of Attention Distillation, and what one of its textures is of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from jstyle.methods.table import require_single
from jstyle.settings.fields import free, require
from jstyle.settings.paths import Pictures, Results, choose_folder
from jstyle.settings.vocabulary import (
    MOST_THINGS,
    Fit,
    draw_seed,
    require_at_least,
    require_count,
    require_positive,
    require_size,
    require_steps,
)


@dataclass(frozen=True)
class Distillation:
    """How latents are moved towards a style; what a run of them is, whoever holds these settings says."""

    steps: int = 200
    """Times that are gone through, from the noisiest to the clean end."""

    iterations: int = 1
    """Updates of the latent at each time."""

    rate: float = 0.05
    """The learning rate (Adam)."""

    layers: Optional[tuple[int, ...]] = None
    """Self-attentions that are compared, counted from 0 as they are run; by default the last six."""

    temperature: float = 1.0
    """Multiplies the logits of the attention to the style: above 1 it looks more sharply."""

    width: Optional[int] = None
    """Width in pixels; the model's own size by default."""

    height: Optional[int] = None
    """Height in pixels; the model's own size by default."""

    fit: Fit = "keep"
    """How pictures come to that size: with their own aspect and about that area (keep), without their sides (crop),
    with a mirrored border (pad), out of shape (stretch).
    """

    style_size: Optional[int] = None
    """Side in pixels that a style comes to, whatever is made of it; by default the model's own. Its strokes come
    along.
    """

    seed: int = free(0, because="what a picture is names it")
    """Decides the noise where one starts from it; -1 draws one."""

    recompute: bool = False
    """Keep only the blocks' inputs for the gradient, and compute the blocks again: less memory, more time. Last bits
    are others, and many updates make them visible.
    """

    def __post_init__(self) -> None:
        require_steps(self.steps)
        require_count(iterations=self.iterations)
        require_positive(rate=self.rate, temperature=self.temperature)
        require(self.layers is None or len(self.layers) > 0, "layers must name at least one layer")
        require_at_least(0, **{f"layer {layer}": layer for layer in self.layers or ()})
        require_size(width=self.width, height=self.height, style_size=self.style_size)
        draw_seed(self)


@dataclass(frozen=True)
class AttentionDistillationSettings(Distillation):
    """How contents come into styles, and styles become textures; the defaults are those of the paper's code."""

    content_weight: float = 0.25
    """How much the content's queries count beside the style: 0 leaves the content where one starts, and no more."""

    batch_size: int = free(1, because="a content's result does not depend on those beside it")
    """Contents that go through the UNet together."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(0, content_weight=self.content_weight)
        require_count(batch_size=self.batch_size)


@dataclass(frozen=True)
class AttentionDistillationInputs:
    """What to work on."""

    style: tuple[Pictures, ...]
    """Pictures, or folders of pictures, whose style is taken."""

    output: Results
    """Folder for the results, made where it is missing; of a single picture its file, which ends in .png."""

    content: tuple[Pictures, ...] = ()
    """Pictures to be stylised, or folders of them; without any the styles become textures."""

    mix: tuple[float, ...] = ()
    """Take the styles together as one, with these weights, one each."""

    images: int = 1
    """Textures of each style, with seeds that count up."""

    overwrite: bool = free(False, because="asks for the same picture again")
    """Make finished pictures again."""

    def __post_init__(self) -> None:
        require_weights(self.mix)
        require_count(images=self.images)
        styles = self.style[:1] if self.mix else self.style
        require_single(self.output, self.content or styles, styles)
        require(self.images == 1 or self.output.suffix != ".png", f"{str(self.output)!r} is one file: name a folder")

    @property
    def folder(self) -> Path:
        """Where pictures go."""
        return choose_folder(self.output)


@dataclass(frozen=True)
class TextureSubject:
    """A texture of a style, by the hash of its file."""

    style: str
    seed: int
    style_file: str = free("", because="the hash stands for it")


def require_weights(weights: Sequence[float]) -> None:
    """Raise ValueError for weights of styles that are not positive, and for more than there can be styles."""
    require(len(weights) <= MOST_THINGS, f"mix must be at most {MOST_THINGS} weights")
    require_positive(**{f"mix of style {number}": weight for number, weight in enumerate(weights, 1)})
