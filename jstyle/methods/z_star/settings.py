"""The settings of Z*."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from jstyle.settings.fields import free, require
from jstyle.settings.vocabulary import (
    Fit,
    is_guided,
    require_at_least,
    require_count,
    require_finite,
    require_positive,
    require_share,
    require_size,
    require_steps,
)

GUIDANCE, NULL_TEXT_RATE = 7.5, 1e-2


@dataclass(frozen=True)
class ZStarSettings:
    """How Z* stylises; the defaults are those of the paper's own code, but for its null texts."""

    steps: int = 30
    """DDIM steps of the inversions and of the stylisation."""

    style_scale: float = 1.2
    """Multiplies the attention logits of the style beside the content's own: above 1 draws the content to the style."""

    content_scale: Optional[float] = 1.5
    """The style's picture, which goes through the network beside the content, attends to the content too, whose logits
    are multiplied by this. With null it attends to itself alone, as in the paper.
    """

    content_pull: float = 0.01
    """Share of the content's inverted latent that each step's latent is given: more keeps more of the content."""

    adain: bool = False
    """Give the content's inverted latent the style's mean and deviation per channel first, as StyleID does: more of the
    style's colours. The paper's code does not.
    """

    layers: Optional[tuple[int, ...]] = None
    """Self-attentions to edit, numbered from 0 in the order of execution; by default the last six."""

    inject_start: Optional[int] = None
    """First sampling step (0 is the noisiest) whose attention is edited; by default a sixth of the steps (5 of 30)."""

    inject_stop: Optional[int] = None
    """The sampling step before which editing stops; by default it goes on to the end."""

    null_text: int = 0
    """Updates, at most, of what each step of a content is guided away from, so that guidance alone would bring it back
    (null-text optimisation); 10 in the paper's code, and minutes a content.
    """

    null_text_rate: float = NULL_TEXT_RATE
    """Their learning rate in the first step; it falls to half of it."""

    guidance: float = GUIDANCE
    """Classifier-free guidance, with null_text alone: without it both texts are empty, and it would change nothing."""

    fixed_point: int = 0
    """Calls of the UNet that each step of an inversion has more, to come closer to the step that undoes it."""

    width: Optional[int] = None
    """Width in pixels; by default the model's own size, at least 256."""

    height: Optional[int] = None
    """Height in pixels; by default the model's own size, at least 256."""

    fit: Fit = "keep"
    """How pictures come to that size: with their own aspect and about that area (keep), without their sides (crop),
    with a mirrored border (pad), out of shape (stretch). With keep a style is then cut to each content's shape.
    """

    batch_size: int = free(1, because="a picture depends on its batch in last bits alone")
    """Contents that go through the UNet together, each with its style beside it."""

    def __post_init__(self) -> None:
        require_steps(self.steps)
        require_positive(style_scale=self.style_scale, content_scale=self.content_scale)
        require_share(content_pull=self.content_pull)
        require_size(width=self.width, height=self.height)
        require_at_least(0, fixed_point=self.fixed_point, null_text=self.null_text)
        require_positive(null_text_rate=self.null_text_rate)
        require_finite(guidance=self.guidance)
        require(
            self.null_text == 0 or is_guided(self.guidance),
            "null_text must go with a guidance above 1, or be left at 0",
        )
        said = (self.guidance, self.null_text_rate) != (GUIDANCE, NULL_TEXT_RATE)
        require(
            self.null_text > 0 or not said, "guidance and null_text_rate change nothing without null_text: set it too"
        )
        require_count(batch_size=self.batch_size)
        require(self.layers is None or len(self.layers) > 0, "layers must name at least one layer")
        start, stop = self._bounds
        require(
            0 <= start < stop <= self.steps,
            f"inject_start and inject_stop must lie in order within the {self.steps} steps, not {start} and {stop}",
        )

    @property
    def injected_steps(self) -> range:
        """The sampling steps whose attention is edited."""
        return range(*self._bounds)

    @property
    def _bounds(self) -> tuple[int, int]:
        start = self.steps // 6 if self.inject_start is None else self.inject_start
        return start, self.steps if self.inject_stop is None else self.inject_stop
