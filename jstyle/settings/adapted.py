"""A model with what was learnt beside it: LoRA and words, named by their files."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from jstyle.errors import InputError
from jstyle.files import hash_files
from jstyle.settings.fields import free, require
from jstyle.settings.model import ModelSettings
from jstyle.settings.paths import Source, guess_path, require_paths

PEFT_CONFIG = "adapter_config.json"
"""The file beside those of peft, which alone says how strong they are."""

_BY_HASH = "the hash of the model with all that is on it stands for it"


@dataclass(frozen=True)
class AdaptedModelSettings(ModelSettings):
    """Which networks, what is put on them, and how they compute."""

    lora: tuple[Source, ...] = free((), because=_BY_HASH)
    """LoRA to put on the model: files, folders or hub ids, each FILE or FILE:WEIGHT; by default the weight is 1."""

    words: tuple[Source, ...] = free((), because=_BY_HASH)
    """Learnt words (textual inversion): files, folders or hub ids, each FILE or FILE:WORD for another name."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, texts in (("lora", self.lora), ("words", self.words)):
            require(all(text.strip() for text in texts), f"{name} must name files, not nothing")
            for text in texts:
                require_paths(**{name: text})

    def check_files(self) -> None:
        """Raise InputError for the first file or folder that is not there."""
        for what, listed in (("LoRA", self.list_loras()), ("word", self.list_words())):
            for path, _ in listed:
                if not path.exists():
                    advice = guess_path(path) or "name a safetensors file or its folder"
                    raise InputError(f"there is no {what} {str(path)!r}: {advice}")

    def list_loras(self) -> list[tuple[Path, float]]:
        """Each LoRA's file or folder, and its weight."""
        return [split_weight(text) for text in self.lora]

    def list_words(self) -> list[tuple[Path, str]]:
        """Each word's file or folder, and the name that it is given, or nothing."""
        return [split_name(text) for text in self.words]

    def hash_contents(self) -> dict[str, list[str]]:
        """`hash_adapter` of each, in order, under "lora" and "words"; without any nothing. Errors as there."""
        listed = {"lora": self.list_loras(), "words": self.list_words()}
        return {setting: [hash_adapter(path) for path, _ in some] for setting, some in listed.items() if some}


def hash_adapter(path: Path) -> str:
    """SHA-256 of a file, with peft's configuration beside it, or of all that a loader may read in a folder.

    Raises InputError for what cannot be read.
    """
    try:
        if path.is_dir():
            files = sorted(
                file for file in path.iterdir() if file.suffix in (".safetensors", ".json") and file.is_file()
            )
        else:
            beside = path.with_name(PEFT_CONFIG)
            files = [path, *([beside] if beside.is_file() else [])]
        return hash_files(files)
    except OSError as error:
        raise InputError(f"cannot read {error.filename!r}: {error.strerror}") from error


def split_weight(text: str) -> tuple[Path, float]:
    """A LoRA's path and its weight, of FILE or FILE:WEIGHT; a weight that is not said is 1."""
    path, word = split_name(text)
    with suppress(ValueError):
        if word and math.isfinite(float(word)):
            return path, float(word)
    return (Path(text).expanduser(), 1.0) if word else (path, 1.0)


def split_name(text: str) -> tuple[Path, str]:
    """The path, and what stands behind its last colon; a file that is called so is one all the same."""
    source, word = split_source(text)
    return Path(source).expanduser(), word


def split_source(text: str) -> tuple[str, str]:
    """As `split_name`, for what may be of the hub."""
    path, colon, word = text.rpartition(":")
    is_whole = not (colon and path and word) or "/" in word
    with suppress(OSError, ValueError):
        is_whole = is_whole or Path(text).expanduser().exists()
    return (text, "") if is_whole else (path, word)
