"""Things: each is a list of parts in a square, which its longer side almost fills.

A variant is a small number that decides details which hardly change the silhouette.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from recipes.tiny.drawings.shapes import Part, box, curve, ellipse, polygon, smooth, star

Parts = list[Part]


def house(variant: int) -> Parts:
    """A house with a chimney; the variant places the door and the windows."""
    side = 22 if variant % 2 else 66
    parts = [
        Part(box(side, 22, 12, 28), "dark"),
        Part(box(12, 56, 76, 44), "main"),
        Part(polygon("50 14, 100 58, 94 64, 6 64, 0 58"), "dark"),
        Part(ellipse(50, 45, 7.5), "cream"),
    ]
    door = (42, 22, 62)[variant % 3]
    parts.append(Part(box(door, 72, 17, 28), "wood"))
    for x in {42: (19, 65), 22: (46, 66), 62: (18, 38)}[door]:
        parts += [Part(box(x, 71, 15, 15), "gold")]
    return parts


def tree(variant: int) -> Parts:
    """A fir: tiers of branches."""
    parts = [Part(box(43, 84, 14, 16), "wood")]
    tiers = (
        ("50 38, 66 62, 94 90, 72 86, 50 92, 28 86, 6 90, 34 62", "dark"),
        ("50 18, 66 42, 86 64, 68 61, 50 66, 32 61, 14 64, 34 42", "main"),
        ("50 0, 62 20, 78 40, 64 37, 50 41, 36 37, 22 40, 38 20", "light"),
    )
    parts += [Part(polygon(text), role) for text, role in tiers]
    if variant % 3:
        places = ((38, 32), (58, 35), (36, 56), (64, 54), (50, 78), (28, 80), (72, 80))
        parts += [Part(ellipse(x, y, 3.4), "gold" if variant % 3 == 1 else "cream") for x, y in places]
    return parts


def boat(variant: int) -> Parts:
    """A sailing boat."""
    parts = [
        Part(box(47.5, 2, 4, 72), "wood"),
        Part(smooth("54 4, 62 22, 84 50, 92 64, 54 66, 54 40"), "main"),
        Part(smooth("45 14, 45 40, 45 66, 12 66, 30 44"), "light"),
        Part(polygon("2 74, 98 74, 84 98, 18 98"), "dark"),
        Part(polygon("2 74, 98 74, 95 80, 4 80"), "cream"),
    ]
    if variant % 2:
        parts.append(Part(polygon("51.5 2, 68 7, 51.5 12"), "gold"))
    if variant % 3 == 0:
        parts += [Part(ellipse(x, 88, 4), "cream") for x in (34, 50, 66)]
    return parts


def lighthouse(variant: int) -> Parts:
    """A striped lighthouse on a rock."""
    parts = [
        Part(smooth("10 100, 18 91, 30 88, 50 87, 72 88, 84 92, 90 100"), "stone"),
        Part(polygon("35 28, 65 28, 78 95, 22 95"), "main"),
    ]
    for top, bottom in ((40, 52), (66, 80)):
        edge = [(35 - (y - 28) * 13 / 67, y) for y in (top, bottom)]
        band = [edge[0], (100 - edge[0][0], top), (100 - edge[1][0], bottom), edge[1]]
        parts.append(Part(np.array(band), "cream" if variant % 3 else "light"))
    return [
        *parts,
        Part(box(38, 11, 24, 16), "gold"),
        Part(box(48.5, 11, 3, 16), "ink", quiet=True),
        Part(polygon("50 -2, 68 12, 32 12"), "dark"),
        Part(box(28, 26, 44, 7), "dark"),
        Part(box(45, 56, 10, 8) if variant % 2 else ellipse(50, 59, 5), "ink"),
        Part(polygon("43 94, 43 86, 50 82, 57 86, 57 94"), "wood"),
    ]


def car(variant: int) -> Parts:
    """A car from the side, in some variants with luggage on its roof."""
    parts = [
        Part(smooth("1 76, 2 60, 22 54, 33 35, 50 31, 68 34, 82 54, 96 60, 99 76, 90 81, 10 81"), "main"),
        Part(polygon("28 54, 37 39, 48 37, 48 54"), "glass"),
        Part(polygon("53 54, 53 37, 66 39, 76 54"), "glass"),
        Part(box(2, 68, 96, 5), "light" if variant % 2 else "dark", quiet=True),
        Part(ellipse(94, 64, 4), "gold"),
        Part(box(53, 58, 8, 3), "ink", quiet=True),
    ]
    for x in (24, 76):
        parts += [Part(ellipse(x, 80, 13), "ink"), Part(ellipse(x, 80, 5.5), "cream")]
    if variant % 3 == 0:
        parts = [Part(box(36, 26, 30, 5), "wood"), *parts]
    return parts


def balloon(variant: int) -> Parts:
    """A hot-air balloon."""
    envelope = "50 0, 71 4, 86 20, 87 39, 76 57, 60 77, 40 77, 24 57, 13 39, 14 20, 29 4"
    gore = "50 0, 63 12, 69 34, 65 55, 57 77, 43 77, 35 55, 31 34, 37 12"
    heart = "50 0, 55 14, 57 34, 55 56, 52 77, 48 77, 45 56, 43 34, 45 14"
    parts = [
        Part(polygon("40 76, 42 76, 45 90, 43 90"), "wood", quiet=True),
        Part(polygon("60 76, 58 76, 55 90, 57 90"), "wood", quiet=True),
        Part(smooth(envelope), "main"),
        Part(smooth(gore), "light" if variant % 2 else "cream"),
        Part(smooth(heart), "main" if variant % 3 else "dark"),
        Part(box(38, 75, 24, 4), "dark"),
        Part(polygon("40 87, 60 87, 58 100, 42 100"), "wood"),
    ]
    return parts


def cup(variant: int) -> Parts:
    """A steaming cup on a saucer."""
    parts = [
        Part(ellipse(46, 94, 46, 6), "light"),
        Part(curve("70 46, 86 42, 95 54, 88 68, 68 74", 8), "dark"),
        Part(smooth("12 34, 46 38, 80 34, 78 60, 70 82, 58 92, 34 92, 22 82, 14 60"), "main"),
        Part(ellipse(46, 34, 34, 8.5), "light"),
        Part(ellipse(46, 35, 28, 5.5), "coffee"),
    ]
    band = smooth("14 56, 46 61, 78 56, 77 66, 46 71, 15 66")
    if variant % 2:
        parts.insert(3, Part(band, "dark"))
    steam = ("34 22, 28 14, 36 8, 31 0", "56 22, 50 14, 58 8, 53 0")
    return [*parts, *(Part(curve(text, 5), "cream") for text in steam)]


def fish(variant: int) -> Parts:
    """A striped fish."""
    parts = [
        Part(smooth("70 50, 86 34, 99 20, 95 50, 99 80, 86 66"), "dark"),
        Part(smooth("34 30, 42 12, 60 8, 66 18, 64 34"), "dark"),
        Part(smooth("42 70, 48 86, 62 88, 60 68"), "dark"),
        Part(smooth("1 52, 12 36, 34 24, 56 28, 74 44, 78 50, 74 56, 56 72, 34 78, 12 66"), "main"),
    ]
    stripes = ("44 25, 52 26, 56 50, 52 74, 44 76, 49 50", "62 32, 68 38, 70 50, 68 62, 62 68, 65 50")
    parts += [Part(smooth(text), "light" if variant % 2 else "cream") for text in stripes]
    return [
        *parts,
        Part(smooth("30 52, 44 48, 42 60, 32 62"), "dark"),
        Part(ellipse(18, 45, 6.5), "cream"),
        Part(ellipse(17, 45, 3.4), "ink"),
    ]


def duck(variant: int) -> Parts:
    """A duck."""
    body = "2 44, 12 54, 30 58, 50 58, 62 46, 86 50, 90 70, 78 90, 52 96, 26 92, 8 76"
    parts = [
        Part(smooth("80 24, 99 27, 98 33, 82 38, 76 32"), "beak"),
        Part(smooth(body), "main"),
        Part(ellipse(68, 28, 20, 19), "main"),
        Part(smooth("24 66, 44 62, 62 68, 60 80, 44 86, 28 80"), "dark"),
        Part(ellipse(74, 23, 5), "cream"),
        Part(ellipse(75, 23, 2.8), "ink"),
    ]
    if variant % 2:
        parts.insert(3, Part(smooth("52 46, 66 50, 84 44, 85 50, 66 56, 52 52"), "cream"))
    if variant % 3 == 0:
        parts.insert(-2, Part(smooth("32 72, 46 70, 56 73, 46 78"), "light"))
    return parts


def cat(variant: int) -> Parts:
    """A sitting cat."""
    coat = "dark" if variant % 2 else "light"
    parts = [
        Part(curve("60 94, 78 95, 91 87, 93 73, 87 60, 91 47", 10, steps=10), "dark"),
        Part(ellipse(91, 46, 5), "dark", quiet=True),
        Part(smooth("34 44, 66 44, 76 66, 80 88, 72 99, 28 99, 20 88, 24 66"), "main"),
        Part(smooth("50 54, 60 62, 60 80, 50 86, 40 80, 40 62"), "light"),
        Part(polygon("20 34, 18 2, 46 16"), "main"),
        Part(polygon("80 34, 82 2, 54 16"), "main"),
        Part(polygon("25 24, 24 11, 36 17"), "light"),
        Part(polygon("75 24, 76 11, 64 17"), "light"),
        Part(smooth("50 10, 72 15, 84 32, 78 48, 62 56, 38 56, 22 48, 16 32, 28 15"), "main"),
        Part(polygon("45 11, 55 11, 50 24"), coat, quiet=True),
    ]
    for x in (36, 64):
        parts += [Part(ellipse(x, 33, 7, 6.5), "gold"), Part(ellipse(x, 33, 2.4, 6), "ink")]
    parts += [Part(ellipse(50, 46, 10, 7), "cream"), Part(polygon("46 42, 54 42, 50 47"), "ink")]
    parts += [Part(ellipse(x, 95, 10, 5), coat) for x in (38, 62)]
    return parts


def butterfly(variant: int) -> Parts:
    """A butterfly with open wings."""
    parts: Parts = []
    for mirrored in (False, True):

        def half(outline: np.ndarray, mirrored: bool = mirrored) -> np.ndarray:
            return np.stack([100 - outline[:, 0], outline[:, 1]], 1) if mirrored else outline

        parts += [
            Part(half(curve("49 24, 44 12, 34 5", 3)), "ink"),
            Part(half(smooth("48 50, 34 52, 14 62, 12 80, 24 94, 38 84, 47 66")), "dark"),
            Part(half(smooth("48 30, 36 14, 16 8, 2 14, 3 34, 12 52, 32 56, 48 52")), "main"),
            Part(half(smooth("18 20, 30 24, 32 38, 20 42, 10 32")), "light" if variant % 2 else "cream"),
            Part(half(ellipse(26, 76, 6.5)), "gold" if variant % 3 else "cream"),
        ]
    return [*parts, Part(smooth("50 20, 54 27, 53 54, 50 80, 47 54, 46 27"), "ink")]


def flower(variant: int) -> Parts:
    """A flower of six to eight petals, with its stem and leaves."""
    parts = [
        Part(curve("50 40, 52 74, 49 100", 6), "leaf"),
        Part(smooth("51 90, 62 78, 86 76, 80 88, 62 94"), "leaf"),
        Part(smooth("49 96, 38 82, 14 80, 20 92, 36 99"), "leaf"),
    ]
    petals = 6 + variant % 3
    for i in range(petals):
        angle = 2 * np.pi * i / petals - np.pi / 2
        x, y = 50 + 25 * np.cos(angle), 41 + 25 * np.sin(angle)
        petal = ellipse(x, y, 17, 70 / petals, float(np.degrees(angle)))
        parts.append(Part(petal, "light" if i % 2 and petals % 2 == 0 else "main"))
    return [*parts, Part(ellipse(50, 41, 12), "coffee" if variant % 2 else "gold")]


def mushroom(variant: int) -> Parts:
    """A spotted mushroom."""
    parts = [
        Part(smooth("34 60, 66 60, 68 82, 77 95, 64 100, 36 100, 23 95, 32 82"), "cream"),
        Part(smooth("33 66, 67 66, 65 73, 35 73"), "stone", quiet=True),
        Part(smooth("0 60, 4 38, 24 19, 50 13, 76 19, 96 38, 100 60, 76 67, 50 69, 24 67"), "main"),
        Part(smooth("2 61, 26 64, 50 65, 74 64, 98 61, 76 68, 50 70, 24 68"), "dark"),
    ]
    spots = ((28, 38, 8), (56, 27, 7.5), (75, 45, 8.5), (48, 50, 6.5), (13, 52, 4.5))
    return parts + [Part(ellipse(x, y, r, 0.86 * r), "cream") for x, y, r in spots[: 5 - variant % 2]]


def five_pointed_star(variant: int) -> Parts:
    """A five-pointed star, with facets or with a smaller star in it."""
    outline = star(50, 53, 51, 22)
    parts = [Part(outline, "main")]
    if variant % 3:
        parts += [
            Part(np.array([(50, 53), outline[i], outline[(i + 1) % 10]]), "light" if variant % 3 == 1 else "dark")
            for i in range(0, 10, 2)
        ]
    else:
        parts += [Part(star(50, 53, 28, 12), "light")]
    return parts


DRAWN_BY: dict[str, Callable[[int], Parts]] = {
    "house": house,
    "tree": tree,
    "boat": boat,
    "lighthouse": lighthouse,
    "car": car,
    "balloon": balloon,
    "cup": cup,
    "fish": fish,
    "duck": duck,
    "cat": cat,
    "butterfly": butterfly,
    "flower": flower,
    "mushroom": mushroom,
    "star": five_pointed_star,
}
VARIANTS = 6
STRETCH = {"car": 1.15, "boat": 1.08, "lighthouse": 1.15, "flower": 1.08, "fish": 1.1, "balloon": 1.1, "house": 1.08}
"""Factors for things that would otherwise look small."""
AFLOAT = ("balloon", "butterfly", "star", "fish")
"""Things that hang in the air (or the water) and do not stand on the ground."""


@lru_cache(maxsize=None)
def draw_object(name: str, variant: int) -> Parts:
    """The parts of a thing, in its square; they must not be changed."""
    return DRAWN_BY[name](variant)
