"""How styles are trained: one YAML file, settings for each method, and for single styles.

    model: tiny
    lora: {rank: 8, loop: {steps: 300}}          # of every style that is trained by this method
    textual_inversion: {vectors: 4}
    styles:
      "07": {lora: {loop: {steps: 600}}}         # of this style
      "09": {flip: true}                         # of this style, by whichever method

A narrower setting replaces a wider one; settings within settings are laid over each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

import yaml

from jstyle.competition import yaml_files
from jstyle.competition.fields import build, checked
from jstyle.competition.settings import Model
from jstyle.errors import InputError
from jstyle.training.many_styles import runs
from jstyle.training.many_styles.folders import StylePictures
from jstyle.training.many_styles.runs import Run, TrainMethod
from jstyle.weights.description import Checkpoint

Methods = Mapping[str, TrainMethod]


@dataclass(frozen=True)
class TrainRecipe:
    """A recipe as it was written; ``methods`` and ``styles`` are its sections by name."""

    model: Model
    methods: Mapping[str, Mapping[str, Any]]
    styles: Mapping[str, Mapping[str, Any]]


def load(
    path: Path, methods: Methods, base: Optional[str] = None, model: Optional[Mapping[str, Any]] = None
) -> TrainRecipe:
    """Read a recipe; ``base`` names one of its bases, ``model`` replaces settings of the model.

    Raises InputError, one line, for anything in it that no method has.
    """
    written = yaml_files.read(path, base)
    try:
        sections = {name: _section(written.pop(name, None), name) for name in methods}
        styles = _section(written.pop("styles", None), "styles")
        for name, section in sections.items():
            runs.refuse(section, runs.OWN, name)
            checked(methods[name].settings, section, name)
        for style, own in styles.items():
            if not isinstance(style, str):
                raise ValueError(f'styles: write names in quotes, such as "{style:0>2}"')
            for name in set(methods) & set(_section(own, f"styles.{style}")):
                checked(methods[name].settings, own[name], f"styles.{style}.{name}")
        return TrainRecipe(build(Model, {**written, **(model or {})}, "recipe"), sections, styles)
    except ValueError as error:
        raise InputError(str(error)) from error


def lay_over(
    recipe: TrainRecipe,
    styles: Sequence[StylePictures],
    name: str,
    methods: Methods,
    checkpoint: Checkpoint,
    changes: Mapping[str, Any],
) -> List[Run]:
    """A run for each style by the method ``name``. ``changes`` go over everything.

    Raises InputError, one line, for the first setting that makes no sense.
    """
    made = []
    for style in styles:
        own = recipe.styles.get(style.name) or {}
        where = f"styles.{style.name}" if own else name
        values = dict(recipe.methods[name])
        for narrower in ({key: own[key] for key in own if key not in methods}, own.get(name) or {}, changes):
            values = yaml_files.merged(values, narrower)
        try:
            made.append(
                runs.planned(
                    name,
                    methods[name],
                    values,
                    style=style.name,
                    pictures=style.pictures,
                    model=recipe.model,
                    model_hash=checkpoint.hash,
                    place=style.name,
                    where=where,
                )
            )
        except ValueError as error:
            raise InputError(str(error)) from error
    return made


def changes_of(words: Sequence[str]) -> Dict[str, Any]:
    """ "loop.steps=50" -> {"loop": {"steps": 50}}, several laid over each other. Raises InputError for other words."""
    found: Dict[str, Any] = {}
    for word in words:
        key, sign, text = word.partition("=")
        if not sign or not key:
            raise InputError(f"{word!r} is no setting: write NAME=VALUE, such as loop.steps=50")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InputError(f"{word!r} is no setting: {' '.join(str(error).split())}") from error
        for part in reversed(key.split(".")):
            value = {part: value}
        found = yaml_files.merged(found, value)
    return found


def _section(given: Any, place: str) -> Dict[str, Any]:
    if not isinstance(given, (dict, type(None))):
        raise ValueError(f"{place}: settings (name: value) are needed, not {given!r}")
    return given or {}
