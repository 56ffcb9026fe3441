"""The word in a file of InST (arXiv 2211.13203), all that a prompt needs of a learnt style.

The network that made it lies in the file too; `jstyle.methods.inst.files` reads and writes the whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Union

import numpy as np

from jstyle.errors import InputError
from jstyle.files import hash_files
from jstyle.settings.json_files import parse_json
from jstyle.weights.tensors import FileTensors

FILE = "inst.safetensors"
PICTURE = "style.png"
"""The picture itself, beside the result: a transfer asks for its colours."""

HEADER = "inst"  # the entry of the file's metadata
EMBEDDING = "embedding"


def require_one_encoder(pipe: Any) -> None:
    """Raise InputError for a pipeline of SDXL, whose words need vectors for two text encoders."""
    if pipe.vocabulary_2 is not None:
        raise InputError("InST makes a word's vectors for one text encoder, and SDXL has two; take SD 1.x or 2.x")


def find_file(source: Union[str, Path]) -> Path:
    """The safetensors file itself, or a folder's ``inst.safetensors``. Raises InputError where there is none."""
    file = Path(source) / FILE if Path(source).is_dir() else Path(source)
    if not file.is_file():
        raise InputError(f"there is no file {str(file)!r}; give the folder of a finished training of InST")
    return file


def hash_style(folder: Path) -> str:
    """SHA-256 over both files of a learnt style. Raises: OSError."""
    return hash_files([folder / FILE, folder / PICTURE])


def read_header(file: Path) -> dict[str, Any]:
    """What the file says of itself: ``token``, ``sizes`` and ``about``, unchecked. InputError where it says nothing."""
    text = FileTensors([file]).metadata.get(HEADER)
    if text is None:
        raise InputError(f"{str(file)!r} is no style of InST; is it another kind of adapter?")
    try:
        header = parse_json(text.encode("utf-8", "surrogatepass"), HEADER)
        if not isinstance(header["token"], str):
            raise ValueError(f"token is {header['token']!r}")
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(file, error) from None
    return header


def read_word(source: Union[str, Path]) -> tuple[str, np.ndarray]:
    """The token and its embedding (1, hidden_size) in a file or folder. Raises InputError."""
    file = find_file(source)
    token, stored = read_header(file)["token"], FileTensors([file])
    if EMBEDDING not in stored.shapes():
        raise InputError(f"{str(file)!r}: the word's embedding is missing; train the style again")
    embedding = np.ascontiguousarray(stored.read(EMBEDDING), np.float32)
    if not np.isfinite(embedding).all():
        raise InputError(f"{str(file)!r} holds numbers that are not finite; train the style again")
    return token, embedding


def damaged(file: Path, error: Exception) -> InputError:
    """The error of a header that makes no sense."""
    reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    return InputError(f"{str(file)!r} is damaged: {reason}; train the style again")
