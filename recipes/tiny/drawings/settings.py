"""Where things stand: what is behind them and what is in front of them. The square is the whole picture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from recipes.tiny.drawings.shapes import Colour, Part, below, box, curve, ellipse, polygon, smooth, star

Parts = list[Part]
Setting = tuple[Parts, Parts]
"""The parts behind the object, and those in front of it."""

ACROSS = np.linspace(-4, 104, 28)
"""x of the points of a line across the picture."""


def land(rng: np.random.Generator, height: float, rise: float, colour: Colour, waves: float = 1.5) -> Part:
    """Ground up to an uneven horizon."""
    phase, other = rng.uniform(0, 2 * np.pi, 2)
    turn = ACROSS * (2 * np.pi / 100)
    line = height - rise * (np.sin(turn * waves + phase) + 0.5 * np.sin(turn * 2.3 * waves + other)) / 1.5
    return Part(below(ACROSS, line), colour)


def sky(colour: Colour) -> Part:
    """All of the picture in one colour."""
    return Part(box(-5, -5, 110, 110), colour)


def _cloud(x: float, y: float, size: float, colour: Colour = (250, 250, 248)) -> Part:
    outline = "-22 6, -20 -2, -11 -4, -6 -11, 5 -12, 10 -5, 19 -4, 22 4, 14 7, -12 7"
    return Part(smooth(outline) * size + (x, y), colour)


def clouds(rng: np.random.Generator, colour: Colour = (250, 250, 248)) -> Parts:
    """One cloud on each side."""
    left, right = rng.uniform(8, 34), rng.uniform(66, 92)
    return [_cloud(x, rng.uniform(10, 26), rng.uniform(0.5, 0.85), colour) for x in (left, right)]


def sides(rng: np.random.Generator) -> tuple[float, float]:
    """x of a place on the left and of one on the right, where the object leaves room."""
    return float(rng.uniform(4, 17)), float(rng.uniform(83, 96))


def sea(rng: np.random.Generator) -> Setting:
    """A beach by the sea, with waves and a starfish."""
    horizon = rng.uniform(44, 56)
    parts = [sky((166, 214, 238)), Part(ellipse(rng.choice((14, 86)), 18, 9), (255, 226, 120)), *clouds(rng)[:1]]
    parts.append(Part(box(-5, horizon, 110, 70), (70, 146, 190)))
    for k, colour in enumerate(((52, 122, 172), (82, 164, 200), (44, 108, 160))):
        phase, top = rng.uniform(0, 9), horizon + 5 + k * (84 - horizon) / 3
        wave = top - 2.6 * np.abs(np.sin(ACROSS * (0.19 - 0.02 * k) + phase))
        parts.append(Part(below(ACROSS, wave), colour))
    foam = 86 - 1.6 * np.sin(ACROSS * 0.07 + rng.uniform(0, 9))
    parts += [Part(below(ACROSS, foam - 2.5), (240, 248, 248)), Part(below(ACROSS, foam), (236, 208, 150))]
    x, y = rng.uniform(6, 94), rng.uniform(94, 97)
    return parts, [Part(star(x, y, 6, 2.6), (224, 120, 92))]


def field(rng: np.random.Generator) -> Setting:
    """Fields with flowers in front."""
    parts = [sky((150, 206, 242)), *clouds(rng)]
    parts.append(land(rng, rng.uniform(46, 52), 7, (126, 180, 110)))
    parts.append(land(rng, rng.uniform(58, 64), 5, (158, 200, 84)))
    parts.append(land(rng, rng.uniform(72, 78), 3, (104, 168, 72)))
    front: Parts = []
    for x in (*rng.uniform(2, 26, 3), *rng.uniform(74, 98, 3)):
        y = rng.uniform(82, 95)
        colour = ((252, 250, 240), (250, 210, 80), (236, 110, 120))[rng.integers(3)]
        front += [Part(ellipse(x, y, 3), colour), Part(ellipse(x, y, 1), (240, 180, 60), quiet=True)]
    return parts, front


def fir(x: float, foot: float, high: float) -> Parts:
    """A fir with snow on its tip."""
    tiers = "0 -100, 22 -55, 12 -55, 36 0, -36 0, -12 -55, -22 -55"
    snow = "0 -100, 13 -73, 4 -77, -4 -72, -13 -73"
    place = np.array((x, foot), np.float32)
    return [
        Part(polygon(tiers) * (high / 100) + place, (58, 104, 112)),
        Part(polygon(snow) * (high / 100) + place, (250, 252, 255), quiet=True),
    ]


def snow(rng: np.random.Generator) -> Setting:
    """Falling snow over hills and firs."""
    parts = [sky((156, 174, 200)), land(rng, rng.uniform(48, 56), 6, (206, 218, 234))]
    for x in (*sides(rng), *rng.uniform(22, 78, 2)):
        parts += fir(x, rng.uniform(58, 66), rng.uniform(22, 38))
    parts.append(land(rng, rng.uniform(66, 70), 3, (240, 244, 250)))
    for i in range(15):
        x, y = (i % 5) * 20 + rng.uniform(3, 17), (i // 5) * 17 + rng.uniform(2, 15)
        parts.append(Part(ellipse(x, y, rng.uniform(1.5, 2.3)), (252, 253, 255)))
    return parts, [land(rng, 95, 2.5, (222, 230, 242), 1)]


def night(rng: np.random.Generator) -> Setting:
    """A town at night."""
    moon = rng.choice((16, 84))
    parts = [sky((30, 36, 84)), Part(ellipse(moon, 17, 10), (250, 240, 196))]
    parts.append(Part(ellipse(moon + 4.5, 14.5, 8.5), (30, 36, 84), quiet=True))
    for i in range(10):
        x, y = (i % 5) * 20 + rng.uniform(3, 17), (i // 5) * 20 + rng.uniform(3, 17)
        if abs(x - moon) > 14 or y > 32:
            parts.append(Part(star(x, y, rng.uniform(2, 3), 0.9, 4), (255, 246, 200)))
    left = -4.0
    while left < 100:
        wide, top = rng.uniform(13, 20), rng.uniform(40, 62)
        parts.append(Part(box(left, top, wide, 60), ((46, 46, 96), (58, 52, 108))[rng.integers(2)]))
        for row in range(2):
            for column in range(2):
                if rng.random() < 0.75:
                    window = box(left + wide * (0.2 + 0.4 * column), top + 4 + 9 * row, wide * 0.22, 5)
                    parts.append(Part(window, (255, 214, 110)))
        left += wide
    parts.append(Part(below(ACROSS, np.full_like(ACROSS, 78)), (66, 62, 104)))
    return parts, [Part(box(-5, 95, 110, 12), (42, 40, 76))]


def _cactus(x: float, foot: float, high: float) -> Parts:
    green, place, scale = (84, 134, 92), np.array((x, foot), np.float32), high / 34
    limbs = (
        ("0 2, 0 -18, 0 -34", 7.5),
        ("-2 -10, -9 -12, -10 -22", 5),
        ("2 -14, 9 -16, 10 -27", 5),
    )
    return [Part(curve(text, width) * scale + place, green) for text, width in limbs]


def desert(rng: np.random.Generator) -> Setting:
    """Dunes with cactuses under a low sun."""
    parts = [sky((252, 206, 146)), Part(ellipse(rng.uniform(14, 86), 26, 15), (244, 120, 74))]
    parts.append(land(rng, rng.uniform(50, 56), 6, (218, 140, 92), 1))
    parts.append(land(rng, rng.uniform(62, 68), 4, (236, 172, 104), 1))
    for x in sides(rng):
        parts += _cactus(x, rng.uniform(72, 80), rng.uniform(30, 44))
    parts.append(land(rng, 80, 2.5, (244, 196, 128), 1))
    stone = smooth("-9 4, -7 -3, 0 -5, 6 -4, 9 4")
    return parts, [Part(stone * rng.uniform(0.7, 1.1) + (rng.uniform(6, 94), 96), (178, 112, 84))]


def forest(rng: np.random.Generator) -> Setting:
    """Trunks, leaves and ferns."""
    parts = [sky((120, 160, 112)), Part(below(ACROSS, np.full_like(ACROSS, 70.0)), (74, 106, 62))]
    for i in range(6):
        x, wide = i * 18 + rng.uniform(0, 9), rng.uniform(5, 9)
        bark = ((92, 72, 58), (112, 86, 66))[i % 2]
        foot = rng.uniform(70, 78)
        parts.append(Part(polygon("-50 -10, 50 -10, 80 100, -80 100") * (wide / 100, foot / 100) + (x, 0), bark))
    for i in range(7):
        x, y = i * 16 + rng.uniform(-2, 6), rng.uniform(-2, 8)
        parts.append(Part(ellipse(x, y, rng.uniform(12, 16)), ((54, 96, 58), (70, 116, 64))[i % 2]))
    front: Parts = []
    fern = smooth("0 6, -14 4, -15 -4, -8 -2, -6 -10, 0 -4, 5 -12, 8 -3, 15 -5, 14 4")
    for x in sides(rng):
        front.append(Part(fern * rng.uniform(0.9, 1.3) + (x, 94), (48, 88, 50)))
    return parts, front


def table(rng: np.random.Generator) -> Setting:
    """A table in a room, with a window in the wall behind it."""
    left, edge = rng.choice((8, 58)), rng.uniform(68, 73)
    parts = [sky((226, 196, 178)), Part(box(left - 3, 5, 40, 46), (250, 244, 232))]
    for x in (left, left + 18):
        parts += [Part(box(x, y, 16, 19), (160, 206, 232)) for y in (8, 29)]
    lamp = 150 - (left + 17) - 52
    parts += [Part(box(lamp - 0.8, -4, 1.6, 16), (110, 78, 70)), Part(box(lamp - 3, 20, 6, 5), (255, 236, 160))]
    parts.append(Part(polygon("-5 0, 5 0, 12 10, -12 10") + np.array((lamp, 11), np.float32), (186, 96, 84)))
    parts.append(Part(below(ACROSS, np.full_like(ACROSS, edge)), (178, 122, 78)))
    parts.append(Part(box(-5, edge + 8, 110, 1.6), (150, 98, 62), quiet=True))
    return parts, [Part(box(-5, 93, 110, 12), (136, 88, 58))]


def plain(rng: np.random.Generator) -> Setting:
    """An even background in a pale tint."""
    tints = ((238, 226, 200), (206, 222, 226), (226, 214, 228), (214, 226, 204), (240, 218, 210))
    return [sky(tints[rng.integers(len(tints))])], []


DRAWN_BY: dict[str, Callable[[np.random.Generator], Setting]] = {
    "sea": sea,
    "field": field,
    "snow": snow,
    "night": night,
    "desert": desert,
    "forest": forest,
    "table": table,
    "plain": plain,
}
