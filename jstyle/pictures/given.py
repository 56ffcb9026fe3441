"""Pictures as programs bring them: PIL's, files, arrays of NumPy or of another library, and lists of these."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
from PIL import Image

from jstyle.errors import InputError
from jstyle.pictures import images

GivenPicture = Union[Image.Image, str, Path, np.ndarray, Any]
"""A picture, a file, or an array: NumPy's, or what has ``numpy()``, such as a ``jt.Var``."""

GivenPictures = Union[GivenPicture, Sequence[GivenPicture]]

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_ROUNDING = 1e-3


def open_given(given: GivenPictures, name: str = "image") -> list[Image.Image]:
    """All pictures of an argument ``name``, in order; files as `open_image` opens them.

    Arrays are one picture or several: NumPy's (height, width), (height, width, channels) or (n, height, width,
    channels); others, and NumPy's where that alone fits, (channels, height, width) or (n, channels, height, width).
    Their numbers are of 8 bits, or from 0 to 1, or, where one is negative, from -1 to 1, as in diffusers; they are
    rounded to 8 bits. Raises InputError for anything else.
    """
    if isinstance(given, Image.Image):
        return [given]
    if isinstance(given, (str, Path)):
        return [images.open_image(Path(given))]
    array = read_array(given)
    if array is not None:
        return [_make_picture(one, name) for one in _split(array, name, is_numpy=isinstance(given, np.ndarray))]
    if isinstance(given, (list, tuple)):
        return [picture for one in given for picture in open_given(one, name)]
    kinds = "a picture of PIL's, a path, an array, or a list of them"
    raise InputError(f"{name} must be {kinds}, not {type(given).__name__}")


def read_array(given: Any) -> Optional[np.ndarray]:
    """An array of NumPy's or of another library, a copy of the latter; None for what is no array."""
    if isinstance(given, np.ndarray):
        return given
    to_numpy = getattr(given, "numpy", None)
    return np.array(to_numpy()) if callable(to_numpy) else None


def find_latents(given: GivenPictures, channels: int) -> Optional[np.ndarray]:
    """What was brought in a picture's place as latents (n, channels, height, width), float32; None for pictures."""
    parts = list(given) if isinstance(given, (list, tuple)) else [given]
    arrays = [read_array(part) for part in parts]
    if not arrays or not all(array is not None and _is_latent(array, channels) for array in arrays):
        return None
    rows = [array if array.ndim == 4 else array[None] for array in arrays if array is not None]
    if len({row.shape[1:] for row in rows}) > 1:
        raise InputError(f"latents of one size are needed, not {', '.join(str(row.shape) for row in rows)}")
    return np.concatenate(rows).astype(np.float32)


def _is_latent(array: np.ndarray, channels: int) -> bool:
    is_float = array.dtype.kind == "f" and array.ndim in (3, 4)
    return is_float and array.shape[-3] == channels and channels not in (1, 3) and array.shape[-1] not in _MODES


def _split(array: np.ndarray, name: str, *, is_numpy: bool) -> list[np.ndarray]:
    """The single pictures (height, width, channels) of an array."""
    shown = f"{name}: an array of shape {tuple(array.shape)}"
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim == 3:
        array = array[None]
    if array.ndim != 4 or 0 in array.shape:
        raise InputError(f"{shown} is no picture; give (height, width, 3)")
    is_last, is_first = array.shape[-1] in _MODES, array.shape[1] in (1, 3)
    if is_first and (not is_numpy or not is_last):
        array = array.transpose(0, 2, 3, 1)
    elif not is_last:
        raise InputError(f"{shown} has no axis of 1, 3 or 4 channels; give (height, width, 3)")
    return list(array)


def _make_picture(array: np.ndarray, name: str) -> Image.Image:
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    elif array.dtype.kind == "f":
        array = _to_bytes(array, name)
    elif array.dtype != np.uint8:
        raise InputError(f"{name}: an array of {array.dtype} has no known scale; give uint8, or floats from 0 to 1")
    mode = _MODES[array.shape[2]]
    return Image.fromarray(np.ascontiguousarray(array[..., 0] if mode == "L" else array), mode)


def _to_bytes(array: np.ndarray, name: str) -> np.ndarray:
    least, most = float(array.min()), float(array.max())
    if not (least >= -1 - _ROUNDING and most <= 1 + _ROUNDING):  # what is NaN is neither
        raise InputError(f"{name}: numbers from {least:g} to {most:g} are no picture; floats from 0 to 1, or uint8")
    share = (array + 1) / 2 if least < 0 else array
    return np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
