"""Settings of every kind that the reader has to know."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Optional, Union

from jstyle.settings.fields import flat, free
from jstyle.settings.model import ModelSettings


@dataclass(frozen=True)
class Loop:
    """How often and how fast."""

    steps: int = 1000
    """Updates."""

    rate: float = 1e-3
    """The learning rate."""

    clip: Optional[float] = 1.0
    """The largest norm."""

    checkpoint_every: int = free(500, because="it decides when a file is written")
    """Updates between two files."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, not {self.steps}")


@dataclass(frozen=True)
class Quick(Loop):
    """A loop of few updates."""

    steps: int = 10
    """Few updates."""


@dataclass(frozen=True)
class Inner:
    """A group of settings."""

    width: int = 3


@dataclass(frozen=True)
class Everything:
    """Settings of every kind of value."""

    content: tuple[Path, ...]
    """Pictures, 100% of them,
    from files or folders."""
    layers: tuple[int, ...] = (6, 7)
    """Which layers."""
    size: tuple[int, int] = (512, 512)
    """Width and height in pixels."""
    gamma: float = 0.75
    """How much of the content is kept."""
    features: Literal["memory", "disk"] = "memory"
    """Where features are kept."""
    mask: Optional[Path] = None
    """A mask."""
    seed: Optional[int] = None
    """A seed."""
    adain: bool = True
    """Adjust the statistics."""
    share: Optional[bool] = None
    """Share, or let the preset decide."""
    prompt: str = ""
    """Words."""
    inner: Inner = Inner()
    """A group."""

    def __post_init__(self) -> None:
        if self.gamma < 0:
            raise ValueError(f"gamma is {self.gamma}:\nit must be at least 0")


@dataclass(frozen=True)
class Job:
    """What a command adds."""

    output: Path = free(Path("out"), because="where a result lies is not what it is")
    """Where the pictures go."""


@dataclass(frozen=True)
class Adapter:
    """Something that has a required setting."""

    kind: str
    train: Optional[dict[str, Any]] = None


@dataclass(frozen=True)
class Picture:
    """Lists of settings, settings that may be left out, and one of two types."""

    seed: Union[int, tuple[int, ...]] = 0
    start: Optional[Inner] = None
    adapters: tuple[Adapter, ...] = ()
    weights: dict[str, float] = field(default_factory=dict)
    sampler: Optional[Literal["ddim", "euler"]] = None
    shift: tuple[int, Optional[int]] = (0, None)
    layers: Optional[tuple[int, ...]] = None
    factor: Literal[1, 2] = 1


@dataclass(frozen=True)
class Training(Job):
    """A dataclass within, whose defaults are the holder's, and one at the same level."""

    rank: int = 4
    model: ModelSettings = flat(ModelSettings, precision="bf16")
    loop: Loop = field(default_factory=lambda: Loop(steps=500, rate=1e-4))
    """How it is trained."""


@dataclass(frozen=True)
class Whole:
    """Dataclasses at one level, one of which has a required setting, and one of which holds another."""

    everything: Everything = flat(Everything, gamma=0.5)
    training: Training = flat(Training, rank=8)


SAMPLES = (
    Everything((Path("a"),)),
    Everything((Path("a b.png"), Path("12"), Path("null")), (), (1, 2), 3e-7, "disk", Path("m"), 7, False, True, "yes"),
    Everything((Path("ä"),), prompt="1e-3 : {a}\n# 2020-01-01 😀", inner=Inner(9), share=False, mask=Path("12")),
    Picture(
        (1, 2), Inner(2), (Adapter("lora", {"a": [1, {"b": None}], "c": 0.5}), Adapter("word")), {"x": 1.5}, "euler"
    ),
    Picture(shift=(3, 5), layers=(), factor=2),
    Training(Path("there"), 2, ModelSettings("a/b", "main", precision="fp16"), Loop(3, 0.5, None)),
    Whole(Everything((Path("c"),)), Training(loop=Loop(2))),
)
