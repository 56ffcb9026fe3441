"""A model with what was learnt beside it: LoRA and words, named by their files."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from jstyle.errors import InputError
from jstyle.settings.fields import free, require
from jstyle.settings.model import ModelSettings
from jstyle.settings.paths import guess_path

_BY_HASH = "the hash of the model with all that is on it stands for it"


@dataclass(frozen=True)
class AdaptedModelSettings(ModelSettings):
    """Which networks, what is put on them, and how they compute."""

    lora: tuple[str, ...] = free((), because=_BY_HASH)
    """LoRA to put on the model: files or folders, each FILE or FILE:WEIGHT; by default the weight is 1."""

    words: tuple[str, ...] = free((), because=_BY_HASH)
    """Words that were learnt (textual inversion): files or folders, each FILE or FILE:WORD for another name."""

    def __post_init__(self) -> None:
        for name, texts in (("lora", self.lora), ("words", self.words)):
            require(all(text.strip() for text in texts), f"{name} must name files, not nothing")

    def check_files(self) -> None:
        """Raise InputError for the first file or folder that is not there."""
        for what, listed in (("LoRA", self.list_loras()), ("word", self.list_words())):
            for path, _ in listed:
                if not path.exists():
                    advice = guess_path(path) or "name a safetensors file or its folder"
                    raise InputError(f"there is no {what} {str(path)!r}: {advice}")

    def list_loras(self) -> list[tuple[Path, float]]:
        """Each LoRA's file or folder, and its weight."""
        return [_split_weight(text) for text in self.lora]

    def list_words(self) -> list[tuple[Path, str]]:
        """Each word's file or folder, and the name that it is given, or nothing."""
        return [_split_name(text) for text in self.words]


def _split_weight(text: str) -> tuple[Path, float]:
    path, word = _split_name(text)
    with suppress(ValueError):
        if word and math.isfinite(float(word)):
            return path, float(word)
    return (Path(text), 1.0) if word else (path, 1.0)


def _split_name(text: str) -> tuple[Path, str]:
    """The path, and what stands behind its last colon; a file that is called so is one all the same."""
    path, colon, word = text.rpartition(":")
    is_whole = not (colon and path and word) or "/" in word
    with suppress(OSError, ValueError):
        is_whole = is_whole or Path(text).expanduser().exists()
    return (Path(text).expanduser(), "") if is_whole else (Path(path).expanduser(), word)
