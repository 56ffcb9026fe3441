"""The settings of Style Aligned, group by group, and the presets of the paper's code."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Literal, Optional

from jstyle.settings.control import ControlSettings
from jstyle.settings.fields import flat, free, later, require
from jstyle.settings.prompts import PromptSettings
from jstyle.settings.vocabulary import (
    FeatureDtype,
    FixedFit,
    SamplerName,
    Sigmas,
    draw_seed,
    is_guided,
    require_at_least,
    require_count,
    require_curve,
    require_factor,
    require_finite,
    require_share,
    require_size,
    require_steps,
)

PresetName = Literal["sd", "sdxl", "image", "famous_image", "panorama", "full_attention"]


@dataclass(frozen=True)
class Sharing:
    """What targets take from their reference, and where: every choice made.

    The names are those of the paper's code. ``only_self_level``, ``layers`` and ``steps`` choose the self-attentions
    (in the order of execution) and the sampling steps; group norms are shared in all layers of these steps.
    """

    share_attention: bool = True
    adain_queries: bool = True
    adain_keys: bool = True
    adain_values: bool = False
    share_group_norm: bool = True
    full_attention_share: bool = False
    shared_score_shift: float = 0.0
    shared_score_scale: float = 1.0
    style_strength: float = 1.0
    only_self_level: float = 0.0
    layers: tuple[int, Optional[int]] = (0, None)
    steps: tuple[int, Optional[int]] = (0, None)

    def __post_init__(self) -> None:
        require_finite(shared_score_shift=self.shared_score_shift, shared_score_scale=self.shared_score_scale)
        require_at_least(0, style_strength=self.style_strength)
        require_share(only_self_level=self.only_self_level)
        for name in ("layers", "steps"):
            start, stop = getattr(self, name)
            require(start >= 0 and (stop is None or start < stop), f"the shared {name} must lie in order")
        if self.full_attention_share:
            plain = (self.shared_score_shift, self.shared_score_scale, self.style_strength) == (0.0, 1.0, 1.0)
            require(plain, "full_attention_share must go without shared_score_shift, _scale and style_strength")

    def acts_at(self, step: int) -> bool:
        """Whether anything is shared at this sampling step."""
        start, stop = self.steps
        return self.style_strength > 0 and start <= step and (stop is None or step < stop)


PRESETS: Mapping[str, tuple[float, Sharing]] = {
    "sd": (7.5, Sharing()),
    "sdxl": (5.0, Sharing(share_group_norm=False)),
    "image": (10.0, Sharing(shared_score_shift=math.log(2))),
    "famous_image": (10.0, Sharing(shared_score_scale=0.5)),
    "panorama": (7.5, Sharing()),
    "full_attention": (5.0, Sharing(full_attention_share=True, share_group_norm=False)),
}
"""Guidance and sharing of the notebooks of the paper's code, by name."""


@dataclass(frozen=True)
class SamplingSettings:
    """How noise becomes pictures."""

    steps: int = 50
    """Sampling steps, and those of an inversion."""

    guidance: Optional[float] = None
    """Classifier-free guidance, by default the preset's; 1 or less turns it off."""

    negative_prompt: str = ""
    """What the pictures should not show; for the reference too."""

    sampler: Optional[SamplerName] = None
    """By default the checkpoint's own."""

    sigmas: Optional[Sigmas] = later(None)
    """The curve that the sampler's levels follow; by default the checkpoint's spacing."""

    eta: float = 0.0
    """Noise of ddim (0 none, 1 as much as ddpm) and of tcd."""

    seed: int = free(0, because="what a picture is names the seed of each")
    """Picture i of the set has seed + i; the reference is the first. -1 draws one."""

    image_strength: float = 0.8
    """With pictures to start from: the share of the steps that run on them."""

    batch_size: int = free(4, because="the same in any batch but for rounding that auto features leave open")
    """Pictures, or windows of a panorama, that go through the UNet together."""

    def __post_init__(self) -> None:
        require_steps(self.steps)
        require_at_least(0, guidance=self.guidance)
        require_factor(guidance=self.guidance)
        require_share(eta=self.eta)
        require_curve(self.sampler, self.sigmas)
        draw_seed(self)
        require(0.0 < self.image_strength <= 1.0, f"image_strength must be over 0, at most 1: {self.image_strength}")
        require_count(batch_size=self.batch_size)


@dataclass(frozen=True)
class SharingSettings:
    """What pictures take from the reference; what is not set is the preset's."""

    style_strength: float = 1.0
    """0 is plain generation, 1 the method; above 1 the reference gets more attention still."""

    share_attention: Optional[bool] = None
    """Attend to the reference's keys and values too."""

    adain_queries: Optional[bool] = None
    """Give queries the mean and deviation of the reference's."""

    adain_keys: Optional[bool] = None
    """The same for keys."""

    adain_values: Optional[bool] = None
    """The same for values."""

    share_group_norm: Optional[bool] = None
    """Normalise by statistics pooled with the reference's."""

    full_attention_share: Optional[bool] = None
    """All pictures of the set attend to each other, without AdaIN; the set is then one batch."""

    shared_score_shift: Optional[float] = None
    """Added to the logits of the reference's keys."""

    shared_score_scale: Optional[float] = None
    """Multiplies the reference's keys."""


@dataclass(frozen=True)
class PlacesSettings:
    """Where pictures share: layers and steps."""

    only_self_level: float = 0.0
    """Share of the self-attentions, spread over the network, that stay by themselves."""

    layer_start: int = 0
    """First self-attention that shares, in the order of execution."""

    layer_stop: Optional[int] = None
    """The self-attention before which sharing stops; by default it goes on to the last."""

    step_start: int = 0
    """First sampling step that shares (0 is the noisiest)."""

    step_stop: Optional[int] = None
    """The sampling step before which sharing stops; by default it goes on to the end."""

    step_fraction: float = 1.0
    """Share of those steps, from the noisiest on, that really share."""

    def __post_init__(self) -> None:
        require(0.0 < self.step_fraction <= 1.0, f"step_fraction must be over 0, at most 1: {self.step_fraction}")
        for name, start, stop in (
            ("layer_start", self.layer_start, self.layer_stop),
            ("step_start", self.step_start, self.step_stop),
        ):
            require(0 <= start < (math.inf if stop is None else stop), f"{name} and its stop must lie in order")

    def choose_steps(self, steps: int) -> tuple[int, Optional[int]]:
        """The first of so many sampling steps that shares, and the one before which sharing stops."""
        if self.step_fraction == 1.0:
            return self.step_start, self.step_stop
        stop = steps if self.step_stop is None else self.step_stop
        return self.step_start, self.step_start + max(1, round(self.step_fraction * (stop - self.step_start)))


@dataclass(frozen=True)
class ReferenceSettings:
    """How a reference is inverted and kept."""

    inversion_guidance: float = 2.0
    """Guidance while the picture of a reference is inverted."""

    fixed_point: int = later(0)
    """Calls of the UNet that each step of an inversion has more, to come closer to the step that undoes it; with
    inversion_guidance 1 alone, as guided it may run away from there.
    """

    offset: Optional[int] = None
    """Steps by which an inverted reference is ahead at the start; a tenth of the steps by default (5 of 50)."""

    features: Literal["auto", "memory", "recompute"] = "auto"
    """Keep the reference's features and finish batch after batch, or let all batches go step by step with it. What is
    computed again is not rounded to feature_dtype; with auto either is right.
    """

    feature_dtype: FeatureDtype = "float16"
    """Precision in which keys and values are kept in memory."""

    def __post_init__(self) -> None:
        require_at_least(0, inversion_guidance=self.inversion_guidance, fixed_point=self.fixed_point)
        require_factor(inversion_guidance=self.inversion_guidance)
        require(
            not (self.fixed_point and is_guided(self.inversion_guidance)),
            f"fixed_point must go with inversion_guidance 1, not {self.inversion_guidance}: guided it may run away",
        )


@dataclass(frozen=True)
class CanvasSettings:
    """How large pictures are; panoramas."""

    width: Optional[int] = None
    """Width in pixels; the model's own size by default, twice that for a panorama."""

    height: Optional[int] = None
    """Height in pixels; the model's own size by default."""

    fit: FixedFit = "crop"
    """How a reference's picture, and one to start from, comes to the size of the others: without its sides (crop),
    with a mirrored border (pad), out of shape (stretch).
    """

    panorama: bool = False
    """Paint pictures of any size by overlapping windows (MultiDiffusion, arXiv 2302.08113)."""

    window: Optional[int] = None
    """Side of a window in latent pixels; the model's own size by default."""

    stride: int = 8
    """From window to window, in latent pixels."""

    circular: bool = False
    """The right edge of a panorama meets its left edge."""

    def __post_init__(self) -> None:
        require_size(width=self.width, height=self.height)
        require_count(window=self.window, stride=self.stride)
        require(not self.circular or self.panorama, "circular must go with a panorama: give --panorama too")


@dataclass(frozen=True)
class StyleAlignSettings:
    """How a set of pictures is made. What is not set follows the preset."""

    preset: Optional[PresetName] = None
    """The settings of a notebook of the paper's code; by default the one that fits: image, panorama or sd."""

    sampling: SamplingSettings = flat(SamplingSettings)
    reading: PromptSettings = flat(PromptSettings)
    sharing: SharingSettings = flat(SharingSettings)
    places: PlacesSettings = flat(PlacesSettings)
    reference: ReferenceSettings = flat(ReferenceSettings)
    canvas: CanvasSettings = flat(CanvasSettings)
    controls: ControlSettings = flat(ControlSettings)

    def __post_init__(self) -> None:
        require(self.preset is None or self.preset in PRESETS, f"preset must be one of {', '.join(PRESETS)}")
        steps, places = self.sampling.steps, self.places
        require(0 <= self.offset < steps, f"offset must be from 0 to {steps - 1}, not {self.offset}")
        in_order = places.step_start < steps and (places.step_stop is None or places.step_stop <= steps)
        require(in_order, f"step_start and its stop must lie within the {steps} steps")
        for of_picture in (False, True):
            everything = self.choose_sharing(of_picture).full_attention_share
            require(not (everything and self.canvas.panorama), "a panorama must share less than everything")

    @property
    def offset(self) -> int:
        """The steps by which an inverted reference is ahead."""
        return self.sampling.steps // 10 if self.reference.offset is None else self.reference.offset

    def choose_preset(self, of_picture: bool) -> PresetName:
        """The preset that acts; ``of_picture``: whether a reference is a picture."""
        return self.preset or ("image" if of_picture else "panorama" if self.canvas.panorama else "sd")

    def choose_guidance(self, of_picture: bool) -> float:
        """The guidance of the set."""
        guidance = self.sampling.guidance
        return float(PRESETS[self.choose_preset(of_picture)][0] if guidance is None else guidance)

    def choose_sharing(self, of_picture: bool) -> Sharing:
        """The preset's sharing with what is set beside it."""
        values = {field.name: getattr(self.sharing, field.name) for field in fields(SharingSettings)}
        return replace(
            PRESETS[self.choose_preset(of_picture)][1],
            **{name: value for name, value in values.items() if value is not None},
            only_self_level=self.places.only_self_level,
            layers=(self.places.layer_start, self.places.layer_stop),
            steps=self.places.choose_steps(self.sampling.steps),
        )

    def fill(self, of_picture: bool) -> StyleAlignSettings:
        """The same settings with everything set that the preset and the steps decide: what a picture's file says."""
        sharing = self.choose_sharing(of_picture)
        return replace(
            self,
            preset=self.choose_preset(of_picture),
            sampling=replace(self.sampling, guidance=self.choose_guidance(of_picture)),
            sharing=SharingSettings(**{field.name: getattr(sharing, field.name) for field in fields(SharingSettings)}),
            reference=replace(self.reference, offset=self.offset),
        )
