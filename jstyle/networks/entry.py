"""What the networks take, checked at their doors: one line says what was wanted and what came, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Union

import numpy as np

from jstyle import ops
from jstyle.errors import InputError
from jstyle.ops.signatures import FLOATS
from jstyle.runtime import jt
from jstyle.settings.messages import guess

Length = Union[int, str, tuple[int, ...]]
"""A number, one of several numbers, or the name of an axis of any length but 0."""

Array = Union[jt.Var, np.ndarray]


def read_numbers(network: str, what: str, x: Any) -> jt.Var:
    """``x``, a Var or what NumPy makes an array of, as a Var of a float type. Raises InputError for no numbers."""
    if isinstance(x, jt.Var):
        return x if str(x.dtype) in FLOATS else x.float32()
    array = _to_array(network, what, x)
    return jt.array(np.ascontiguousarray(array, np.float32))


def require_finite(numbers: np.ndarray, name: str) -> np.ndarray:
    """The numbers of an argument ``name``. Raises InputError where one of them is NaN or infinite."""
    if not np.isfinite(numbers).all():
        raise InputError(f"{name} must be finite numbers, and some are NaN or infinite: look at how they were made")
    return numbers


def read_finite(network: str, what: str, x: Any) -> jt.Var:
    """As `read_numbers`, of what must be finite. Reads them, so they are computed here."""
    numbers = read_numbers(network, what, x)
    shown = ops.cast(numbers, "float32")
    shown.sync(True, False)  # alone: what else is pending would be cut in other pieces, which round otherwise
    require_finite(shown.numpy(), f"{network}: {what}")
    return numbers


def check_same_shape(network: str, what: str, x: jt.Var, other: str, wanted: jt.Var) -> None:
    """Raise InputError unless ``x`` has the shape of ``wanted``, which ``other`` names."""
    if tuple(x.shape) != tuple(wanted.shape):
        raise InputError(f"{network}: wanted {what} of {other} shape {tuple(wanted.shape)}, got {tuple(x.shape)}")


def read_ids(network: str, x: Any) -> jt.Var:
    """Token ids, a Var or what NumPy makes an array of, as a Var. Raises InputError for no whole numbers."""
    if isinstance(x, jt.Var):
        return x
    array = _to_array(network, "token ids", x)
    if array.dtype.kind not in "iu":
        raise InputError(f"{network}: wanted whole numbers as token ids, got {array.dtype}")
    return jt.array(np.ascontiguousarray(array, np.int32))


def _to_array(network: str, what: str, x: Any) -> np.ndarray:
    try:
        array = np.asarray(x)
    except (TypeError, ValueError):  # rows of several lengths
        array = np.asarray(None)
    if array.dtype.kind not in "fiu":
        kind = f"{type(x).__name__} of {array.dtype.name}" if array.dtype.kind in "cb" else type(x).__name__
        raise InputError(f"{network}: wanted {what} as a jt.Var or an array of real numbers, got {kind}")
    return array


def refuse_arguments(network: str, others: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise InputError for an argument of diffusers' that is not None and that no network here has.

    ``known`` are the names that it has, one of which may be meant.
    """
    for name, value in others.items():
        if value is not None and not (isinstance(value, dict) and not value):
            advice = guess(name, known) or "leave it out"
            raise InputError(f"{network}: the argument {name!r:.60} is not supported; {advice}")


def check_shape(network: str, what: str, x: Any, wanted: Sequence[Length], beside: str = "") -> None:
    """Raise InputError unless ``x`` is a Var of this shape. ``beside`` says in words what asks for it."""
    if not isinstance(x, jt.Var):
        raise InputError(f"{network}: wanted {what} as a jt.Var, got {type(x).__name__}; wrap arrays in jt.array")
    shape = tuple(x.shape)
    if len(shape) != len(wanted) or not all(map(_fits, shape, wanted)):
        axes = ", ".join(" or ".join(map(str, n)) if isinstance(n, tuple) else str(n) for n in wanted)
        raise InputError(f"{network}: wanted {what} ({axes}){beside}, got {shape}")


def check_times(network: str, timestep: Any, rows: int) -> np.ndarray:
    """The times of ``rows`` latents, (rows,) float32, of one for all or one for each.

    Raises InputError for others, and where one of them is not finite.
    """
    if isinstance(timestep, jt.Var):
        timestep.sync(True, False)  # alone, as token ids are
        timestep = timestep.numpy()
    try:
        given = np.asarray(timestep)
        if timestep is None or given.dtype.kind not in "fiuO":  # objects may be numbers of another library
            raise TypeError
        times = np.asarray(given, np.float32).reshape(-1)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{network}: wanted numbers as timesteps, got {type(timestep).__name__}") from None
    if len(times) not in (1, rows):
        raise InputError(f"{network}: wanted one timestep or one for each of {rows} latents, got {len(times)}")
    if not np.isfinite(times).all():
        raise InputError(f"{network}: wanted finite numbers as timesteps, got {times[~np.isfinite(times)][0]}")
    return np.broadcast_to(times, (rows,))


def check_ids(network: str, ids: jt.Var, rows: int) -> None:
    """Raise InputError unless the ids are whole numbers below ``rows``. Reads them, so they are computed here."""
    if not str(ids.dtype).startswith(("int", "uint")):
        raise InputError(f"{network}: wanted whole numbers as token ids, got {ids.dtype}")
    ids.sync(True, False)  # these alone: what else is pending would be cut in other pieces, which round otherwise
    values = ids.numpy()
    least, most = int(values.min()), int(values.max())
    if least < 0 or most >= rows:
        raise InputError(f"{network}: wanted token ids from 0 to {rows - 1}, got {least if least < 0 else most}")


def _fits(length: int, wanted: Length) -> bool:
    if isinstance(wanted, str):
        return length > 0
    return length in wanted if isinstance(wanted, tuple) else length == wanted
