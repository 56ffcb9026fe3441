"""The files of images of texts: counted on in a folder from run to run, or under a name that was given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from jstyle.errors import InputError
from jstyle.files import fit_name
from jstyle.methods.text_to_image.settings import TextToImageInputs
from jstyle.pictures.finished import is_finished, write_picture
from jstyle.pictures.numbered import find_pictures, write_numbered
from jstyle.pictures.spec import PictureSpec
from jstyle.settings.identity import digest
from jstyle.settings.name_patterns import fill_pattern, is_numbered
from jstyle.settings.paths import names_picture


class ImageFiles:
    """Where the images of ``specs`` are, or are to go.

    Counted images are known by what they are: the same image is found under whatever name it has, another one gets the
    next number. Without {number} the name decides, and what is something else there is not replaced unasked.
    """

    def __init__(self, inputs: TextToImageInputs, specs: Sequence[PictureSpec]) -> None:
        """Raises InputError where two images would have one name."""
        self._specs = specs
        self._folder = inputs.folder
        self._pattern = inputs.name
        if names_picture(inputs.output):
            self._paths = {0: inputs.output}
            return
        self._paths: dict[int, Path] = {}
        if is_numbered(inputs.name):
            found = find_pictures(inputs.folder, specs)
            known = [found.get(digest(spec)) for spec in specs]
            self._paths = {number: path for number, path in enumerate(known) if path is not None}
            return
        for number, spec in enumerate(specs):
            path = self._folder / fit_name(fill_pattern(inputs.name, number=number, **_words(spec)), ".png")
            if path in self._paths.values():
                raise InputError(f"two images would be {path.name!r}: write {{number}} or {{seed}} into --name")
            self._paths[number] = path

    def list_unfinished(self, *, overwrite: bool) -> list[int]:
        """The numbers of the specs that are still to be made. Raises InputError, unless ``overwrite``, where a file is
        something else.
        """
        numbers = range(len(self._specs))
        return [number for number in numbers if not self._is_finished(number, overwrite=overwrite)]

    def list_finished(self, unfinished: Sequence[int]) -> list[Path]:
        """Where the images are that are not among the ``unfinished`` ones."""
        return [path for number, path in sorted(self._paths.items()) if number not in unfinished]

    def write(self, number: int, picture: Image.Image, *, overwrite: bool) -> Path:
        """Write the image of a spec; returns its file."""
        spec, path = self._specs[number], self._paths.get(number)
        if path is None:
            return write_numbered(picture, self._folder, self._pattern, spec, _words(spec))
        write_picture(picture, path, spec, overwrite=overwrite)
        return path

    def _is_finished(self, number: int, *, overwrite: bool) -> bool:
        path = self._paths.get(number)
        return path is not None and is_finished(path, self._specs[number], overwrite=overwrite)


def _words(spec: PictureSpec) -> dict[str, Any]:
    return {"seed": spec.subject.seed, "prompt": spec.subject.prompt}
