"""What Stable Diffusion XL's UNet adds to the time's embedding: a vector of the text, and sizes (arXiv 2307.01952)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Optional

import numpy as np

from jstyle import ops
from jstyle.errors import InputError
from jstyle.networks.attention import TextContext
from jstyle.networks.condition import Condition, GivenNumbers
from jstyle.networks.config import EncoderConfig
from jstyle.networks.entry import check_shape, read_finite, read_numbers
from jstyle.runtime import jt


def embed_numbers(numbers: np.ndarray, channels: int, config: EncoderConfig) -> jt.Var:
    """Sinusoids of numbers (n,) (arXiv 1706.03762, section 3.5), (n, channels), in fp32 as in training."""
    half = channels // 2
    exponent = np.arange(half, dtype=np.float32) * np.float32(-math.log(10000))
    angles = numbers[:, None] * np.exp(exponent / np.float32(half - config.freq_shift))
    halves = [np.sin(angles), np.cos(angles)]
    return jt.array(np.concatenate(halves[::-1] if config.flip_sin_to_cos else halves, axis=1))


def make_addition(condition: Condition, latent: Sequence[int], config: EncoderConfig, dtype: str) -> jt.Var:
    """The text's vector and the sizes' sinusoids, (rows, width) in ``dtype``, of a condition that was checked."""
    pooled: Any = condition.pooled
    height, width = latent
    numbers = condition.list_numbers((height, width), config.count_sizes(pooled.shape[1]))
    sinusoids = embed_numbers(numbers.reshape(-1), config.addition_time_embed_dim or 0, config)
    parts = [ops.cast(part, dtype) for part in (pooled, sinusoids.reshape(len(numbers), -1))]
    rows = max(part.shape[0] for part in parts)
    return jt.concat([part if part.shape[0] == rows else jt.concat([part] * rows, dim=0) for part in parts], dim=1)


def check_addition(condition: Condition, rows: int, config: EncoderConfig) -> None:
    """Raise InputError where a condition lacks what the UNet reads beside the text, or has what it does not."""
    if not config.has_addition:
        if condition.pooled is not None:
            raise InputError("UNet: it reads a text alone; a vector of the text, and sizes, are for one of SDXL")
        return
    if condition.pooled is None or not condition.sizes:
        raise InputError(
            "UNet: SDXL's reads a vector of the text and sizes beside it: give a Condition, or added_cond_kwargs with "
            "text_embeds and time_ids"
        )
    wanted = (1, rows) if rows > 1 else 1
    check_shape("UNet", "a vector of the text", condition.pooled, (wanted, "width"), f" for {rows} latents")
    if len(condition.sizes) not in (1, rows):
        raise InputError(f"UNet: wanted the sizes of one picture or of {rows}, got {len(condition.sizes)}")
    try:
        count = config.count_sizes(condition.pooled.shape[1])
    except ValueError as error:
        raise InputError(f"UNet: {error}") from None
    wrong = [n for n in (len(row.list_numbers((1, 1), count)) for row in condition.sizes) if n != count]
    if wrong:
        raise InputError(f"UNet: wanted {count} numbers about a picture's size (time_ids), got {wrong[0]}")


def embed_guidance(scale: float, width: int) -> np.ndarray:
    """Sinusoids (1, width) of a guidance scale, less 1, a thousand times (arXiv 2310.04378, section 4.2; as diffusers).

    They rise unlike those of times: the lowest frequency is 1 / 10000, and sines come first.
    """
    half = width // 2
    frequencies = np.exp(np.arange(half, dtype=np.float32) * np.float32(-math.log(10000) / (half - 1)))
    angles = np.float32(1000 * (scale - 1)) * frequencies
    return np.concatenate([np.sin(angles), np.cos(angles), np.zeros(width % 2, np.float32)])[None]


def read_guidance(text: Any, embedded: Any) -> Any:
    """A text with what is said of the guidance. Raises InputError where both say it."""
    if embedded is None:
        return text
    if isinstance(text, TextContext) or (isinstance(text, Condition) and text.guidance is not None):
        raise InputError("UNet: timestep_cond stands beside a text, or in its Condition, not in both")
    condition = text if isinstance(text, Condition) else Condition(read_numbers("UNet", "a text", text))
    return replace(condition, guidance=read_numbers("UNet", "timestep_cond", embedded))


def check_guidance(condition: Condition, rows: int, width: Optional[int]) -> None:
    """Raise InputError for numbers about the guidance that a UNet does not read, or of another shape."""
    if condition.guidance is None:
        return
    if width is None:
        raise InputError("UNet: timestep_cond is for one that reads the guidance, whose config has time_cond_proj_dim")
    check_shape("UNet", "timestep_cond", condition.guidance, ((1, rows) if rows > 1 else 1, width), f" for {rows} rows")


def read_added(text: Any, added: Optional[Mapping[str, Any]]) -> Any:
    """A text with what diffusers passes beside it. Raises InputError for anything but a text's vector and sizes."""
    if added is None or (isinstance(added, Mapping) and not added):
        return text
    if not isinstance(added, Mapping):
        raise InputError(f"UNet: wanted added_cond_kwargs as a dictionary, got {type(added).__name__}")
    if set(added) != {"text_embeds", "time_ids"} or isinstance(text, (Condition, TextContext)):
        shown = ", ".join(sorted(map(str, added)))
        raise InputError(f"UNet: added_cond_kwargs are text_embeds and time_ids, beside a text alone, not {shown:.60}")
    pooled = read_numbers("UNet", "text_embeds", added["text_embeds"])
    numbers = read_finite("UNet", "time_ids", added["time_ids"])
    check_shape("UNet", "time_ids", numbers, ("batch", "sizes"))
    sizes = tuple(GivenNumbers(tuple(map(float, row))) for row in numbers.numpy())
    return Condition(read_numbers("UNet", "a text", text), pooled, sizes)
