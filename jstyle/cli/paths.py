"""Paths that cannot be what they are given for, told before anything is started."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Union

from jstyle.errors import InputError
from jstyle.files import check_output, check_output_file
from jstyle.pictures.images import find_images
from jstyle.settings.adapted import AdaptedModelSettings
from jstyle.settings.model import ModelSettings
from jstyle.settings.paths import Use, guess_path, list_paths, looks_like_file, names_picture, read_path
from jstyle.table import load_attribute
from jstyle.weights.fetching import NotHere, nothing_fetched
from jstyle.weights.header import read_header
from jstyle.weights.hub import is_hub_id, locate


def check_paths(settings: Any) -> None:
    """Raise InputError for the first path of a settings dataclass that cannot be used, or a model that is not there.

    A model of the hub is not asked for.
    """
    for path, use in list_paths(settings):
        _CHECKS[use](path)
    model = settings if isinstance(settings, ModelSettings) else getattr(settings, "model", None)
    if isinstance(model, (ModelSettings, str)):
        _check_model(model)


def fetch_checked(settings: Any) -> Any:
    """The settings, with `fetch_named`'s files, whose paths can be used. Raises InputError as both do."""
    settings = fetch_named(settings)
    check_paths(settings)
    return settings


def fetch_named(settings: Any) -> Any:
    """The settings with files in the place of the hub ids of LoRAs and words. Raises InputError as `fetch_adapters`."""
    if isinstance(settings, AdaptedModelSettings) and (settings.lora or settings.words):
        return load_attribute("jstyle.adapters.put_on:fetch_adapters")(settings)
    return settings


def _check_model(model: Union[ModelSettings, str]) -> None:
    """Of a name alone a recipe may say the variant: only whether there is such a thing can be looked at."""
    if isinstance(model, str):
        if not is_hub_id(model) and not read_path(model).exists():
            locate(model)
        return
    if not is_hub_id(model.model):
        with nothing_fetched(), suppress(NotHere):
            load_attribute("jstyle.weights.model_files:locate_model")(model)
    if isinstance(model, AdaptedModelSettings):
        model.check_files()
        for path, _ in (*model.list_loras(), *model.list_words()):
            if path.is_file():
                read_header(path)  # of a folder only its loader knows which file


def _check_pictures(path: Path) -> None:
    _check_something(path)
    find_images([path], lambda line: None)  # the run tells what is odd


def check_file(path: Path) -> None:
    """Raise InputError, with the name that was meant, unless there is a file."""
    _check_something(path)
    if path.is_dir():
        raise InputError(f"{str(path)!r} is a folder, and a file is needed")


def _check_folder(path: Path) -> None:
    _check_something(path)
    if not path.is_dir():
        raise InputError(f"{str(path)!r} is a file, and a folder is needed")


def _check_something(path: Path) -> None:
    try:
        path.stat()
    except OSError as error:
        meant = guess_path(path)
        advice = f" ({meant})" if meant else ""
        raise InputError(f"cannot read {str(path)!r}: {error.strerror}{advice}") from error


def _check_folder_of_results(path: Path) -> None:
    if looks_like_file(path):
        raise InputError(f"{str(path)!r} is named like a file, and the output here is a folder: leave the ending out")
    check_output(path)


def _check_results(path: Path) -> None:
    if names_picture(path):
        check_output_file(path)
    elif looks_like_file(path):
        raise InputError(f"{str(path)!r}: pictures are written as PNG: end its name in .png, or name a folder")
    else:
        check_output(path)


_CHECKS: Mapping[Use, Callable[[Path], None]] = {
    Use.PICTURES: _check_pictures,
    Use.PICTURE: check_file,
    Use.FILE: check_file,
    Use.FOLDER: _check_folder,
    Use.SOMETHING: _check_something,
    Use.RESULTS_FOLDER: _check_folder_of_results,
    Use.RESULT: check_output_file,
    Use.RESULTS: _check_results,
}
