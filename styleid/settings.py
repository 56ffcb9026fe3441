"""The settings of StyleID."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, Optional

from jstyle.errors import InputError
from jstyle.methods.table import PairInputs
from jstyle.settings.control import ControlSettings
from jstyle.settings.fields import flat, free, later, require
from jstyle.settings.paths import Picture, ResultsFolder
from jstyle.settings.vocabulary import (
    FeatureDtype,
    Fit,
    draw_seed,
    require_at_least,
    require_count,
    require_positive,
    require_share,
    require_size,
    require_steps,
)

Keeping = Literal["auto", "memory", "disk", "recompute"]
_OF_INJECTION = ("gamma", "temperature", "layers", "inject_start", "inject_stop")


@dataclass(frozen=True)
class StyleIDSettings:
    """How StyleID stylises; the defaults are those of the paper's own code."""

    steps: int = 50
    """DDIM steps of the inversions and of the stylisation."""

    gamma: float = 0.75
    """Share of the content's queries: 0 takes the stylised image's own, 1 the content's (0.3: high style)."""

    temperature: float = 1.5
    """Multiplies the attention logits: above 1 sharpens the attention on the style."""

    layers: Optional[tuple[int, ...]] = None
    """Decoder self-attentions to inject into, numbered as in the paper's code; by default the last two blocks', of SDXL
    the last block's.
    """

    inject_start: int = 0
    """First sampling step (0 is the noisiest) whose attention is replaced."""

    inject_stop: Optional[int] = None
    """The sampling step before which replacing stops; by default it goes on to the end."""

    injection: bool = True
    """Replace attention features; off leaves AdaIN of the initial latent alone."""

    adain: bool = True
    """Give the content's inverted latent the style's mean and deviation per channel."""

    adain_eps: float = 0.0
    """Added to the content's deviation: 0 in the paper's code, 1e-4 in its diffusers variant."""

    inversion: Literal["current", "target"] = "current"
    """Where inversion evaluates the noise: at the current time (the paper's code) or at the target."""

    fixed_point: int = later(0)
    """Calls of the UNet that each step of an inversion has more, to come closer to the step that undoes it; with the
    inversion target alone.
    """

    skip_first_step: bool = True
    """Start at the second time, from the latent of the last: what start_step=49 does in the paper's code."""

    vae: Literal["mode", "sample"] = "mode"
    """The latent of an image: the posterior's mode, or a draw by the seed (the paper's code draws, with seed 22)."""

    width: Optional[int] = None
    """Width in pixels; by default the model's own size, at least 256."""

    height: Optional[int] = None
    """Height in pixels; by default the model's own size, at least 256."""

    fit: Fit = "keep"
    """How pictures come to that size: with their own aspect and about that area (keep), without their sides (crop),
    with a mirrored border (pad), out of shape (stretch).
    """

    seed: int = 22
    """Used where vae is sample, nothing else is random; -1 draws one."""

    features: Keeping = free("auto", because="kept or computed again, they are the same bits")
    """Keep attention features in memory, keep them on disk for later runs too, or compute them again each step. auto
    takes the first of these that has room.
    """

    feature_dtype: FeatureDtype = "float16"
    """Precision to which features are rounded."""

    batch_size: int = free(1, because="a picture depends on its batch in last bits alone")
    """Images that go through the UNet together."""

    controls: ControlSettings = flat(ControlSettings)

    def __post_init__(self) -> None:
        require_steps(self.steps, least=2)
        require_share(gamma=self.gamma)
        require_positive(temperature=self.temperature)
        require_size(width=self.width, height=self.height)
        require_at_least(0, adain_eps=self.adain_eps, fixed_point=self.fixed_point)
        require(
            not self.fixed_point or self.inversion == "target",
            "fixed_point must go with inversion target: current is not fed the level at which it arrives",
        )
        require_count(batch_size=self.batch_size)
        draw_seed(self)
        require(self.layers is None or len(self.layers) > 0, "layers must name at least one layer")
        stop = self.steps if self.inject_stop is None else self.inject_stop
        require(
            0 <= self.inject_start < stop <= self.steps,
            f"inject_start and inject_stop must lie in order within the {self.steps} steps, "
            f"not {self.inject_start} and {stop}",
        )
        self._refuse_unused()

    def _refuse_unused(self) -> None:
        """Raise ValueError for what is said of an injection that is off."""
        for field in fields(self):
            said = field.name in _OF_INJECTION and getattr(self, field.name) != field.default
            require(self.injection or not said, f"{field.name} changes nothing without injection: leave it out")

    @property
    def first_step(self) -> int:
        """The sampling step that a stylisation starts with."""
        return int(self.skip_first_step)

    @property
    def injected_steps(self) -> range:
        """The sampling steps whose attention is replaced."""
        if not self.injection:
            return range(0)
        return range(self.inject_start, self.steps if self.inject_stop is None else self.inject_stop)


@dataclass(frozen=True)
class StyleIDInputs(PairInputs):
    """What to work on."""

    control: tuple[Picture, ...] = ()
    """Maps, or pictures that preprocess makes maps of: of each ControlNet one for all contents, or one each, net by
    net; by default preprocess makes them of the contents.
    """

    store: Optional[ResultsFolder] = free(None, because="features are the same wherever they are kept")
    """Where disk features are kept; by default features/ in the output folder."""

    def arguments(self) -> dict[str, Any]:
        """The folder of disk features."""
        return {"store": self.store or self.folder / "features"}

    def check_settings(self, settings: StyleIDSettings) -> None:
        """Raise InputError for a store in which no features are kept."""
        keeps = settings.features in ("auto", "disk") and settings.injection
        if self.store is not None and not keeps:
            raise InputError("store is for features auto or disk, with injection: leave it out")


def check_finish(settings: StyleIDSettings) -> None:
    """Raise ValueError for settings that the finish of a recipe's picture cannot have.

    Features on disk take gigabytes a picture there, and no other picture would read them; there are no maps but those
    that are made of the picture.
    """
    require(settings.features != "disk", "features must be auto, memory or recompute, not disk")
    steered = settings.controls
    require(
        not steered.controlnet or bool(steered.preprocess), "a finish makes the maps of controlnet: give preprocess"
    )
