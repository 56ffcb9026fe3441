"""Any picture as upright 8-bit sRGB: orientation, 16 bits, colour profiles and transparency, each in one place."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Optional

import numpy as np
from PIL import Image, ImageCms, ImageOps

from jstyle.errors import InputError

Tell = Callable[[str], object]
"""Is told, in one line, what a person should know of a picture."""

UNKNOWN_SCALE = "its 32-bit pixels have no known scale; save it with 8 or 16 bits"

_MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # by the colour space that a profile is of
_FITTING = {"RGB": ("1", "L", "P", "RGB", "RGBX", "YCbCr"), "L": ("1", "L"), "CMYK": ("CMYK",)}
_GREYS = ("1", "L", "LA")
_PROBE_LEVELS = np.arange(0, 256, 17, np.uint8)
_LOST_IN_ROUNDING = 1  # of 255: a profile that changes no colour by more is sRGB itself


def to_rgb(picture: Image.Image, tell: Tell) -> Image.Image:
    """The picture as an eye sees it on white: upright, in 8-bit sRGB, with nothing beside its pixels.

    An embedded profile is applied, unless it is sRGB's own, and one that cannot be read is told and ignored. 16-bit
    grey is scaled to 8 bits. A picture of 8-bit RGB without any of these keeps its values.

    Raises InputError for pixels whose scale is not known, and modes that are no colours.
    """
    picture = _turn_upright(picture)
    if picture.mode in ("La", "RGBa"):  # opacity multiplied into the colours
        picture = picture.convert(picture.mode.upper())
    alpha = None
    if picture.mode == "F" or picture.mode.startswith("I"):
        colours, alpha = _scale_deep_grey(picture)
    elif picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        colours, alpha = rgba.convert("L" if picture.mode in _GREYS else "RGB"), rgba.getchannel("A")
    else:
        colours = picture
    rgb = _apply_profile(colours, picture.info, tell)
    if alpha is not None:
        rgb.putalpha(alpha)
        rgb = Image.alpha_composite(Image.new("RGBA", rgb.size, "white"), rgb).convert("RGB")
    rgb.info = {}  # what it says has been done
    return rgb


def is_transparent(picture: Image.Image) -> bool:
    """Whether white is seen through any pixel of a picture of 8 bits, as far as `to_rgb` shows it."""
    if picture.mode == "F" or picture.mode.startswith("I") or not picture.has_transparency_data:
        return False
    least = np.asarray(picture.convert("RGBA").getchannel("A")).min()
    return int(least) < 255


def _turn_upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # the pixels were read: a damaged EXIF block alone is no reason to refuse them
        return picture


def _scale_deep_grey(picture: Image.Image) -> tuple[Image.Image, Optional[Image.Image]]:
    """16-bit grey as 8-bit, and its opacity: Pillow's own conversion clips everything above 255 to white."""
    values = np.asarray(picture)
    if picture.mode == "F" or values.min() < 0 or values.max() > 65535:
        raise InputError(UNKNOWN_SCALE)
    clear = picture.info.get("transparency")
    alpha = Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)) if isinstance(clear, int) else None
    return Image.fromarray(np.rint(values / 257.0).astype(np.uint8)), alpha


def _apply_profile(colours: Image.Image, info: dict[Any, Any], tell: Tell) -> Image.Image:
    """RGB of colours without transparency, by the profile beside them, if any."""
    if "icc_profile" in info:
        profile = info["icc_profile"] or b""  # a PNG's that does not unpack is None
        try:
            space = _read_space(profile)
            mode = _MODES[space]
            if colours.mode not in _FITTING[mode]:
                raise ValueError(f"a profile of {space.strip()} on pixels of {colours.mode}")
            transform = _make_transform(profile, mode)
            if transform is not None:
                converted = ImageCms.applyTransform(colours.convert(mode), transform)
                assert converted is not None, "it is not done in place"
                return converted
        except Exception:  # whatever a library says of a damaged profile
            tell("its colour profile cannot be used and is ignored")
    try:
        return colours.convert("RGB")
    except ValueError as error:
        raise InputError(f"its pixels are no colours ({error}); save it as RGB") from None


@lru_cache(maxsize=16)
def _read_space(profile: bytes) -> str:
    """The colour space that a profile is of, as ICC.1 writes it. Raises where it is none."""
    opened: Any = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile
    return opened.xcolor_space


@lru_cache(maxsize=16)
def _make_transform(profile: bytes, mode: str) -> Optional[ImageCms.ImageCmsTransform]:
    """To sRGB by the intent that the profile asks for; None where it is sRGB's own. Raises where it cannot be read."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    intent = ImageCms.Intent(ImageCms.getDefaultIntent(source))
    # a curve of grey that is steep near black loses up to 10 of 255 in LittleCMS's tables of 8 bits (2.19)
    flags = ImageCms.Flags.NOOPTIMIZE if mode == "L" else ImageCms.Flags.NONE
    transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB", intent, flags)
    probe = _draw_probe(mode)
    if probe is not None:
        converted = np.asarray(ImageCms.applyTransform(probe, transform), np.int16)
        if np.abs(converted - np.asarray(probe.convert("RGB"), np.int16)).max() <= _LOST_IN_ROUNDING:
            return None
    return transform


def _draw_probe(mode: str) -> Optional[Image.Image]:
    """Colours from all over the space, by which sRGB's own profile is known under any name; CMYK has none."""
    if mode == "CMYK":
        return None
    grid = np.stack(np.meshgrid(*[_PROBE_LEVELS] * 3), -1) if mode == "RGB" else _PROBE_LEVELS
    return Image.fromarray(grid.reshape(len(_PROBE_LEVELS), -1, *grid.shape[3:]).squeeze())
