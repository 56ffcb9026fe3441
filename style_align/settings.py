"""The settings of Style Aligned. Free of the engine, so that a command line is checked before Jittor starts."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Literal, Mapping, Optional, Tuple

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "sd": {"guidance": 7.5},
    "sdxl": {"guidance": 5.0, "share_group_norm": False},
    "image": {"guidance": 10.0, "shared_score_shift": math.log(2)},
    "famous_image": {"guidance": 10.0, "shared_score_scale": 0.5},
    "panorama": {"guidance": 7.5},
    "full_attention": {"guidance": 5.0, "full_attention_share": True, "share_group_norm": False},
}
"""What the notebooks of the paper's code set, by name; the rest is the default of `Sharing`."""


@dataclass(frozen=True)
class Sharing:
    """What a target takes from its reference, and where. ValueError for values that make no sense.

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
    layers: Tuple[int, Optional[int]] = (0, None)
    steps: Tuple[int, Optional[int]] = (0, None)

    def __post_init__(self) -> None:
        _require(math.isfinite(self.shared_score_shift), "shared_score_shift must be a finite number")
        _require(math.isfinite(self.shared_score_scale), "shared_score_scale must be a finite number")
        _require(0.0 <= self.style_strength < math.inf, f"style_strength must not be negative: {self.style_strength}")
        _require(0.0 <= self.only_self_level <= 1.0, f"only_self_level must be from 0 to 1, not {self.only_self_level}")
        for name in ("layers", "steps"):
            start, stop = getattr(self, name)
            _require(start >= 0 and (stop is None or start < stop), f"the shared {name} must lie in order")
        if self.full_attention_share:
            plain = (self.shared_score_shift, self.shared_score_scale, self.style_strength) == (0.0, 1.0, 1.0)
            _require(plain, "full_attention_share must go without shared_score_shift, _scale and style_strength")

    def at(self, step: int) -> bool:
        """Whether anything is shared at this sampling step."""
        start, stop = self.steps
        return self.style_strength > 0 and start <= step and (stop is None or step < stop)


@dataclass(frozen=True)
class StyleAlignSettings:
    """How a set of pictures is made; ValueError for values that make no sense. Unset options follow the preset."""

    preset: Optional[Literal["sd", "sdxl", "image", "famous_image", "panorama", "full_attention"]] = None
    """The settings of a notebook of the paper's code; by default the one that fits: image, panorama or sd."""

    steps: int = 50
    """Sampling steps, and those of an inversion."""

    guidance: Optional[float] = None
    """Classifier-free guidance; 1 turns it off."""

    negative_prompt: str = ""
    """What the pictures should not show; for the reference too."""

    sampler: Optional[Literal["ddim", "ddpm", "pndm", "lms", "euler", "dpmpp_2m"]] = None
    """By default the checkpoint's own."""

    eta: float = 0.0
    """Noise of ddim: 0 none, 1 as much as ddpm."""

    seed: int = 0
    """Picture i of the set has seed + i; the reference is the first."""

    width: Optional[int] = None
    """Width in pixels; the model's own size by default, twice that for a panorama."""

    height: Optional[int] = None
    """Height in pixels; the model's own size by default."""

    batch_size: int = 4
    """Pictures, or windows of a panorama, that go through the UNet together; the result does not depend on it."""

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

    inversion_guidance: float = 2.0
    """Guidance while the picture of a reference is inverted."""

    offset: Optional[int] = None
    """Steps by which an inverted reference is ahead at the start; a tenth of the steps by default (5 of 50)."""

    image_strength: float = 0.8
    """With pictures to start from: the share of the steps that run on them."""

    features: Literal["auto", "memory", "recompute"] = "auto"
    """Keep the reference's features and finish batch after batch, or let all batches go step by step with it."""

    feature_dtype: Literal["float16", "float32"] = "float16"
    """Precision in which keys and values are kept in memory."""

    panorama: bool = False
    """Paint pictures of any size by overlapping windows (MultiDiffusion, arXiv 2302.08113)."""

    window: Optional[int] = None
    """Side of a window in latent pixels; the model's own size by default."""

    stride: int = 8
    """From window to window, in latent pixels."""

    circular: bool = False
    """The right edge of a panorama meets its left edge."""

    def __post_init__(self) -> None:
        _require(self.preset is None or self.preset in PRESETS, f"preset must be one of {', '.join(PRESETS)}")
        _require(1 <= self.steps <= 1000, f"steps must be from 1 to 1000, not {self.steps}")
        for name in ("guidance", "inversion_guidance"):
            value = getattr(self, name)
            _require(value is None or 0.0 <= value < math.inf, f"{name} must not be negative: {value}")
        _require(0.0 <= self.eta <= 1.0, f"eta must be from 0 to 1, not {self.eta}")
        _require(self.seed >= 0, f"seed must not be negative, not {self.seed}")
        for name in ("batch_size", "stride"):
            _require(getattr(self, name) >= 1, f"{name} must be at least 1, not {getattr(self, name)}")
        _require(self.window is None or self.window >= 1, f"window must be at least 1, not {self.window}")
        _require(0.0 < self.step_fraction <= 1.0, f"step_fraction must be over 0, at most 1: {self.step_fraction}")
        _require(0.0 < self.image_strength <= 1.0, f"image_strength must be over 0, at most 1: {self.image_strength}")
        offset = self.steps_ahead
        _require(0 <= offset < self.steps, f"offset must be from 0 to {self.steps - 1}, not {offset}")
        _require(not self.circular or self.panorama, "circular must go with a panorama: give --panorama too")
        for name, stop in (("step_start", self.step_stop), ("layer_start", self.layer_stop)):
            start, most = getattr(self, name), self.steps if name == "step_start" else math.inf
            _require(0 <= start < (most if stop is None else stop) <= most, f"{name} and its stop must lie in order")
        for image in (False, True):
            sharing = self.sharing(image)
            _require(not (sharing.full_attention_share and self.panorama), "a panorama must share less than everything")

    def chosen_preset(self, image: bool) -> str:
        """The preset in use; ``image``: whether the reference is a picture."""
        return self.preset or ("image" if image else "panorama" if self.panorama else "sd")

    def guidance_scale(self, image: bool) -> float:
        """The guidance of the set."""
        return float(PRESETS[self.chosen_preset(image)]["guidance"] if self.guidance is None else self.guidance)

    def sharing(self, image: bool) -> Sharing:
        """The preset with what was set beside it."""
        values = {name: value for name, value in PRESETS[self.chosen_preset(image)].items() if name != "guidance"}
        for field in fields(Sharing):
            own = getattr(self, field.name) if field.name not in ("layers", "steps") else None
            if own is not None:
                values[field.name] = own
        return Sharing(**{**values, "layers": (self.layer_start, self.layer_stop), "steps": self._shared_steps})

    @property
    def steps_ahead(self) -> int:
        """The offset in use."""
        return self.steps // 10 if self.offset is None else self.offset

    @property
    def _shared_steps(self) -> Tuple[int, Optional[int]]:
        if self.step_fraction == 1.0:
            return self.step_start, self.step_stop
        stop = self.steps if self.step_stop is None else self.step_stop
        return self.step_start, self.step_start + max(1, round(self.step_fraction * (stop - self.step_start)))


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)
