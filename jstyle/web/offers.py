"""The files that visitors may choose: each by a name that the page gives it, never by a path of theirs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from jstyle.errors import InputError
from jstyle.settings.configs import list_configs
from jstyle.settings.model import NamesModel
from jstyle.table import load_attribute
from jstyle.web.settings import WebSettings
from jstyle.weights.fetching import NotHere, nothing_fetched

Offers = Mapping[str, Mapping[str, str]]
"""By setting ("model", "lora", "words", "controlnet", "preset"): what stands for each name."""

WEIGHTED = ("lora",)
"""Settings whose names may be followed by a weight, NAME:0.8."""


def list_offers(settings: WebSettings) -> Offers:
    """What the page was started with. Raises InputError for a folder in which nothing is found."""
    return {
        "model": name_all(settings.model),
        "lora": name_all(_list_files(settings.lora)),
        "words": name_all(_list_files(settings.words)),
        "controlnet": name_all(settings.controlnet),
        "preset": {name: name for name in list_configs("submission_")},
    }


def name_all(sources: Iterable[str]) -> dict[str, str]:
    """Each by the last part of its path, or of its id, with a number where that is another's."""
    named: dict[str, str] = {}
    for source in sources:
        stem = Path(source).name.replace(":", "_") or source
        names = (stem, *(f"{stem} ({number})" for number in range(2, 10_000)))
        named[next(name for name in names if name not in named)] = source
    return named


def choose(setting: str, name: str, offered: Mapping[str, str]) -> str:
    """What a name stands for, with its weight. Raises InputError for a name that is not offered."""
    if name in offered:
        return offered[name]
    stem, colon, weight = name.rpartition(":")
    if setting in WEIGHTED and colon and stem in offered:
        with suppress(ValueError):
            return f"{offered[stem]}:{float(weight)}"
    raise InputError(f"{setting} must be one of {', '.join(offered) or 'none, as none is offered'}, not {name!r:.80}")


def select_models(kind: type, offered: Mapping[str, str]) -> dict[str, str]:
    """Those of the models that settings of this kind can name. Nothing is fetched: a hub id is taken at its word."""
    if not issubclass(kind, NamesModel):
        return dict(offered)
    return {name: source for name, source in offered.items() if _suits(kind, source)}


def _suits(kind: Any, source: str) -> bool:
    try:
        with nothing_fetched():
            load_attribute(kind.locate)(kind(model=source))
    except NotHere:
        return True
    except (InputError, ValueError, TypeError, OSError):
        return False
    return True


def _list_files(sources: Sequence[str]) -> list[str]:
    """Files as they are named, folders as the safetensors files in them."""
    listed: list[str] = []
    for source in sources:
        folder = Path(source).expanduser()
        if not folder.is_dir():
            listed.append(source)
            continue
        files = sorted(map(str, folder.glob("*.safetensors")))
        if not files:
            raise InputError(f"the folder {source!r} holds no .safetensors file")
        listed += files
    return listed
