"""The sizes of ArtFusion's denoiser."""

from __future__ import annotations

from dataclasses import dataclass

from jstyle.networks.config_reader import NetworkConfig, require_divides, require_sizes
from jstyle.settings.fields import require


@dataclass(frozen=True)
class StyleUNetConfig(NetworkConfig):
    """The defaults are those of the published model. Raises ValueError, when built, for what does not fit together."""

    channels: int = 16
    """Of the latent."""

    refined_channels: int = 12
    """Of the content, as it stands beside the latent."""

    width: int = 384
    """Channels of the first level."""

    multipliers: tuple[int, ...] = (1, 2)
    """Of the width, for each level."""

    layers: int = 2
    """Resnets of a level on the way down; on the way up there is one more."""

    head_width: int = 64
    """Channels of a head of attention."""

    style_width: int = 2944
    """Numbers that tell a style."""

    time_width: int = 512
    """Sinusoids of a time."""

    embedding_width: int = 1024
    """Numbers that tell the layers time and style."""

    groups: int = 32
    """Of a group norm."""

    def __post_init__(self) -> None:
        require_sizes(1 << 16, **{name: self[name] for name in self.keys()})
        require(self.time_width % 2 == 0, f"time_width must be even, not {self.time_width}")
        for multiplier in self.multipliers:
            require_divides("groups", self.groups, self.width * multiplier)
            require_divides("head_width", self.head_width, self.width * multiplier)

    @property
    def block_out_channels(self) -> tuple[int, ...]:
        """Channels of each level."""
        return tuple(self.width * multiplier for multiplier in self.multipliers)
