"""How strongly an adapter acts on each layer: one number, or diffusers' weights by component and block.

>>> {"unet": {"down": 0.5, "mid": 0.8, "up": {"block_1": [0.2, 0.4, 0.6], "block_2": 1.0}}, "text_encoder": 0.7}

What is left out keeps 1. Only blocks with attention are named; a block's convolutions go with its attention of the same
number, as in diffusers 0.42's ``set_weights_and_activate_adapters``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Union

from jstyle.errors import InputError
from jstyle.networks.config import UNetConfig
from jstyle.settings.arguments import read_number

_BLOCKS = {"down": "down_blocks", "up": "up_blocks"}


@dataclass(frozen=True)
class AdapterWeight:
    """The factors of one adapter's layers."""

    unet: float = 1.0
    """Of the UNet's layers that ``blocks`` does not name."""

    text_encoder: float = 1.0
    text_encoder_2: float = 1.0

    blocks: Mapping[str, float] = field(default_factory=dict)
    """By the path of an attention block in the UNet."""

    def find(self, component: str, path: str) -> float:
        """The factor of the layer at this path in a component, such as "unet" or "text_encoder"."""
        if component != "unet":
            return getattr(self, component)
        parts = path.split(".")
        if parts[0] == "mid_block":
            block = ".".join(parts[:3])
        else:
            block = f"{parts[0]}.{parts[1]}.attentions.{parts[3]}" if len(parts) > 3 else ""
        return self.blocks.get(block, self.unet)

    def describe(self, scale: float) -> Any:
        """``scale`` times the factors: a number where it is one, else by component and by path of block."""
        if self.unet == self.text_encoder and not self.blocks:
            return self.unet * scale
        blocks = {path: factor * scale for path, factor in self.blocks.items()}
        return {"unet": self.unet * scale, "text_encoder": self.text_encoder * scale, **blocks}


def read_weight(value: Any, unet: UNetConfig) -> AdapterWeight:
    """An adapter's weight as ``set_adapters`` takes it: a number, None for 1, or numbers by component and block.

    Raises InputError for an unknown component or block, a block without attention, and another count of numbers.
    """
    if isinstance(value, AdapterWeight):
        return value
    if not isinstance(value, Mapping):
        number = 1.0 if value is None else read_number("the weight of an adapter", value)
        return AdapterWeight(number, number, number)
    names = ("text_encoder", "text_encoder_2")
    _check_keys(value, ("unet", *names), "the weights of an adapter")
    first, second = (read_number(f"the weight {name}", value.get(name, 1.0)) for name in names)
    inside = value.get("unet", 1.0)
    if not isinstance(inside, Mapping):
        return AdapterWeight(read_number("the weight unet", inside), first, second)
    return AdapterWeight(1.0, first, second, dict(_read_blocks(inside, unet)))


def _read_blocks(value: Mapping[str, Any], unet: UNetConfig) -> Iterator[tuple[str, float]]:
    """The path of each attention block in the UNet, and its weight."""
    _check_keys(value, ("down", "mid", "up"), "the weights unet")
    yield "mid_block.attentions.0", _spread(value.get("mid", 1.0), 1, "the weight unet.mid")[0]
    counts = {"down": unet.layers, "up": [count + 1 for count in reversed(unet.layers)]}
    types = {"down": unet.down_block_types, "up": unet.up_block_types}
    for side, folder in _BLOCKS.items():
        numbers = [number for number, kind in enumerate(types[side]) if "CrossAttn" in kind]
        given = value.get(side, 1.0)
        if not isinstance(given, Mapping):
            given = {f"block_{number}": given for number in numbers}
        _check_keys(given, [f"block_{number}" for number in numbers], f"the weights unet.{side}")
        for number in numbers:
            name = f"block_{number}"
            weights = _spread(given.get(name, 1.0), counts[side][number], f"the weight unet.{side}.{name}")
            for place, weight in enumerate(weights):
                yield f"{folder}.{number}.attentions.{place}", weight


def _spread(value: Any, count: int, what: str) -> list[float]:
    """One number for each of a block's attentions, from one for all or as many as there are."""
    given: Union[Sequence[Any], list] = list(value) if isinstance(value, (list, tuple)) else [value]
    if len(given) not in (1, count):
        raise InputError(f"{what} has {len(given)} numbers for {count} attentions; give one, or one each")
    numbers = [read_number(what, number) for number in given]
    return numbers * count if len(numbers) == 1 else numbers


def _check_keys(value: Mapping[str, Any], known: Sequence[str], what: str) -> None:
    for key in value:
        if key not in known:
            raise InputError(f"{what} have no {key!r:.40}; there are {', '.join(known)}")
