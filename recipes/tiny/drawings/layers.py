"""A scene as what techniques work on: which part each point belongs to, and each part's colour."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import List, Optional

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from recipes.tiny.drawings import objects, settings
from recipes.tiny.drawings.palette import role_colour
from recipes.tiny.drawings.scene import Layout, Scene
from recipes.tiny.drawings.shapes import Part, ellipse

FINE = 3
"""Points along each side of a pixel while shapes are drawn."""


@dataclass(frozen=True)
class Layers:
    """Arrays of one scene at one size. Parts are numbered from behind to before; a table has a row for each."""

    scene: Scene
    size: int
    image: Image.Image
    """FINE * size wide and high, of mode P: the number of the part that is seen at each point"""
    colours: np.ndarray
    """(parts, 3) float32 in [0, 1]"""
    is_object: np.ndarray
    """(parts,) bool"""
    quiet: np.ndarray
    """(parts,) bool: drawn without a contour"""

    def paint(self, colours: np.ndarray) -> np.ndarray:
        """Every part in its colour, (size, size, 3), with smooth edges."""
        fine = self.image.copy()
        fine.putpalette(np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8).tobytes())
        return np.asarray(fine.convert("RGB").reduce(FINE), np.float32) * (1 / 255)

    def where(self, parts: np.ndarray) -> np.ndarray:
        """(FINE * size, FINE * size) bool: the points of these parts, given as (parts,) bool."""
        table = np.zeros(256, int)
        table[: len(parts)] = parts
        return np.asarray(self.image.point(table.tolist())).view(bool)

    def main(self, colours: np.ndarray) -> np.ndarray:
        """(3,): the colour, in a table for all parts, of the part that the object shows most of."""
        seen = np.bincount(self.pixels.ravel(), minlength=len(colours)) * self.is_object
        return colours[int(seen.argmax())]

    @cached_property
    def labels(self) -> np.ndarray:
        """The image as (FINE * size, FINE * size) uint8."""
        return np.asarray(self.image)

    @cached_property
    def flat(self) -> np.ndarray:
        """(size, size, 3): the picture in plain colours."""
        return self.paint(self.colours)

    @cached_property
    def pixels(self) -> np.ndarray:
        """(size, size): the part in the middle of each pixel."""
        return np.ascontiguousarray(self.labels[FINE // 2 :: FINE, FINE // 2 :: FINE])

    @cached_property
    def inside(self) -> np.ndarray:
        """The points that the object is seen at."""
        return self.where(self.is_object)

    @cached_property
    def mask(self) -> np.ndarray:
        """(size, size): how much of each pixel is the object."""
        return shrunk(self.inside)

    @cached_property
    def outline(self) -> np.ndarray:
        """(FINE * size, FINE * size) bool: where the object ends."""
        return edges(self.inside)

    @cached_property
    def contours(self) -> np.ndarray:
        """(FINE * size, FINE * size) bool: where parts that have a contour meet."""
        return edges(self.labels) & ~widened(self.where(self.quiet), 1)

    def lines(self, where: np.ndarray, width: float) -> np.ndarray:
        """(size, size): edges (`outline`, `contours`) as lines of this width in hundredths of the side."""
        steps = max(0, round(width * FINE * self.size / 200 - 1))
        return shrunk(widened(where, steps))

    @cached_property
    def relief(self) -> np.ndarray:
        """(size, size): the object as a rounded body lit from the upper left, about -1 to 1."""
        high = blurred(self.mask, 0.05 * self.size)
        step = max(1, self.size // 64)
        lit = np.roll(high, (step, step), (0, 1)) - np.roll(high, (-step, -step), (0, 1))
        return np.clip(-lit * (8 / step * self.size / 128), -1, 1) * self.mask


def shrunk(fine: np.ndarray) -> np.ndarray:
    """A mask over fine points as one over pixels, float32 in [0, 1]."""
    image = Image.fromarray(fine.astype(np.uint8) * np.uint8(255)).reduce(FINE)
    return np.asarray(image, np.float32) * (1 / 255)


def edges(labels: np.ndarray) -> np.ndarray:
    """Where a point differs from its right or lower neighbour."""
    edge = np.zeros(labels.shape, bool)
    edge[:, :-1] = labels[:, :-1] != labels[:, 1:]
    edge[:-1] |= labels[:-1] != labels[1:]
    return edge


def widened(mask: np.ndarray, steps: int) -> np.ndarray:
    """Grown by this many points in each direction: diamonds and squares in turn, an octagon in all."""
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


def blurred(picture: np.ndarray, radius: float) -> np.ndarray:
    """A mask or a colour picture in [0, 1], blurred in eight bits, where the radius is large at half the size."""
    image = Image.fromarray(np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8))
    if radius > 2:
        image = image.reduce(2).filter(ImageFilter.GaussianBlur(radius / 2)).resize(image.size, _BILINEAR)
    else:
        image = image.filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(image, np.float32) * (1 / 255)


_BILINEAR = Image.Resampling.BILINEAR


def draw_layers(scene: Scene, size: int, thing: Optional[List[Part]] = None) -> Layers:
    """The scene's layers; ``thing`` is drawn in the place of its object, another one than there are."""
    layout = scene.layout
    rng = scene.rng("setting")
    behind, before = settings.DRAWN_BY[scene.setting](rng)
    light = rng.uniform(0.94, 1.05, 3).astype(np.float32) * np.float32(rng.uniform(0.94, 1.03))
    own = _placed(thing or objects.parts_of(scene.object, layout.variant), layout)
    if scene.object not in objects.AFLOAT:
        behind = [*behind, _shadow(own, behind[-1])]
    parts = [*behind, *own, *before]
    count = np.arange(len(parts))
    is_object = (count >= len(behind)) & (count < len(behind) + len(own))
    colours = np.array([role_colour(part.role, scene.colour) for part in parts], np.float32)
    return Layers(
        scene=scene,
        size=size,
        image=_numbered(parts, FINE * size),
        colours=np.where(is_object[:, None], colours, np.minimum(colours * light, 1)),
        is_object=is_object,
        quiet=np.array([part.quiet for part in parts]),
    )


def _placed(parts: List[Part], layout: Layout) -> List[Part]:
    """An object's parts where the layout has them: flipped, turned about the middle, sized and moved."""
    turn = np.radians(layout.degrees)
    c, s = np.cos(turn), np.sin(turn)
    wide = layout.size * (-layout.squeeze if layout.flipped else layout.squeeze)
    matrix = np.array([[c * wide, s * wide], [-s * layout.size, c * layout.size]], np.float32)
    stacked = np.concatenate([part.outline for part in parts]) - 50
    moved = stacked @ matrix + np.array([100 * layout.x, 100 * layout.y], np.float32)
    ends = np.cumsum([len(part.outline) for part in parts])[:-1]
    return [part._replace(outline=outline) for part, outline in zip(parts, np.split(moved, ends))]


def _shadow(own: List[Part], ground: Part) -> Part:
    """What the object casts on the ground it stands on."""
    corners = np.concatenate([part.outline for part in own])
    (left, _), (right, bottom) = corners.min(0), corners.max(0)
    red, green, blue = (int(72 * channel) for channel in role_colour(ground.role, "white") * 2.55)
    shade = ellipse((left + right) / 2 + 3, bottom - 1, (right - left) / 2, 3.2)
    return Part(shade, (red, green, blue), quiet=True)


def _numbered(parts: List[Part], fine: int) -> Image.Image:
    image = Image.new("P", (fine, fine))
    draw = ImageDraw.Draw(image)
    for number, part in enumerate(parts):
        draw.polygon((part.outline * (fine / 100)).ravel().tolist(), fill=number)
    return image
