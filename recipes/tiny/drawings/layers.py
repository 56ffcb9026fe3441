"""A scene in the form that techniques work on: the part to which each point belongs, and each part's colour."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Optional

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from recipes.tiny.drawings import objects, settings
from recipes.tiny.drawings.palette import find_colour
from recipes.tiny.drawings.scene import Layout, Scene
from recipes.tiny.drawings.shapes import Part, ellipse

FINE = 3
"""Points along each side of a pixel while shapes are drawn."""


@dataclass(frozen=True)
class Layers:
    """Arrays of one scene at one size. Parts are numbered from back to front; tables have a row for each."""

    size: int
    image: Image.Image
    """FINE * size wide and high, of mode P: the number of the part that is visible at each point"""
    colours: np.ndarray
    """(parts, 3) float32 in [0, 1]"""
    is_object: np.ndarray
    """(parts,) bool"""
    quiet: np.ndarray
    """(parts,) bool: drawn without a contour"""

    def paint(self, colours: np.ndarray) -> np.ndarray:
        """Every part in its colour from a table, with smooth edges, (size, size, 3)."""
        fine = self.image.copy()
        fine.putpalette(np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8).tobytes())
        return np.asarray(fine.convert("RGB").reduce(FINE), np.float32) * (1 / 255)

    def find_points(self, parts: np.ndarray) -> np.ndarray:
        """The points at which these parts, (parts,) bool, are visible, (FINE * size, FINE * size) bool."""
        table = np.zeros(256, int)
        table[: len(parts)] = parts
        return np.asarray(self.image.point(table.tolist())).view(bool)

    def pick_main(self, colours: np.ndarray) -> np.ndarray:
        """The colour, from a table for all parts, of the object's largest visible part, (3,)."""
        areas = np.bincount(self.pixels.ravel(), minlength=len(colours)) * self.is_object
        return colours[int(areas.argmax())]

    @cached_property
    def labels(self) -> np.ndarray:
        """The image as an array, (FINE * size, FINE * size) uint8."""
        return np.asarray(self.image)

    @cached_property
    def flat(self) -> np.ndarray:
        """The picture in plain colours, (size, size, 3)."""
        return self.paint(self.colours)

    @cached_property
    def pixels(self) -> np.ndarray:
        """The part in the middle of each pixel, (size, size)."""
        return np.ascontiguousarray(self.labels[FINE // 2 :: FINE, FINE // 2 :: FINE])

    @cached_property
    def inside(self) -> np.ndarray:
        """The points at which the object is visible, (FINE * size, FINE * size) bool."""
        return self.find_points(self.is_object)

    @cached_property
    def mask(self) -> np.ndarray:
        """How much of each pixel is the object, (size, size)."""
        return shrink(self.inside)

    @cached_property
    def outline(self) -> np.ndarray:
        """Where the object ends, (FINE * size, FINE * size) bool."""
        return find_edges(self.inside)

    @cached_property
    def contours(self) -> np.ndarray:
        """Where parts that have a contour meet, (FINE * size, FINE * size) bool."""
        return find_edges(self.labels) & ~widen(self.find_points(self.quiet), 1)

    def draw_lines(self, edges: np.ndarray, width: float) -> np.ndarray:
        """Edges (`outline`, `contours`) as lines of this width in hundredths of the side, (size, size)."""
        steps = max(0, round(width * FINE * self.size / 200 - 1))
        return shrink(widen(edges, steps))

    @cached_property
    def relief(self) -> np.ndarray:
        """The light on the object as a rounded body lit from the upper left, (size, size), about -1 to 1."""
        high = blur(self.mask, 0.05 * self.size)
        step = max(1, self.size // 64)
        lit = np.roll(high, (step, step), (0, 1)) - np.roll(high, (-step, -step), (0, 1))
        return np.clip(-lit * (8 / step * self.size / 128), -1, 1) * self.mask


def shrink(fine: np.ndarray) -> np.ndarray:
    """A mask over fine points -> one over pixels, float32 in [0, 1]."""
    image = Image.fromarray(fine.astype(np.uint8) * np.uint8(255)).reduce(FINE)
    return np.asarray(image, np.float32) * (1 / 255)


def find_edges(labels: np.ndarray) -> np.ndarray:
    """Where a point differs from its right or lower neighbour, bool of the same shape."""
    edge = np.zeros(labels.shape, bool)
    edge[:, :-1] = labels[:, :-1] != labels[:, 1:]
    edge[:-1] |= labels[:-1] != labels[1:]
    return edge


def widen(mask: np.ndarray, steps: int) -> np.ndarray:
    """The mask grown by this many points in each direction: by diamonds and squares in turn, so by an octagon."""
    out = mask
    for i in range(steps):
        square = i % 2 == 1
        down = out.copy()
        down[1:] |= out[:-1]
        down[:-1] |= out[1:]
        source = down if square else out
        out = down.copy() if square else down
        out[:, 1:] |= source[:, :-1]
        out[:, :-1] |= source[:, 1:]
    return out


def blur(picture: np.ndarray, radius: float) -> np.ndarray:
    """A mask or a colour picture in [0, 1], blurred in eight bits, with a large radius at half the size."""
    image = Image.fromarray(np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8))
    if radius > 2:
        image = image.reduce(2).filter(ImageFilter.GaussianBlur(radius / 2)).resize(image.size, _BILINEAR)
    else:
        image = image.filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(image, np.float32) * (1 / 255)


_BILINEAR = Image.Resampling.BILINEAR


def draw_layers(scene: Scene, size: int, thing: Optional[list[Part]] = None) -> Layers:
    """The scene's layers; if given, the parts of ``thing`` take the place of its object's."""
    layout = scene.layout
    rng = scene.rng("setting")
    behind, before = settings.DRAWN_BY[scene.setting](rng)
    light = rng.uniform(0.94, 1.05, 3).astype(np.float32) * np.float32(rng.uniform(0.94, 1.03))
    object_parts = _place_parts(thing or objects.draw_object(scene.object, layout.variant), layout)
    if scene.object not in objects.AFLOAT:
        behind = [*behind, _draw_shadow(object_parts, behind[-1])]
    parts = [*behind, *object_parts, *before]
    numbers = np.arange(len(parts))
    is_object = (numbers >= len(behind)) & (numbers < len(behind) + len(object_parts))
    colours = np.array([find_colour(part.role, scene.colour) for part in parts], np.float32)
    return Layers(
        size=size,
        image=draw_numbers(parts, FINE * size),
        colours=np.where(is_object[:, None], colours, np.minimum(colours * light, 1)),
        is_object=is_object,
        quiet=np.array([part.quiet for part in parts]),
    )


def _place_parts(parts: list[Part], layout: Layout) -> list[Part]:
    """An object's parts, flipped, turned about the middle, scaled and moved as the layout says."""
    turn = np.radians(layout.degrees)
    c, s = np.cos(turn), np.sin(turn)
    wide = layout.size * (-layout.squeeze if layout.flipped else layout.squeeze)
    matrix = np.array([[c * wide, s * wide], [-s * layout.size, c * layout.size]], np.float32)
    stacked = np.concatenate([part.outline for part in parts]) - 50
    placed = stacked @ matrix + np.array([100 * layout.x, 100 * layout.y], np.float32)
    ends = np.cumsum([len(part.outline) for part in parts])[:-1]
    return [part._replace(outline=outline) for part, outline in zip(parts, np.split(placed, ends))]


def _draw_shadow(object_parts: list[Part], ground: Part) -> Part:
    """The shadow that the object casts on the ground where it stands."""
    corners = np.concatenate([part.outline for part in object_parts])
    (left, _), (right, bottom) = corners.min(0), corners.max(0)
    red, green, blue = (int(72 * channel) for channel in find_colour(ground.role, "white") * 2.55)
    shade = ellipse((left + right) / 2 + 3, bottom - 1, (right - left) / 2, 3.2)
    return Part(shade, (red, green, blue), quiet=True)


def draw_numbers(parts: list[Part], fine: int, first: int = 0, over: Optional[Image.Image] = None) -> Image.Image:
    """The parts, each filled with its number, from ``first`` on, on ``fine`` by ``fine`` points.

    They are drawn over an image of this kind, which is changed, where one is given.
    """
    image = Image.new("P", (fine, fine)) if over is None else over
    draw = ImageDraw.Draw(image)
    for number, part in enumerate(parts, first):
        draw.polygon((part.outline * (fine / 100)).ravel().tolist(), fill=number)
    return image
