"""Icon sets in Iconify's JSON: bodies of SVG in boxes, and aliases of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Optional

from jstyle.errors import InputError
from recipes.tiny.icons.packages import read_file

_INK = "#16161c"  # what "currentColor" is
_BOX = {"left": 0, "top": 0, "width": 16, "height": 16}  # the format's defaults


class IconSet:
    """One set of icons: ``icons`` as the format has them, and ``chars``, the icons' names by their code points."""

    def __init__(self, icons: Mapping[str, Any], chars: Mapping[str, str]) -> None:
        self.icons = icons
        self.chars = chars

    @classmethod
    def open(cls, archive: Path) -> IconSet:
        """The set in a package. Raises InputError where it holds none."""
        icons, chars = (json.loads(read_file(archive, f"package/{name}.json")) for name in ("icons", "chars"))
        return cls(icons, chars)

    @cached_property
    def code_points(self) -> dict[str, str]:
        """The code points of each name, without the selector of the coloured form ("fe0f")."""
        return {name: _plain(points) for points, name in self.chars.items()}

    @cached_property
    def names(self) -> dict[str, str]:
        """The name for each code point, likewise."""
        return {points: name for name, points in self.code_points.items()}

    def find_name(self, name: str, points: Optional[str]) -> Optional[str]:
        """This set's own name for what another set calls ``name`` at these code points; None where it has none."""
        known = self.names.get(points) if points else None
        for own in (known, name):
            if own is not None and (own in self.icons["icons"] or own in self.icons.get("aliases", {})):
                return own
        return None

    def svg(self, name: str) -> str:
        """A whole SVG. An alias is its parent, mirrored where it says so.

        Raises InputError where there is no such icon, or one that is turned: none of the sets in use has these.
        """
        icon = self._resolve(name)
        if icon.get("rotate") or icon.get("vFlip"):
            raise InputError(f"the icon {name} is turned or upside down, which this reader does not know")
        left, top, width, height = (icon.get(key, self.icons.get(key, default)) for key, default in _BOX.items())
        body = icon["body"]
        if icon.get("hFlip"):
            body = f'<g transform="translate({2 * left + width} 0) scale(-1 1)">{body}</g>'
        names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        box = f'viewBox="{left} {top} {width} {height}" width="{width}" height="{height}"'
        return f'<svg {names} {box} color="{_INK}">{body}</svg>'

    def _resolve(self, name: str) -> dict[str, Any]:
        """The icon, or the alias's parent with the alias's own properties; two mirrorings cancel each other."""
        if name in self.icons["icons"]:
            return dict(self.icons["icons"][name])
        alias = self.icons.get("aliases", {}).get(name)
        if alias is None:
            raise InputError(f"there is no icon {name} in the set {self.icons.get('prefix')}")
        parent = self._resolve(alias["parent"])
        flipped = bool(parent.get("hFlip")) != bool(alias.get("hFlip"))
        return {**parent, **alias, "hFlip": flipped}


def _plain(points: str) -> str:
    return "-".join(point for point in points.lower().split("-") if point != "fe0f")
