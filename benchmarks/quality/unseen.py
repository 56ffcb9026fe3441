"""Styles and a thing that the embedded model has never seen, drawn for trainings of a style to learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np
from PIL import Image

from jstyle.competition.dataset import read_dataset
from jstyle.pictures import images, png_texts
from jstyle.training.draws import make_generator
from recipes.tiny.drawings import OBJECTS, PLACES, TECHNIQUES, Scene
from recipes.tiny.drawings.fields import places, threshold
from recipes.tiny.drawings.layers import Layers, draw_layers
from recipes.tiny.drawings.palette import cover, luminance
from recipes.tiny.drawings.shapes import Part, curve, ellipse, smooth
from recipes.tiny.drawings.techniques import DRAWN_BY

SEED = 90210
TAUGHT, KEPT = 6, 16  # pictures to learn from, and pictures kept to measure on
PROMPTS = 8  # of the kept ones, which are drawn


@dataclass(frozen=True)
class Example:
    """A picture; ``name`` says what it shows beside what is to be learnt, ``scene`` is what the judge should read."""

    name: str
    picture: Image.Image
    scene: Optional[Scene] = None


@dataclass(frozen=True)
class Subject:
    """What is to be learnt, a "style" or an "object": examples to learn from, and others to measure the loss on.

    ``asked`` is what is drawn before and after: names, and the scenes that the judge should read, where it can.
    """

    name: str
    kind: str
    taught: Sequence[Example]
    kept: Sequence[Example]
    asked: Sequence[tuple[str, Optional[Scene]]]


def blueprint(layers: Layers) -> np.ndarray:
    """White lines on blue paper with a grid; the object's inside is a paler blue."""
    size = layers.size
    x, y = places(size)
    grid = np.maximum(threshold(-np.abs(x % 12.5 - 6.25), -0.35, 0.4), threshold(-np.abs(y % 12.5 - 6.25), -0.35, 0.4))
    picture = np.full((size, size, 3), (0.08, 0.24, 0.55), np.float32)
    picture = cover(picture, 0.16 * grid, (1, 1, 1))
    picture = cover(picture, 0.25 * layers.mask, (0.55, 0.75, 1.0))
    picture = cover(picture, 0.75 * layers.draw_lines(layers.contours, 0.8), (0.9, 0.95, 1.0))
    return cover(picture, layers.draw_lines(layers.outline, 1.6), (1, 1, 1))


def halftone(layers: Layers) -> np.ndarray:
    """Two inks in dots on pink paper: dark violet by the tone, orange for the object."""
    size = layers.size
    x, y = places(size)
    across, down = (x + y) / 4.2, (x - y) / 4.2
    dots = (np.cos(np.pi * across) * np.cos(np.pi * down) + 1) / 2
    ink = threshold(1.15 - luminance(layers.flat), 1 - dots, 0.12)
    picture = np.full((size, size, 3), (0.98, 0.83, 0.86), np.float32)
    picture = cover(picture, layers.mask, (1.0, 0.55, 0.2))
    return cover(picture, ink, (0.27, 0.1, 0.42))


STYLES: Mapping[str, Callable[[Layers], np.ndarray]] = {"blueprint": blueprint, "halftone": halftone}


def umbrella() -> list[Part]:
    """An open umbrella in two colours, with its stick."""
    return [
        Part(curve("50 8, 50 60, 50 88, 42 96, 34 88", 4.5), "wood"),
        Part(smooth("2 56, 10 26, 32 8, 50 4, 68 8, 90 26, 98 56, 84 50, 70 56, 50 50, 30 56, 16 50"), "main"),
        Part(smooth("30 56, 36 22, 50 4, 64 22, 70 56, 50 50"), "light"),
        Part(ellipse(50, 4, 3), "gold"),
    ]


def style(name: str, size: int) -> Subject:
    """A drawn style on some objects; others are kept to measure on."""
    rng = make_generator(SEED, list(STYLES).index(name), "style")
    order = [OBJECTS[i] for i in rng.permutation(len(OBJECTS))]
    known, other = order[:TAUGHT], order[TAUGHT:]

    def example(thing: str) -> Example:
        scene = _scene(rng, thing, "poster")
        return Example(f"{thing} {PLACES[scene.setting]}", _picture(STYLES[name](draw_layers(scene, size))), scene)

    taught = [example(thing) for thing in known]
    kept = [example(other[i % len(other)]) for i in range(KEPT)]
    return Subject(name, "style", taught, kept, _ask_for(kept))


def thing(size: int) -> Subject:
    """An umbrella in some techniques; in others it is measured."""
    rng = make_generator(SEED, len(STYLES), "thing")
    order = [TECHNIQUES[i] for i in rng.permutation(len(TECHNIQUES))]

    def example(technique: str) -> Example:
        scene = _scene(rng, OBJECTS[0], technique)
        layers = draw_layers(scene, size, umbrella())
        name = f"{PLACES[scene.setting]}, {technique}"
        return Example(name, _picture(DRAWN_BY[technique](layers, scene.rng("technique"))))

    taught, kept = order[:TAUGHT], order[TAUGHT:]
    shown = [example(kept[i % len(kept)]) for i in range(KEPT)]
    return Subject("umbrella", "object", [example(one) for one in taught], shown, _ask_for(shown))


def real(folder: Path) -> list[Subject]:
    """The styles of a competition's dataset; the last picture of each is kept to measure the loss on.

    What they show the embedded model cannot draw, so its own objects are asked for.
    """
    found = []
    asked = [(thing, Scene(thing, "red", "plain", "poster", 0)) for thing in OBJECTS]
    for one in read_dataset(folder).styles:
        examples = [Example(path.stem, images.open_image(path)) for path in one.references]
        found.append(Subject(f"style_{one.number}", "style", examples[:-1], examples[-1:], asked))
    return found


def write(subject: Subject, folder: Path) -> tuple[Path, ...]:
    """The pictures to learn from as files that are named by what they show."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = tuple(folder / f"{example.name.replace(' ', '_')}.png" for example in subject.taught)
    for path, example in zip(paths, subject.taught):
        png_texts.save_png(example.picture, path)
    return paths


def _ask_for(kept: Sequence[Example]) -> list[tuple[str, Optional[Scene]]]:
    """As many of the kept ones as are drawn."""
    return [(example.name, example.scene) for example in kept[:PROMPTS]]


def _scene(rng: np.random.Generator, thing: str, technique: str) -> Scene:
    colours = ("red", "blue", "green", "yellow")
    settings = ("sea", "field", "desert", "table", "plain")
    return Scene(
        object=thing,
        colour=colours[rng.integers(len(colours))],
        setting=settings[rng.integers(len(settings))],
        technique=technique,
        seed=int(rng.integers(2**32)),
    )


def _picture(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8))
