"""The two functions on pictures that scripts for diffusers take from its utilities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional, Union

from PIL import Image

from jstyle.errors import InputError
from jstyle.pictures import images


def load_image(image: Union[str, Path, Image.Image], convert_method: Any = None) -> Image.Image:
    """A picture of a file, or PIL's, as `open_image` opens it; ``convert_method`` takes it and returns another.

    Raises InputError for an address, since nothing is fetched, and for what is no picture.
    """
    if isinstance(image, str) and image.startswith(("http://", "https://")):
        raise InputError(f"{image} is an address, and pictures are not fetched: download it, and name the file")
    if not isinstance(image, (str, Path, Image.Image)):
        raise InputError(f"load_image takes a path or a picture of PIL's, not {type(image).__name__}")
    opened = images.require_rgb(image) if isinstance(image, Image.Image) else images.open_image(Path(image))
    return opened if convert_method is None else convert_method(opened)


def make_image_grid(images: Sequence[Image.Image], rows: int, cols: int, resize: Optional[int] = None) -> Image.Image:
    """``rows`` x ``cols`` pictures side by side, in cells of the first one's size, or squares of ``resize`` pixels.

    Raises InputError for another number of pictures.
    """
    if len(images) != rows * cols or not images:
        raise InputError(f"a grid of {rows} x {cols} takes {rows * cols} pictures, not {len(images)}")
    cells = list(images) if resize is None else [image.resize((resize, resize)) for image in images]
    width, height = cells[0].size
    grid = Image.new("RGB", (cols * width, rows * height))
    for i, cell in enumerate(cells):
        grid.paste(cell, (i % cols * width, i // cols * height))
    return grid
