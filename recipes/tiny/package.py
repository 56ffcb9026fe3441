"""What is shipped: the model's folder in half precision, with a list of hashes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from jstyle.files import hash_files
from jstyle.weights import checkpoint
from jstyle.weights.known_words import WORDS, list_words

HASHES = "SHA256SUMS"


def write_model(parts: checkpoint.Components, folder: Path, captions: Iterable[str]) -> None:
    """Write diffusers' layout in fp16, the words of the captions that it was taught by, and the hashes of all files.

    The hashes are in the form that ``sha256sum --check`` reads.
    """
    checkpoint.save(parts, folder, dtype="float16")
    (folder / WORDS).write_text("".join(f"{word}\n" for word in sorted(list_words(captions))), encoding="utf-8")
    (folder / HASHES).write_text(list_hashes(folder))


def list_hashes(folder: Path) -> str:
    """A line for each file of the model: its SHA-256 and its path in the folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in (".json", ".txt", ".safetensors")]
    return "".join(f"{hash_files([path])}  {path.relative_to(folder).as_posix()}\n" for path in files)
