"""Four pictures that differ in palette, line and texture."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from drawing.canvas import (
    FINE,
    X,
    Y,
    area,
    backdrop,
    ellipse,
    fill,
    glow,
    line,
    noise,
    points,
    rgb,
    smooth,
    soft,
)


def watercolour() -> np.ndarray:
    """Misty hills in blue washes: pigment multiplies, gathers at edges and settles in the paper's grain."""
    rng = np.random.default_rng(5)
    grain = noise(rng, 256, 2)
    p = (0.97 - 0.05 * grain)[..., None] * rgb("#fffdf6")

    def wash(mask: np.ndarray, colour: str, strength: float) -> None:
        wet = soft(mask, 0.002)
        edge = 1.1 * np.clip(wet - soft(mask, 0.012), 0, 1)
        density = wet * (0.25 + 0.9 * noise(rng, 5)) * (0.8 + 0.4 * grain) + edge
        p[...] *= 1 - np.clip(density * strength, 0, 1)[..., None] * (1 - rgb(colour))

    moon = soft(ellipse(0.66, 0.24, 0.1), 0.006)
    wash(
        np.clip(2.2 * (noise(rng, 4) - 0.25), 0, 1) * np.clip((0.8 - Y) / 0.4, 0, 1) * (1 - moon),
        "#6fa8d8",
        0.85,
    )
    for height, rise, colour, strength in (
        (0.46, 0.10, "#9cc3e0", 0.8), (0.57, 0.09, "#6699c8", 0.85), (0.68, 0.08, "#3f74b0", 0.95),
        (0.80, 0.07, "#27508f", 1.0), (0.92, 0.05, "#162f66", 1.1),
    ):  # fmt: skip
        ridge = height - 2.2 * rise * (noise(rng, 5, 5)[0] - 0.5)
        wash((ridge < Y) * np.clip((height + 0.26 - Y) / 0.2, 0, 1), colour, strength)
    for colour in ("#27508f", "#3f9fb8", "#6699c8"):
        drops = zip(rng.uniform(0, 1, (24, 2)), rng.exponential(0.004, 24) + 0.001)
        spots = np.max([ellipse(x, y, r) for (x, y), r in drops], axis=0)
        p *= 1 - 0.5 * soft(spots, 0.001)[..., None] * (1 - rgb(colour))
    border = np.minimum(np.minimum(X, 1 - X), np.minimum(Y, 1 - Y)) + 0.02 * (noise(rng, 12) - 0.5)
    bare = np.clip((0.045 - border) / 0.004, 0, 1)[..., None]
    return p * (1 - bare) + (0.985 - 0.04 * grain[..., None]) * bare


def woodcut() -> np.ndarray:
    """Sun, hills and sea in black on cream: tone is the width of lines that follow each form."""
    rng = np.random.default_rng(6)
    wobble = 0.8 * (noise(rng, 9, 3) - 0.5)

    def hatched(phase: np.ndarray, tone: np.ndarray) -> np.ndarray:
        return np.mod(phase + wobble, 1) < tone

    radius, turn = np.hypot(X - 0.62, Y - 0.36), np.arctan2(Y - 0.36, X - 0.62) / (2 * np.pi)
    black = hatched(72 * turn, np.clip(1.05 - 1.25 * radius - 0.55 * Y, 0.12, 0.8) * (0.3 + 1.2 * radius))
    black = np.where(radius < 0.19, radius > 0.165, black)
    black |= (radius > 0.15) & (radius < 0.155)
    for k in range(3):
        ridge = 0.5 + 0.1 * k + (0.09 - 0.02 * k) * np.sin(X * (7 + 3 * k) + 2.1 * k) + 0.02 * np.sin(X * 23 + k)
        deep = Y - ridge
        lines = hatched(deep * (34 + 4 * k) + X * (6 - 7 * k), np.clip(0.75 - 2.4 * deep + 0.12 * k, 0.28, 0.85))
        black = np.where(deep > 0, lines | (deep < 0.009), black & (deep < -0.008))
    waves = hatched(Y * 42 + 0.35 * np.sin(X * 30 + Y * 40), np.clip(0.35 + 0.5 * np.abs(X - 0.62), 0.3, 0.8))
    black = np.where(0.82 + 0.012 * np.sin(X * 25) < Y, waves, black)
    tree = _tree(rng)
    black = (black & (soft(tree, 0.004) < 0.15)) | (tree > 0)
    return np.where(black[..., None], rgb("#191512"), rgb("#f3e8cf"))


def _tree(rng: np.random.Generator) -> np.ndarray:
    tree = line(smooth("14 104, 15 80, 12 60, 17 42, 15 30", closed=False), 0.03)
    for branch in (
        "15 62, 24 55, 30 44",
        "14 55, 6 47, 3 38",
        "16 45, 24 36, 27 26",
        "15 38, 10 28, 9 18",
        "15 32, 18 22, 17 12",
    ):
        tree = np.maximum(tree, line(smooth(branch, closed=False), 0.012))
        for x, y in points(branch)[-1] + rng.normal(0, 0.035, (16, 2)):
            tree = np.maximum(tree, ellipse(x, y, 0.017, 0.009))
    return tree


def neon() -> np.ndarray:
    """A night drive: glowing tubes on black, light added to light."""
    rng = np.random.default_rng(7)
    p = backdrop((0, "#05030d"), (0.55, "#150726"), (0.6, "#04020a"))

    def tube(mask: np.ndarray, colour: str, strength: float = 1.0) -> None:
        light = 1.5 * soft(mask, 0.004) + 1.6 * soft(mask, 0.014) + 1.3 * soft(mask, 0.04)
        p[...] += strength * (0.75 * light[..., None] * rgb(colour) + 0.55 * soft(mask, 0.001)[..., None])

    for x, y in rng.uniform((0, 0), (1, 0.42), (70, 2)):
        glow(p, x, y, 0.0022, "#ffffff", rng.uniform(0.3, 0.9))
    sun = ellipse(0.5, 0.4, 0.2) * (np.mod(26 * Y, 1) < 1.25 - 2.75 * (Y - 0.2)) * (Y < 0.6)
    p *= 1 - sun[..., None]
    p += 0.9 * soft(sun, 0.002)[..., None] * backdrop((0.2, "#ffd23f"), (0.4, "#ff5e8a"), (0.6, "#c2189a"))
    p += 0.7 * soft(sun, 0.05)[..., None] * rgb("#ff2d8d")
    for peaks in (
        "-5 60, 8 47, 15 53, 27 36, 38 51, 44 47, 50 60",
        "50 60, 58 48, 63 52, 76 34, 86 50, 92 45, 105 60",
    ):
        p *= 1 - 0.85 * area(peaks)[..., None]
        tube(line(peaks, 0.005), "#18d9ff")
    p *= np.where(Y > 0.6, 0.1, 1)[..., None]
    rays = [line(np.array([(0.5 + 0.16 * (x - 0.5), 0.6), (x, 1.02)]), 0.0025) for x in np.linspace(-2.6, 3.6, 25)]
    rows = [line(np.array([(-0.1, y), (1.1, y)]), 0.003) for y in 0.6 + 0.42 * np.linspace(0, 1, 10) ** 2.2]
    tube(np.max(rays + rows, axis=0), "#e01bff", 0.6)
    tube(np.maximum(_palm(0.1, 0.15, 0.3), _palm(0.9, 0.85, 0.24)), "#2bff9a")
    return 1 - np.exp(-1.25 * p)


def _palm(foot: float, crown: float, top: float) -> np.ndarray:
    bend = 0.7 * foot + 0.3 * crown
    parts = [line(np.array([(foot, 0.88), (bend, (0.88 + top) / 2), (crown, top)]), 0.007)]
    for a in np.radians([-170, -140, -105, -60, -30, 5]):
        x, y = 0.13 * np.cos(a), 0.13 * np.sin(a)
        frond = np.array([(0, 0), (0.55 * x, 0.6 * y - 0.02), (x, y + 0.05)])
        parts.append(line(frond + (crown, top), 0.005))
    return np.max(parts, axis=0)


def oil_strokes() -> np.ndarray:
    """Thick strokes in warm colours, along the eddies of the sky and the furrows of a field."""
    rng = np.random.default_rng(8)
    bend = noise(rng, 4, 2) - 0.5
    colours = backdrop(
        (0, "#b5391f"), (0.2, "#e0662a"), (0.42, "#f6a83c"), (0.6, "#fbd86b"), (0.62, "#a8631f"), (1, "#6b2417")
    )  # fmt: skip
    colours += (noise(rng, 6)[..., None] - 0.5) * np.array([0.35, 0.35, 0.2])
    flow = np.where(Y < 0.61, 5 * bend, np.arctan2(Y - 0.5, X - 0.5) + 0.4 * bend)  # direction, radians
    for x, y, r in ((0.68, 0.27, 0.13), (0.27, 0.2, 0.085), (0.4, 0.45, 0.05)):
        away = np.hypot(X - x, Y - y) / r
        near = np.exp(-((away / 1.7) ** 4))
        flow = flow * (1 - near) + (np.arctan2(Y - y, X - x) + np.pi / 2) * near
        ring = (0.5 + 0.5 * np.cos(5.5 * away))[..., None]
        colours += near[..., None] * (ring * rgb("#fff3b0") + (1 - ring) * rgb("#d9531f") - colours)
    for x, y in rng.uniform((0, 0.66), (1, 1), (60, 2)):
        flower = soft(ellipse(x, y, 0.02 * y, 0.014 * y), 0.004)
        fill(colours, flower, ("#f5c518", "#d92e20", "#1f6f6a")[rng.integers(3)])
    return _stroked(colours, flow, rng)


def _stroked(colours: np.ndarray, flow: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Strokes from broad to fine, each with a lit and a shaded edge as thick paint has."""
    canvas = Image.new("RGB", (FINE, FINE), "#7a3a1c")
    draw = ImageDraw.Draw(canvas)
    for width, count in ((34, 2600), (22, 5200), (13, 5200)):
        for start in rng.uniform(0, FINE, (count, 2)):
            x, y = start.astype(int)
            paint = colours[y, x] * rng.uniform(0.84, 1.16) + rng.normal(0, 0.035, 3)
            path = [start]
            for _ in range(7):
                x, y = np.clip(path[-1], 0, FINE - 1).astype(int)
                path.append(path[-1] + 0.75 * width * np.array([np.cos(flow[y, x]), np.sin(flow[y, x])]))
            for shift, light, share in ((0, 1, 1), (-0.28, 1.14, 0.22), (0.3, 0.8, 0.22)):
                shade = tuple((255 * np.clip(paint * light, 0, 1)).astype(int).tolist())
                moved = (np.array(path) + (0, shift * width)).ravel().tolist()
                draw.line(moved, fill=shade, width=int(width * share), joint="curve")
    return np.asarray(canvas, np.float32) / 255


ALL = (watercolour, woodcut, neon, oil_strokes)
