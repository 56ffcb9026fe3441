"""What is behind an icon that is shown as its family drew it: a colour, a shade, or a drawn setting."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from recipes.tiny.drawings import settings
from recipes.tiny.drawings.fields import places
from recipes.tiny.drawings.layers import FINE, blur, draw_numbers
from recipes.tiny.drawings.palette import find_colour, luminance, mix
from recipes.tiny.drawings.shapes import Part
from recipes.tiny.icons.families import find_family
from recipes.tiny.icons.scene import SHADED, IconScene

_WHITE = (1.0, 1.0, 1.0)
_KINDS = {"white": 0.15, "pale": 0.5, "strong": 0.2, "dark": 0.15}
_CANDIDATES = 8
_NEAR = 0.22  # colours that are nearer than this run into each other
_BLUR = {"glossy 3d": 0.014, "noto icon": 0.005}  # of the side: how far behind their icons these families are shown


def choose_colour(rng: np.random.Generator, edge: np.ndarray, lines: bool) -> np.ndarray:
    """A colour (3,) on which an icon with this edge (pixels, 3) can be seen: white, pale, strong or dark.

    Under black lines it is light.
    """
    best, most = np.array(_WHITE), -1.0
    for _ in range(_CANDIDATES):
        colour = _draw_colour(rng)
        if lines and luminance(colour[None].astype(np.float32))[0] < 0.6:
            continue
        seen = float((np.linalg.norm(edge - colour, axis=1) > _NEAR).mean()) if len(edge) else 1.0
        if seen > 0.8:
            return colour
        if seen > most:
            best, most = colour, seen
    return best


def draw_ground(scene: IconScene, placed: Image.Image, stands: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ground behind an icon that was put at its place (RGBA), and what is in front of it.

    Behind and before are (size, size, 3) in [0, 1]; the last is how much of each pixel is before, (size, size).
    """
    size, rng = placed.width, scene.rng("ground")
    family = find_family(scene.family)
    if scene.ground in ("plain", SHADED):
        colour = choose_colour(rng, find_edge(placed), family.lines)
        even = np.broadcast_to(colour.astype(np.float32), (size, size, 3))
        behind = even if scene.ground == "plain" else _cast_shadow(_shade(even, rng, family.lines), placed)
        return behind, behind, np.zeros((size, size), np.float32)
    behind, whole, before = _draw_setting(scene.ground, rng, size)
    if family.lines:
        behind, whole = (mix(one, (255, 255, 255), 0.55) for one in (behind, whole))
    if family.name in _BLUR:
        behind = blur(behind, _BLUR[family.name] * size)
    return _cast_shadow(behind, placed) if stands else behind, whole, before


def find_edge(placed: Image.Image) -> np.ndarray:
    """The colours just inside an icon's outline, (pixels, 3) in [0, 1]."""
    inside = placed.getchannel("A").point([255 * (alpha > 200) for alpha in range(256)])
    core = inside.filter(ImageFilter.MinFilter(5))
    rim = (np.asarray(inside) > 0) & (np.asarray(core) == 0)
    return np.asarray(placed)[rim][:, :3] / 255.0


def _draw_colour(rng: np.random.Generator) -> np.ndarray:
    kind = list(_KINDS)[rng.choice(len(_KINDS), p=list(_KINDS.values()))]
    hue = rng.uniform(0, 2 * np.pi)
    wheel = 0.5 + 0.5 * np.cos(hue - np.array([0, 2, 4]) * np.pi / 3)
    if kind == "white":
        return np.array(_WHITE)
    if kind == "pale":
        return 1 - (1 - wheel) * rng.uniform(0.06, 0.3)
    if kind == "strong":
        return np.clip(0.2 + 0.75 * wheel, 0, 1) * rng.uniform(0.75, 1)
    return (0.06 + 0.3 * wheel) * rng.uniform(0.5, 1)


def _shade(even: np.ndarray, rng: np.random.Generator, lines: bool) -> np.ndarray:
    """A colour that grows lighter or darker in one direction, or outwards from the middle."""
    x, y = places(len(even)) / 50 - 1
    turn = rng.uniform(0, 2 * np.pi)
    run = np.hypot(x, y) - 0.7 if rng.random() < 0.4 else x * np.cos(turn) + y * np.sin(turn)
    depth = rng.uniform(0.08, 0.18) if lines else rng.uniform(0.1, 0.3)
    return np.clip(even * (1 - depth * run[..., None]), 0, 1).astype(np.float32)


def _cast_shadow(ground: np.ndarray, placed: Image.Image) -> np.ndarray:
    """The ground with a soft shadow at the icon's foot."""
    size = len(ground)
    left, _, right, foot = placed.getbbox() or (0, 0, size, size)
    inset, flat = 0.1 * (right - left), 0.035 * size
    shape = Image.new("L", (size, size))
    ImageDraw.Draw(shape).ellipse((left + inset, foot - 1.4 * flat, right - inset, foot + 0.6 * flat), fill=90)
    shadow = np.asarray(shape.filter(ImageFilter.GaussianBlur(0.02 * size)), np.float32) / 255
    return ground * (1 - shadow[..., None])


def _draw_setting(name: str, rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A setting's parts behind things, all of its parts, and where those in front are."""
    behind, before = settings.DRAWN_BY[name](rng)
    light = rng.uniform(0.94, 1.05, 3).astype(np.float32) * np.float32(rng.uniform(0.94, 1.03))
    numbers = draw_numbers(behind, FINE * size)
    far = _paint(numbers, behind, light)
    numbers = draw_numbers(before, FINE * size, len(behind), numbers)
    points = np.asarray(numbers) >= len(behind)
    cover = np.asarray(Image.fromarray(points.astype(np.uint8) * np.uint8(255)).reduce(FINE), np.float32) / 255
    return far, _paint(numbers, [*behind, *before], light), cover


def _paint(numbers: Image.Image, parts: list[Part], light: np.ndarray) -> np.ndarray:
    colours = np.minimum([find_colour(part.role, "white") * light for part in parts], 1)
    fine = numbers.copy()
    fine.putpalette(np.rint(colours * 255).astype(np.uint8).tobytes())
    return np.asarray(fine.convert("RGB").reduce(FINE), np.float32) / 255
