"""How styles are trained: one YAML file, settings for each way to teach, and for single styles.

    model: tiny
    lora: {rank: 8, loop: {steps: 300}}          # of every style that is taught in this way
    textual_inversion: {vectors: 4}
    styles:
      "07": {lora: {loop: {steps: 600}}}         # of this style
      "09": {flip: true}                         # of this style, in whichever way

A narrower setting replaces a wider one; settings within settings are laid over each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from jstyle.errors import InputError
from jstyle.settings.fields import flat
from jstyle.settings.messages import Where, show
from jstyle.settings.model import ModelSettings
from jstyle.settings.reader import build, check, merged
from jstyle.settings.yaml_files import choose_base, parse_yaml, read_yaml
from jstyle.training.many_styles.folders import StylePictures
from jstyle.training.many_styles.spec import PROVIDED, StyleTraining, plan_training, refuse_provided
from jstyle.training.teaching.table import TEACHINGS, Teaching, list_attachable
from jstyle.weights.description import Checkpoint

Values = Mapping[str, Any]

_DEEPEST = 10  # names of a setting within settings


@dataclass(frozen=True)
class TrainRecipe:
    """A recipe as it was written; ``teachings`` and ``styles`` are its sections by name."""

    model: ModelSettings = flat(ModelSettings)

    width: Optional[int] = None
    """Pixels; by default the model's own size."""

    height: Optional[int] = None
    """Pixels."""

    teachings: Mapping[str, Values] = field(default_factory=dict)
    styles: Mapping[str, Values] = field(default_factory=dict)


def read_recipe(path: Path, base: Optional[str] = None, model: Optional[Values] = None) -> TrainRecipe:
    """Read a recipe; ``base`` names one of its bases, ``model`` replaces settings of the model.

    Raises InputError, one line, for anything in it that no way to teach has.
    """
    content = choose_base(read_yaml(path, "recipe"), base, path)
    teachings = {name: _take_section(content, name) for name in list_attachable()}
    styles = _take_section(content, "styles")
    for name, section in teachings.items():
        refuse_provided(section, PROVIDED, name)
        check(TEACHINGS[name].settings, section, name)
    for style, of_style in styles.items():
        if not isinstance(style, str):
            raise Where("styles").error(f'write names in quotes, such as "07", not {show(style)}')
        for name in set(list_attachable()) & set(_require_section(of_style, f"styles.{style}")):
            check(TEACHINGS[name].settings, of_style[name], f"styles.{style}.{name}")
    sections = {"teachings": teachings, "styles": styles}
    for name in set(sections) & set(content):
        raise InputError(f"recipe: unknown setting {name!r}")
    return build(TrainRecipe, {**content, **(model or {}), **sections}, "recipe")


def plan_trainings(
    recipe: TrainRecipe,
    styles: Sequence[StylePictures],
    teaching: Teaching,
    checkpoint: Checkpoint,
    changes: Values,
) -> list[StyleTraining]:
    """A training of each style in that way. ``changes`` go over everything.

    Raises InputError, one line, for the first setting that makes no sense.
    """
    trainings = []
    for style in styles:
        of_style = recipe.styles.get(style.name) or {}
        values: Values = recipe.teachings[teaching.name]
        in_any_way = {name: value for name, value in of_style.items() if name not in TEACHINGS}
        for narrower in (in_any_way, of_style.get(teaching.name) or {}, changes):
            values = merged(values, narrower)
        trainings.append(
            plan_training(
                teaching,
                values,
                style=style.name,
                pictures=style.pictures,
                model=recipe.model,
                checkpoint=checkpoint,
                width=recipe.width,
                height=recipe.height,
                place=style.name,
                where=f"styles.{style.name}" if of_style else teaching.name,
            )
        )
    return trainings


def parse_changes(words: Sequence[str]) -> dict[str, Any]:
    """ "loop.steps=50" -> {"loop": {"steps": 50}}, several laid over each other. Raises InputError for other words."""
    changes: dict[str, Any] = {}
    for word in words:
        key, sign, text = word.partition("=")
        parts = key.split(".")
        if not sign or not all(parts) or len(parts) > _DEEPEST:
            raise InputError(f"{show(word)} is no setting: write NAME=VALUE, such as loop.steps=50")
        value = parse_yaml(text, f"the setting {show(word)}")
        for part in reversed(parts):
            value = {part: value}
        changes = merged(changes, value)
    return changes


def _take_section(content: dict[str, Any], name: str) -> Values:
    return _require_section(content.pop(name, None), name)


def _require_section(value: Any, place: str) -> Values:
    if not isinstance(value, (Mapping, type(None))):
        raise Where(place).error(f"settings (name: value) are needed, not {show(value)}")
    return value or {}
