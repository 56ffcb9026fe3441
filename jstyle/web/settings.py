"""What the page is told when it is started."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from jstyle.settings.fields import require
from jstyle.settings.paths import ReadFolder, ResultsFolder, Source, require_paths
from jstyle.settings.vocabulary import require_at_least, require_count


@dataclass(frozen=True)
class WebSettings:
    """What the page offers, and to whom.

    ValueError for values that make no sense.
    """

    model: tuple[Source, ...] = ("tiny",)
    """Models to choose from: folders, single .safetensors files, hub ids, or tiny, the embedded one."""

    lora: tuple[Source, ...] = ()
    """LoRA to choose from: files, or folders of them."""

    words: tuple[Source, ...] = ()
    """Learnt words to choose from: files, or folders of them."""

    controlnet: tuple[Source, ...] = ("tiny",)
    """ControlNets to choose from."""

    data: Optional[ReadFolder] = None
    """The competition's data, of which submissions can then be made: NN/images and NN/prompt.json."""

    output: ResultsFolder = Path("outputs/web")
    """Folder for what visitors bring and make, a folder each."""

    host: str = "127.0.0.1"
    """The address to listen at; 0.0.0.0 is every one of this machine, and needs a password."""

    port: int = 7860
    """The port to listen at; 0 takes a free one."""

    password: Optional[str] = None
    """What visitors must know, under any name."""

    largest_upload: int = 64
    """Megabytes of one file that a visitor may bring."""

    most_pictures: int = 32
    """Pictures that one request may be given."""

    most_waiting: int = 16
    """Requests that one visitor may have in the queue."""

    def __post_init__(self) -> None:
        require(bool(self.model), "model must name at least one")
        for name in ("model", "lora", "words", "controlnet"):
            for source in getattr(self, name):
                require_paths(**{name: source})
        require(0 <= self.port < 65536, f"port must be from 0 to 65535, not {self.port}")
        require_at_least(1, largest_upload=self.largest_upload)
        require_count(most_pictures=self.most_pictures, most_waiting=self.most_waiting)
        require(self.password is None or bool(self.password), "password must not be empty")
        alone = is_loopback(self.host)
        require(alone or self.password is not None, f"host {self.host} lets others in: give a --password too")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
