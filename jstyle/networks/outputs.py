"""What the networks answer: values with diffusers' names, read as attributes, by place or by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Optional, Union

from jstyle.networks.posterior import DiagonalGaussian
from jstyle.runtime import jt


class Output:
    """A network's answer: ``output.sample``, ``output["sample"]`` and ``output[0]`` are the same.

    A value that was not asked for is None and has no place.
    """

    def __getitem__(self, key: Union[str, int, slice]) -> Any:
        if isinstance(key, str):
            if key not in self.keys():
                raise KeyError(key)
            return getattr(self, key)
        return self.to_tuple()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self) -> list[str]:
        """The names of the values, in their order."""
        names = (field.name for field in fields(self))  # type: ignore[arg-type]
        return [name for name in names if getattr(self, name) is not None]

    def to_tuple(self) -> tuple[Any, ...]:
        """The values in their order."""
        return tuple(getattr(self, name) for name in self.keys())


@dataclass(frozen=True)
class UNetOutput(Output):
    """``sample`` (batch, out_channels, height, width): noise, velocity or image, as the network was taught."""

    sample: jt.Var


@dataclass(frozen=True)
class ControlNetOutput(Output):
    """What a ControlNet adds to a UNet's maps, (batch, channels, height, width) each, or of height and width 1."""

    down_block_res_samples: tuple[jt.Var, ...]
    """To the skip connections, the first of them to what ``conv_in`` makes."""

    mid_block_res_sample: jt.Var
    """To what the middle makes."""


@dataclass(frozen=True)
class EncoderOutput(Output):
    """``latent_dist``: the posterior of the latent, which is drawn from or has its mode taken."""

    latent_dist: DiagonalGaussian


@dataclass(frozen=True)
class DecoderOutput(Output):
    """``sample`` (batch, 3, height, width): the image, in about [-1, 1]."""

    sample: jt.Var


@dataclass(frozen=True)
class TextOutput(Output):
    """What a text encoder makes of token ids.

    ``last_hidden_state`` (batch, tokens, hidden_size) is what the UNet reads, ``pooler_output`` (batch, hidden_size)
    its row at the end of each text, ``hidden_states`` the embeddings and what each layer made of them, before the last
    norm.
    """

    last_hidden_state: jt.Var
    pooler_output: jt.Var
    hidden_states: Optional[tuple[jt.Var, ...]] = None


@dataclass(frozen=True)
class ProjectedTextOutput(Output):
    """What a text encoder with a projection makes of token ids: ``text_embeds`` (batch, projection_dim), and the rest
    as in `TextOutput`.
    """

    text_embeds: jt.Var
    last_hidden_state: jt.Var
    hidden_states: Optional[tuple[jt.Var, ...]] = None
