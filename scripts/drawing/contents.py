"""Four scenes to be restyled: plain shapes under one light."""

from __future__ import annotations

import numpy as np

from drawing.canvas import (
    FINE,
    area,
    backdrop,
    ellipse,
    fill,
    glow,
    line,
    rgb,
    smooth,
    soft,
)


def _clouds(p: np.ndarray, *places: tuple[float, float, float]) -> None:
    puffs = ((-1.1, 0.1, 0.55), (-0.4, -0.25, 0.75), (0.4, -0.1, 0.65), (1.1, 0.12, 0.45))
    for x, y, s in places:
        mask = np.max([ellipse(x + a * s, y + b * s, r * s, 0.75 * r * s) for a, b, r in puffs], axis=0)
        fill(p, soft(mask, 0.004) * 0.9, "#ffffff", "#dbe6ee")


def house_by_the_sea() -> np.ndarray:
    rng = np.random.default_rng(1)
    p = backdrop((0, "#3d82bd"), (0.35, "#9ccbe0"), (0.56, "#fde6bd"))
    glow(p, 0.74, 0.36, 0.22, "#fff0b8", 0.6)
    fill(p, ellipse(0.74, 0.36, 0.062), "#fffbe0", "#ffe08a")
    _clouds(p, (0.22, 0.14, 0.085), (0.56, 0.09, 0.05), (0.92, 0.19, 0.06))
    _sea(p, rng)
    shore = smooth("-10 50, 15 47, 40 53, 56 64, 63 78, 74 110, -10 110")
    fill(p, area(shore + 0.03), "#c9a06a", "#7d5a3c", 60)
    fill(p, area(shore), "#a9c95c", "#3f7f3d", 75)
    fill(p, area(smooth("27 66, 33 66, 36 78, 30 90, 34 110, 12 110, 20 86, 27 76")), "#f0dcae", "#d2b27a")
    _house(p)
    for x, y in rng.uniform((0, 0.72), (0.5, 1), (26, 2)):
        if abs(x - 0.26) > 0.1 and x < 0.2 + 0.4 * y:
            fill(p, ellipse(x, y, 0.006), ("#ffffff", "#f3c94b", "#e8697a")[rng.integers(3)])
    for x, r in ((0.03, 0.06), (0.085, 0.045), (0.445, 0.03)):
        fill(p, ellipse(x, 0.665, r), "#6fa046", "#2c6132", 60)
    for x, y in ((50, 25), (56, 22), (45, 30)):
        wings = f"{x - 2.2} {y - 0.8}, {x - 1} {y - 1.2}, {x} {y}, {x + 1} {y - 1.2}, {x + 2.2} {y - 0.8}"
        fill(p, line(smooth(wings, closed=False), 0.004), "#3a4a5c")
    return p


def _sea(p: np.ndarray, rng: np.random.Generator) -> None:
    """Water with the sun's glitter, and a sailing boat."""
    fill(p, area("0 56, 100 56, 100 100, 0 100"), "#67b3c4", "#155477")
    for y in np.linspace(0.565, 0.98, 70):
        sunlit = rng.random() < 0.75
        x = 0.74 + rng.normal() * (0.28 * y - 0.13) if sunlit else rng.random()
        wide = rng.uniform(0.02, 0.07) * (2 * y - 0.52)
        wave = line(np.array([(x - wide, y), (x + wide, y)]), 0.006 * y)
        fill(p, wave * 0.65, "#ffeebb" if sunlit else "#8fd0d8")
    fill(p, area("85.5 60, 94 60, 92 62.5, 87 62.5"), "#7a3b2e", "#4e241c")
    fill(p, area("89.3 47, 89.3 59.2, 94.5 59.2"), "#ffffff", "#e4d9c8", 0)
    fill(p, area("88.8 50, 88.8 59.2, 85 59.2"), "#f3e3cc", "#d8c4a8", 0)


def _house(p: np.ndarray) -> None:
    fill(p, soft(area("10 67, 45 65.5, 33 74, 2 73.5"), 0.012) * 0.45, "#1d4420")
    fill(p, area("11.5 44, 24 44, 24 68.5, 11.5 67.5"), "#c7b49b", "#a8927a")
    fill(p, area("24 44, 32.5 31, 41 44, 41 66.5, 24 68.5"), "#fff6e2", "#e8d3b0")
    fill(p, area("15 30, 18.5 30, 18.5 40, 15 40"), "#b5604a", "#8c4536", 0)
    fill(p, area("9 45.5, 19 30, 32.5 30, 23.5 45.5"), "#d4573f", "#9c3a2c")
    fill(p, line("32.5 30.4, 42.2 45", 0.016), "#8c3226")
    fill(p, line("32.5 30.4, 23.4 45.2", 0.012), "#e7775b")
    fill(p, area("30 55, 35 54.7, 35 67.2, 30 67.8"), "#3f7fa0", "#28566f")
    for x, y, w, h in ((25.5, 50, 3, 6), (36.5, 49.5, 3, 6), (31, 38.5, 3, 4.5), (15, 52, 5, 6)):
        frame = f"{x} {y}, {x + w} {y}, {x + w} {y + h}, {x} {y + h}, {x} {y}"
        fill(p, area(frame), "#fff2b0", "#6fb2d2", 60)
        fill(p, line(frame, 0.005), "#8a5a3c")
        fill(p, line(f"{x + w / 2} {y}, {x + w / 2} {y + h}", 0.003), "#8a5a3c")


def mountain_lake() -> np.ndarray:
    rng = np.random.default_rng(2)
    p = backdrop((0, "#2f5f9e"), (0.3, "#8fb8dc"), (0.55, "#f7d9c4"))
    _clouds(p, (0.15, 0.1, 0.06), (0.8, 0.16, 0.09))
    far = "0 46, 12 38, 24 43, 38 33, 52 42, 66 35, 80 43, 92 36, 100 40, 100 60, 0 60"
    fill(p, area(far), "#8ea6cc", "#c8cfe0")
    _mountain(p, 30, 17, 28, 32)
    _mountain(p, 68, 11, 32, 38)
    fill(
        p,
        area(smooth("-10 54, 10 49, 28 54, 45 51, 64 55, 84 48, 110 53, 110 66, -10 66")),
        "#5f8f63",
        "#3c6b55",
    )
    for x in np.sort(rng.uniform(0, 1, 46)):
        foot, high = 0.6 - 0.05 * abs(x - 0.5), rng.uniform(0.05, 0.1) * (0.5 + 1.6 * abs(x - 0.5))
        for k in range(3):
            y, wide = foot - 0.3 * k * high, 0.24 * high * (1 - 0.25 * k)
            fill(p, area(np.array([(x - wide, y), (x + wide, y), (x, y - 0.55 * high)])), "#2f6a4f", "#1e4a3d")
    _mirror(p, round(0.6 * FINE))
    for y in np.linspace(0.605, 0.99, 46):
        x, wide = rng.random(), rng.uniform(0.03, 0.12) * (2 * y - 0.8)
        fill(p, line(np.array([(x - wide, y), (x + wide, y)]), 0.004 * y) * 0.35, "#e8f2f6")
    _rower(p)
    return p


def _mountain(p: np.ndarray, peak: float, top: float, left: float, right: float) -> None:
    """`left` and `right`: half widths at the foot, in hundredths; the light comes from the left."""
    fill(p, area(f"{peak - left} 58, {peak} {top}, {peak + right} 58"), "#7d8fb5", "#55709a")
    ridge = f"{peak} {top}, {peak - 2} {top + 12}, {peak + 2} {top + 22}, {peak - 3} 58, {peak - left} 58"
    fill(p, area(ridge), "#a9b6d2", "#7f97b8")
    w, e = 14 * left / (58 - top), 14 * right / (58 - top)
    middle = f"{peak} {top}, {peak} {top + 12}"
    dark = f"{middle}, {peak + 0.4 * e} {top + 16}, {peak + 0.62 * e} {top + 11.5}, {peak + e} {top + 14}"
    lit = f"{middle}, {peak - 0.35 * w} {top + 17}, {peak - 0.6 * w} {top + 11}, {peak - w} {top + 14}"
    fill(p, area(dark), "#dfe7f5", "#b9c8e2")
    fill(p, area(lit), "#ffffff", "#f1f4fb")


def _mirror(p: np.ndarray, row: int) -> None:
    """Water from this row of pixels down: what stands above it, upside down, rippled and bluer."""
    depth = np.arange(FINE - row)
    ripple = (np.sin(depth * 0.11) * 2 + np.sin(depth * 0.043 + 1) * 4) * (0.3 + 2 * depth / FINE)
    above = p[np.maximum(row - 1 - (depth * 1.25).astype(int), 0)]
    mirrored = np.stack([np.roll(one, int(shift), 0) for one, shift in zip(above, ripple)])
    deep = (depth / len(depth))[:, None, None]
    p[row:] = 0.55 * mirrored + 0.45 * (rgb("#5f97b8") * (1 - deep) + rgb("#0f3b5e") * deep)


def _rower(p: np.ndarray) -> None:
    fill(p, soft(area("30 83.5, 63 83.5, 58 88, 36 88"), 0.008) * 0.55, "#0b2a42")
    fill(
        p,
        area(smooth("29 77.5, 38 79.5, 52 79.5, 64 76.5, 60 83, 54 84.5, 38 84.5, 33 83")),
        "#c4623a",
        "#6e2f1e",
    )
    fill(p, area(smooth("31 78.2, 40 79.2, 52 79.2, 62 77.5, 54 80.8, 40 81")), "#5b2a1c", "#8d4a2c")
    fill(p, area("44 64, 48.5 64, 50.5 79.5, 42.5 79.5"), "#f2c14e", "#c98a2b", 0)
    fill(p, ellipse(0.463, 0.615, 0.021, 0.025), "#f0c4a0", "#d79a74", 0)
    fill(p, area(smooth("42.5 61, 46.2 57.6, 50 61, 46.2 60.2")), "#7a4b2c", "#5b3520")
    fill(p, line("36 70, 58 84, 64 90", 0.007), "#8a6136")
    fill(p, line("47.5 67, 50 73, 45 75.5", 0.016), "#d9a53c")


def still_life() -> np.ndarray:
    p = backdrop((0, "#5c7f83"), (0.68, "#a9bfae"))
    glow(p, 0.1, 0.1, 0.6, "#fbf0cf", 0.6)
    fill(p, area("0 66, 100 66, 100 100, 0 100"), "#c08a55", "#7a4a2b")
    for y, bend in ((70, 0.6), (75, -0.5), (81, 0.8), (88, -0.8), (95, 0.6)):
        plank = smooth(f"-5 {y}, 30 {y + bend}, 65 {y - bend}, 105 {y}", closed=False)
        fill(p, line(plank, 0.003) * 0.35, "#5d3519")
    fill(p, area(smooth("4 74, 40 71, 96 75, 104 84, 70 93, 20 92, -6 84")), "#f6efe0", "#d5c6ab")
    vase, apple = "37 77, 60 76, 86 80, 60 84", "16 83, 34 82, 50 86, 26 88.5"
    for shadow in (vase, apple, "62 85, 78 83, 97 87, 74 90.5", "40 87, 52 86, 66 89, 48 91"):
        fill(p, soft(area(smooth(shadow)), 0.012) * 0.5, "#4a3420")
    _bouquet(p)
    _vase(p)
    fruits = (
        (24, 79, 8, "#ff8a5c", "#a11d20"),
        (71, 80.5, 8.2, "#ffc34d", "#d46a12"),
        (47, 86, 5, "#9a63b8", "#3f1f57"),
    )
    for x, y, r, light, dark in fruits:
        fill(p, ellipse(x / 100, y / 100, r / 100, r / 106), light, dark, 50)
        glow(p, (x - 0.35 * r) / 100, (y - 0.4 * r) / 100, r / 330, "#fff8e8", 0.75)
    fill(p, line(smooth("24 73, 24.3 70.5, 25.8 68.5", closed=False), 0.008), "#5b3a1e")
    fill(p, area(smooth("24.8 71, 28 67.8, 32 69, 28.5 72")), "#8cc152", "#3f7a35", 30)
    return p


def _bouquet(p: np.ndarray) -> None:
    stems = ("45 50, 43 38, 37 27", "46 50, 47 34, 52 17", "47 50, 52 40, 62 29", "44 50, 37 44, 28 41")
    for stem in (*stems, "48 50, 58 45, 67 44"):
        fill(p, line(smooth(stem, closed=False), 0.011), "#4f8a45", "#2f5f35")
    for leaf in ("44 46, 33 43, 26 50, 36 51", "48 46, 57 40, 66 50, 56 52", "46 44, 41 34, 34 36, 38 44"):
        fill(p, area(smooth(leaf)), "#7cb257", "#356b39", 30)
    yellow, red, white = ("#f7c948", "#e08b1f"), ("#f4737a", "#c2384f"), ("#fdf3e3", "#e3c7b0")
    for x, y, r, (light, dark) in (
        (37, 26, 7.5, yellow), (52, 16, 8.5, red), (63, 28, 7.5, white), (27, 40, 6, red), (68, 43, 6, yellow)
    ):  # fmt: skip
        for ring, count, size in ((0.62, 9, 0.42), (0.34, 7, 0.34)):
            for a in np.arange(count) / count * 2 * np.pi + ring:
                petal = (x + ring * r * np.cos(a)) / 100, (y + ring * r * np.sin(a)) / 100
                fill(p, ellipse(*petal, size * r / 100), light, dark, 60 if ring > 0.5 else 90)
        fill(p, ellipse(x / 100, y / 100, r / 360), "#7a4a22", "#4a2a14", 60)


def _vase(p: np.ndarray) -> None:
    vase = area(smooth("40 48, 39.5 52, 33.5 61, 35 73, 41 79.5, 51 79.5, 57 73, 58.5 61, 52.5 52, 52 48, 46 49"))
    fill(p, vase, "#5f9fd0", "#173a6b", 15)
    fill(p, vase * area(smooth("30 58, 46 62, 62 58, 62 63, 46 67, 30 63")), "#f4f1e4", "#a9a58f", 0)
    fill(p, soft(area(smooth("37.5 58, 39.5 54, 41 56, 38.5 66, 38.5 73, 36.5 68")), 0.005) * 0.6, "#ffffff")
    fill(p, ellipse(0.46, 0.483, 0.06, 0.012), "#234e80", "#14305a", 0)


def cat_at_the_window() -> np.ndarray:
    p = backdrop((0, "#e9b48c"), (1, "#c97f62"))
    _night_window(p, np.random.default_rng(4))
    for x, side in ((0, 1), (100, -1)):
        hem = f"{x + 19 * side} 30, {x + 11 * side} 60, {x + 13 * side} 80, {x} 80"
        fill(p, area(f"{x} 0, {x + 21 * side} 0, {hem}"), "#d9545c", "#8c2740")
        for k in (5 * side, 10 * side, 15 * side):
            fold = f"{x + k} 0, {x + 0.8 * k} 40, {x + 0.6 * k} 80"
            fill(p, line(fold, 0.006) * 0.5, "#6f1c33")
    fill(p, area("0 76, 100 76, 100 84, 0 84"), "#fff4e2", "#e5c7a4")
    fill(p, area("0 84, 100 84, 100 100, 0 100"), "#b77456", "#8c4f3d")
    fill(p, soft(area(smooth("22 79, 50 76.5, 74 79, 66 83, 34 83")), 0.01) * 0.5, "#5d3a2c")
    _cats_body(p)
    _cats_head(p)
    return p


def _night_window(p: np.ndarray, rng: np.random.Generator) -> None:
    """Stars, the moon, and the lights of a village on a hill."""
    fill(p, area("10 6, 90 6, 90 74, 10 74"), "#20305f", "#7d6aa5")
    for x, y in rng.uniform((0.12, 0.08), (0.88, 0.5), (60, 2)):
        glow(p, x, y, rng.uniform(0.002, 0.005), "#fff6d8", 1)
    glow(p, 0.72, 0.24, 0.17, "#cfc6f0", 0.6)
    fill(p, ellipse(0.72, 0.24, 0.075), "#fffbe6", "#f2dca8", 45)
    for x, y, r in ((0.70, 0.22, 0.014), (0.745, 0.26, 0.019), (0.735, 0.2, 0.009)):
        fill(p, ellipse(x, y, r) * 0.5, "#e3c98f")
    fill(p, area(smooth("5 62, 25 54, 45 61, 65 52, 95 60, 95 80, 5 80")), "#3a3f78", "#232a55")
    for x, y in rng.uniform((0.12, 0.6), (0.88, 0.71), (26, 2)):
        glow(p, x, y, 0.006, "#ffd36b", 0.95)
    for frame, width in (
        ("50 6, 50 74", 0.018),
        ("10 38, 90 38", 0.018),
        ("10 75, 10 6, 90 6, 90 75", 0.035),
    ):
        fill(p, line(frame, width), "#fbf1e2", "#d8b79a")


def _cats_body(p: np.ndarray) -> None:
    fill(p, line(smooth("58 78, 70 80, 78 74, 77 65, 82 60", closed=False), 0.05), "#f09a45", "#c8692a", 0)
    fill(
        p,
        area(smooth("40 44, 60 44, 66 62, 67 76, 62 80.5, 38 80.5, 33 76, 34 62")),
        "#f7a851",
        "#c8692a",
        60,
    )
    fill(p, area(smooth("43 50, 57 50, 58.5 62, 54 72, 46 72, 41.5 62")), "#fff3df", "#f0d0a4")
    for x in (43, 57):
        leg = smooth(f"{x - 4} 64, {x + 4} 64, {x + 3.6} 79, {x - 3.6} 79")
        fill(p, area(leg), "#f5a44c", "#e08a38")
        fill(p, ellipse(x / 100, 0.79, 0.05, 0.026), "#fff6e6", "#e9cfa8")
    for stripe in ("35.5 58, 40 59.5", "34.5 64, 39 65.5", "64.5 58, 60 59.5", "65.5 64, 61 65.5"):
        fill(p, line(stripe, 0.013), "#b85a22")


def _cats_head(p: np.ndarray) -> None:
    for ear in ("34 33, 33.5 14, 47 24", "66 33, 66.5 14, 53 24"):
        fill(p, area(ear), "#f5a44c", "#d97c30")
    for ear in ("36.5 29, 36 18.5, 43 24", "63.5 29, 64 18.5, 57 24"):
        fill(p, area(ear), "#f7b9a0", "#d98877")
    skull = smooth("50 21.5, 62 24, 68 34, 65 43, 57 48.5, 43 48.5, 35 43, 32 34, 38 24")
    fill(p, area(skull), "#fbb25c", "#dd8436", 60)
    brow = ("50 22, 50 28.5", "45.8 22.8, 46.6 28", "54.2 22.8, 53.4 28")
    for stripe in (*brow, "33.5 37, 38 38", "34.5 41, 38.5 41", "66.5 37, 62 38", "65.5 41, 61.5 41"):
        fill(p, line(stripe, 0.012), "#b85a22")
    fill(p, area(smooth("50 37, 57.5 41, 56 46.5, 50 47.5, 44 46.5, 42.5 41")), "#fff6e6", "#f3d9b5")
    for x in (0.425, 0.575):
        fill(p, ellipse(x, 0.345, 0.037, 0.042), "#d7ee8a", "#6fae4a")
        fill(p, ellipse(x, 0.347, 0.017, 0.037), "#1c2326")
        fill(p, ellipse(x - 0.008, 0.332, 0.009), "#ffffff")
    fill(p, area(smooth("47.6 40, 52.4 40, 50 42.8")), "#e8797c", "#c9565f")
    for mouth in ("50 42.5, 49.5 44.8, 46.3 45", "50 42.5, 50.5 44.8, 53.7 45"):
        fill(p, line(smooth(mouth, closed=False), 0.005), "#7a3f2b")
    for y in (41, 43.5):
        for s in (-1, 1):
            whisker = f"{50 + 7 * s} {0.5 * y + 21.5}, {50 + 16 * s} {y - 1}, {50 + 23 * s} {y + 0.5}"
            fill(p, line(smooth(whisker, closed=False), 0.003), "#fffaf0")


ALL = (house_by_the_sea, mountain_lake, still_life, cat_at_the_window)
