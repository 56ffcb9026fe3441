"""Icons as pictures with alpha, cut to what is drawn: made once, kept as files with a list of them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Optional

from PIL import Image
from tqdm import tqdm

from jstyle.errors import InputError
from jstyle.files import replacing
from recipes.tiny.icons.families import FAMILIES, Family
from recipes.tiny.icons.iconify import IconSet
from recipes.tiny.icons.nouns import read_nouns
from recipes.tiny.icons.packages import fetch, read_files
from recipes.tiny.workers import open_pool

SIZE = 256
"""Pixels along a side of the square that icons are drawn in, before they are cut out."""

CATALOGUE = "catalogue.json"
_NAMES = "noto icon"  # the family whose names for icons the nouns use
_FEW = 3  # a noun that fewer families draw is left out
_SVG_FREE = "glossy 3d"  # its package holds pictures, named by code points

Catalogue = dict[str, tuple[str, ...]]
"""The styles in which each noun is drawn, by the noun's icon's name."""


def cut_out(archives: Path, folder: Path, workers: int) -> None:
    """Write the cut-outs, ``STYLE/NAME.png``, and at last the catalogue, unless it is there.

    ``archives`` is where the packages are, or are fetched to. Raises InputError where one cannot be had, or where
    resvg-py is not installed.
    """
    if (folder / CATALOGUE).exists():
        return
    sets = {family.name: IconSet.open(fetch(family.package, archives)) for family in FAMILIES if _is_iconify(family)}
    points = {name: sets[_NAMES].code_points.get(name) for name in read_nouns()}
    found: dict[str, list[str]] = {name: [] for name in points}
    with open_pool(workers) as pool:
        for family in FAMILIES:
            (folder / family.name).mkdir(parents=True, exist_ok=True)
            own = sets.get(family.name)
            sources = _list_svgs(own, points) if own else _list_files(family, archives, points)
            jobs = [(name, source, folder / family.name / f"{name}.png") for name, source in sources]
            for name in tqdm(pool.map(_write_one, jobs, chunksize=8), family.name, len(jobs), mininterval=1):
                found[name].append(family.name)
    kept = {name: styles for name, styles in found.items() if len(styles) >= _FEW}
    with replacing(folder / CATALOGUE) as part:
        part.write_text(json.dumps(kept, indent=0) + "\n", encoding="utf-8")


@lru_cache(maxsize=2)
def read_catalogue(folder: Path) -> Catalogue:
    """What `cut_out` wrote there. Raises InputError where it has not."""
    path = folder / CATALOGUE
    if not path.exists():
        raise InputError(f"{path} is missing: the icons are not cut out yet")
    return {name: tuple(styles) for name, styles in json.loads(path.read_text(encoding="utf-8")).items()}


@lru_cache(maxsize=64)
def open_cutout(folder: Path, style: str, name: str) -> Image.Image:
    """One cut-out, RGBA."""
    with Image.open(folder / style / f"{name}.png") as image:
        return image.convert("RGBA")


def trim(image: Image.Image) -> Image.Image:
    """RGBA cut to what is not transparent. Raises InputError where all is."""
    box = image.getchannel("A").point([255 * (alpha > 8) for alpha in range(256)]).getbbox()
    if box is None:
        raise InputError("an icon is empty: the program that draws SVG does not draw it")
    return image.crop(box)


def _is_iconify(family: Family) -> bool:
    return family.name != _SVG_FREE


def _list_svgs(icons: IconSet, points: dict[str, Optional[str]]) -> Iterator[tuple[str, bytes]]:
    for name, code in points.items():
        own = icons.find_name(name, code)
        if own is not None:
            yield name, icons.svg(own).encode()


def _list_files(family: Family, archives: Path, points: dict[str, Optional[str]]) -> Iterator[tuple[str, bytes]]:
    files = {f"package/assets/{code}{end}.webp": name for name, code in points.items() if code for end in ("", "-fe0f")}
    found = {files[file]: content for file, content in read_files(fetch(family.package, archives), files)}
    yield from found.items()


def _write_one(job: tuple[str, bytes, Path]) -> str:
    """Draw one icon, unless it is there; its name."""
    name, source, path = job
    if not path.exists():
        content = draw_svg(source.decode()) if source.startswith(b"<svg") else source
        with Image.open(io.BytesIO(content)) as image, replacing(path) as part:
            trim(image.convert("RGBA")).save(part, "PNG")
    return name


def draw_svg(svg: str) -> bytes:
    """A PNG, SIZE pixels along its longer side. Raises InputError where resvg-py is not installed."""
    try:
        import resvg_py
    except ModuleNotFoundError:
        raise InputError("resvg-py is not installed: pip install -r recipes/tiny/requirements.txt") from None
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, width=SIZE, height=SIZE, skip_system_fonts=True))
