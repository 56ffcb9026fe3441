"""ControlNets that steer pictures by maps: the same wherever a method can be steered."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple, Optional

from jstyle.settings.fields import free, later, require
from jstyle.settings.paths import Source
from jstyle.settings.vocabulary import Preprocessor, require_finite, require_window


class ControlChoice(NamedTuple):
    """What is asked of one net, by its name; without ``preprocess`` its map is ready."""

    net: str
    preprocess: Optional[Preprocessor]
    scale: float
    start: float
    end: float


@dataclass(frozen=True)
class ControlSettings:
    """ControlNets (arXiv 2302.05543); each has a map of its own, and a number of its own where one is not for all."""

    controlnet: tuple[Source, ...] = free((), because="the nets' own digests stand for them")
    """ControlNets: folders, single .safetensors files, or hub ids."""

    preprocess: tuple[Preprocessor, ...] = later(())
    """What makes the maps of the pictures in control; by default these are maps already."""

    control_scale: tuple[float, ...] = later((1.0,))
    """How strongly nets steer; one that steers by 0 is not computed."""

    control_start: tuple[float, ...] = later((0.0,))
    """The share of the steps after which they do."""

    control_end: tuple[float, ...] = later((1.0,))
    """The share of the steps up to which they do."""

    guess_mode: bool = later(False)
    """Steer the conditional half alone, most of all its coarse maps, so that maps are enough without a text."""

    def __post_init__(self) -> None:
        count = len(self.controlnet)
        for field in fields(self):
            given = getattr(self, field.name)
            if field.name == "controlnet" or given == field.default:
                continue
            require(count > 0, f"{field.name} is for ControlNets: give controlnet too")
            if isinstance(given, tuple):
                require(len(given) in (1, count), f"{field.name} has {len(given)} for {count} ControlNets: one each")
        require(all(name.strip() for name in self.controlnet), "controlnet names folders or files, not nothing")
        for choice in self.list_choices():
            require_finite(control_scale=choice.scale)
            require_window(choice.start, choice.end, "control_")

    def list_choices(self) -> list[ControlChoice]:
        """What is asked of each net."""
        count = len(self.controlnet)
        columns = [self.preprocess or (None,), self.control_scale, self.control_start, self.control_end]
        spread = [column * count if len(column) == 1 else column for column in columns]
        return [ControlChoice(*row) for row in zip(self.controlnet, *spread)]
