"""Places, each drawn from back to front as parts; the square is the whole picture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from recipes.tiny.drawings.settings import ACROSS, Parts, clouds, land, sky
from recipes.tiny.drawings.shapes import Colour, Part, below, box, curve, ellipse, polygon, smooth

_WATER: Colour = (74, 152, 206)
_ROOF: Colour = (96, 70, 62)
_LIGHT_WATER: Colour = (150, 204, 232)


def _peak(x: float, foot: float, high: float, wide: float, colour: Colour) -> Parts:
    place = np.array((x, foot), np.float32)
    rock = polygon("0 -100, 24 -62, 44 -40, 100 0, -100 0, -52 -44, -20 -70")
    snow = polygon("0 -100, 24 -62, 12 -66, 2 -56, -8 -68, -20 -70")
    scale = np.array((wide / 200, high / 100), np.float32)
    return [Part(rock * scale + place, colour), Part(snow * scale + place, (246, 248, 252), quiet=True)]


def _ripples(rng: np.random.Generator, top: float, bottom: float, count: int) -> Parts:
    parts: Parts = []
    for _ in range(count):
        x, y = rng.uniform(16, 84), rng.uniform(top, bottom)
        parts.append(Part(ellipse(x, y, rng.uniform(5, 10), 0.9), _LIGHT_WATER, quiet=True))
    return parts


def _bush(x: float, y: float, size: float) -> Part:
    return Part(smooth("-12 4, -11 -3, -5 -8, 2 -9, 9 -6, 12 1, 9 5") * size + (x, y), (76, 132, 72))


def lake(rng: np.random.Generator) -> Parts:
    """Still water before mountains, with a shore all round."""
    parts = [sky((170, 212, 238)), *clouds(rng)[:1]]
    for x, high in ((rng.uniform(14, 34), 34), (rng.uniform(60, 84), 40)):
        parts += _peak(x, 52, high, 70, (112, 124, 150))
    parts += [land(rng, 50, 3, (96, 148, 92)), Part(below(ACROSS, np.full_like(ACROSS, 58)), (126, 176, 96))]
    parts.append(Part(ellipse(50, 75, rng.uniform(40, 45), 15), _WATER))
    return [*parts, *_ripples(rng, 66, 84, 5), _bush(rng.uniform(6, 16), 92, 1), _bush(rng.uniform(84, 94), 92, 0.9)]


def river(rng: np.random.Generator) -> Parts:
    """A river that winds from the hills to the front."""
    parts = [sky((176, 218, 240)), *clouds(rng), land(rng, 40, 6, (120, 168, 104)), land(rng, 48, 3, (136, 190, 92))]
    bend = rng.choice((-1, 1)) * rng.uniform(12, 18)
    y = np.linspace(46, 104, 16)
    depth = (y - 46) / 58
    middle = 50 + bend * np.sin(depth * 2 * np.pi) * (0.3 + 0.7 * depth)
    half = 2 + 24 * depth**1.4
    banks = np.concatenate([np.stack([middle - half, y], 1), np.stack([middle + half, y], 1)[::-1]])
    parts.append(Part(banks, _WATER))
    for i in (6, 9, 12):
        parts.append(Part(ellipse(middle[i], y[i], 0.5 * half[i], 0.9), _LIGHT_WATER, quiet=True))
    return [*parts, _bush(rng.uniform(6, 14), 70, 0.9), _bush(rng.uniform(86, 94), 62, 0.7)]


def waterfall(rng: np.random.Generator) -> Parts:
    """Water that falls over a cliff into a pool."""
    x, top = rng.uniform(40, 60), rng.uniform(18, 26)
    parts = [sky((178, 220, 238)), land(rng, top, 2, (92, 150, 84))]
    parts.append(Part(below(ACROSS, np.full_like(ACROSS, top + 6)), (128, 112, 104)))
    for left in (-4, 74):
        parts.append(Part(box(left, top + 12, 30, 60), (108, 92, 88)))
    parts.append(Part(polygon("-11 0, 11 0, 16 60, -16 60") + np.array((x, top), np.float32), (200, 230, 244)))
    for shift in (-7, 0, 7):
        line = curve("0 0, 1 20, 0 40, 1 58", 2.2) + np.array((x + shift, top + 2), np.float32)
        parts.append(Part(line, (250, 253, 255), quiet=True))
    parts.append(Part(ellipse(x, 88, 46, 14), _WATER))
    parts += [Part(ellipse(x + shift, 78, 7, 4), (246, 250, 252)) for shift in (-13, -4, 5, 14)]
    return [*parts, _bush(8, 82, 1.1), _bush(92, 80, 1.2)]


def canyon(rng: np.random.Generator) -> Parts:
    """Red walls in steps on both sides of a gorge."""
    parts = [sky((150, 206, 236)), *clouds(rng)[:1], land(rng, 44, 2, (222, 150, 104), 1)]
    for inner, top, colour in ((16, 40, (214, 126, 84)), (10, 30, (190, 98, 66)), (2, 20, (160, 76, 56))):
        left, right = 50 - inner + rng.uniform(-2, 2), 50 + inner + rng.uniform(-2, 2)
        steps = np.array([(0, 0), (-6, 18), (-10, 20), (-14, 44), (-18, 46), (-22, 90)], np.float32)
        wall = np.concatenate([[(-5, top)], steps * (1, 1) + (left - 18, top), [(left - 30, 110), (-5, 110)]])
        parts.append(Part(wall.astype(np.float32), colour))
        parts.append(Part((np.array((100, 0)) - wall * (1, -1) + (right - (100 - left), 0)).astype(np.float32), colour))
    parts.append(Part(polygon("-3 52, 3 52, 24 108, -24 108") + np.array((50, 0), np.float32), (104, 172, 196)))
    return parts


def farm(rng: np.random.Generator) -> Parts:
    """A red barn on a farm, with a fence."""
    x = rng.uniform(44, 58)
    parts = [sky((168, 214, 242)), *clouds(rng), land(rng, 58, 4, (150, 196, 92)), land(rng, 72, 2, (206, 184, 96))]
    place = np.array((x, 80), np.float32)
    parts += [
        Part(polygon("-24 0, 24 0, 24 -30, 14 -44, 0 -51, -14 -44, -24 -30") + place, (190, 52, 46)),
        Part(
            polygon("-28 -27, -15 -47, 0 -55, 15 -47, 28 -27, 24 -27, 13 -43, 0 -50, -13 -43, -24 -27") + place,
            (96, 70, 62),
        ),
        Part(box(x - 10, 58, 20, 22), (244, 236, 224)),
        Part(polygon("-8 -20, -5 -20, 8 -2, 5 -2") + place, (190, 52, 46)),
        Part(polygon("8 -20, 5 -20, -8 -2, -5 -2") + place, (190, 52, 46)),
        Part(box(x - 4, 38, 8, 8), (244, 236, 224)),
    ]
    parts += [Part(box(post, 80, 2.4, 13), (240, 232, 214)) for post in range(2, 100, 12)]
    return [*parts, Part(box(-5, 83, 110, 2.2), (240, 232, 214)), Part(box(-5, 88, 110, 2.2), (240, 232, 214))]


def pool(rng: np.random.Generator) -> Parts:
    """A swimming pool with a ladder, a ball and a parasol."""
    parts = [sky((232, 218, 190)), Part(box(-5, -5, 110, 33), (128, 186, 108))]
    parts.append(Part(polygon("16 36, 84 36, 98 92, 2 92"), (246, 246, 242)))
    parts.append(Part(polygon("20 40, 80 40, 92 88, 8 88"), (62, 182, 218)))
    parts += _ripples(rng, 46, 84, 7)
    x = rng.uniform(26, 74)
    parts += [
        Part(box(x - 0.8, 12, 1.6, 24), (150, 110, 82)),
        Part(smooth("-15 0, -9 -9, 0 -12, 9 -9, 15 0") + (x, 18), (232, 84, 76)),
    ]
    parts.append(Part(ellipse(rng.uniform(30, 70), rng.uniform(56, 76), 5.5), (250, 214, 84)))
    for rail in (82, 87):
        parts.append(Part(curve("0 0, 0 -12, 4 -14, 5 -8", 1.6) + np.array((rail, 70), np.float32), (150, 156, 168)))
    return parts


def library(rng: np.random.Generator) -> Parts:
    """Shelves full of books."""
    bindings = ((178, 60, 54), (48, 96, 150), (62, 124, 84), (214, 164, 62), (112, 72, 128), (226, 214, 190))
    parts = [sky((214, 188, 154)), Part(box(4, 3, 92, 98), (122, 80, 52)), Part(box(8, 7, 84, 94), (84, 54, 38))]
    for shelf in (34, 62, 90):
        x = 9.0
        while x < 87:
            wide, high = rng.uniform(4, 7), rng.uniform(15, 23)
            if rng.random() < 0.9:
                parts.append(Part(box(x, shelf - high, wide, high), bindings[rng.integers(len(bindings))]))
            x += wide + 0.6
        parts.append(Part(box(6, shelf, 88, 3.4), (150, 102, 66)))
    return parts


def market(rng: np.random.Generator) -> Parts:
    """A market stall with a striped awning and fruit in boxes."""
    stripes = (((214, 58, 54), (250, 246, 236)), ((52, 124, 92), (250, 246, 236)), ((52, 96, 168), (252, 236, 190)))
    pair = stripes[rng.integers(len(stripes))]
    parts = [sky((196, 222, 236)), Part(below(ACROSS, np.full_like(ACROSS, 80)), (196, 180, 166))]
    parts += [Part(box(x, 30, 3, 58), (134, 96, 64)) for x in (14, 83)]
    for i in range(8):
        x = 8 + 10.5 * i
        parts.append(Part(polygon("1 0, 9.5 0, 10.5 22, 0 22") + np.array((x, 16), np.float32), pair[i % 2]))
        parts.append(Part(ellipse(x + 5.2, 38, 5.2, 4), pair[i % 2], quiet=True))
    parts.append(Part(box(10, 66, 80, 24), (168, 118, 74)))
    fruits = ((216, 50, 46), (246, 146, 40), (122, 176, 62), (246, 208, 70))
    for box_number, x in enumerate((12, 31.5, 51, 70.5)):
        colour = fruits[(box_number + int(rng.integers(4))) % 4]
        parts += [Part(ellipse(x + 3.6 + 5.4 * k, 62 - 2 * (k % 2), 3.4), colour) for k in range(3)]
        parts.append(Part(box(x, 63, 17.5, 8), (206, 158, 104)))
    return parts


DRAWN_BY: dict[str, Callable[[np.random.Generator], Parts]] = {
    "lake": lake,
    "river": river,
    "waterfall": waterfall,
    "canyon": canyon,
    "farm": farm,
    "pool": pool,
    "library": library,
    "market": market,
}
