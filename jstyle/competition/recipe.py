"""What each picture of a submission is made with: one YAML file, settings for all, for a style, for a prompt.

    model: tiny
    picture:                     # of every picture
      prompt: "{prompt} in style_{style}"
      steps: 25
    styles:
      "07":                      # of every picture of style 07
        guidance: 5
        prompts:
          Dolphin: {seed: 3}     # of this one

A narrower setting replaces a wider one of its name as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Union

from jstyle.competition.dataset import Dataset, Style
from jstyle.competition.findings import Findings
from jstyle.competition.methods import Size, build_finish, build_set, check_adapter
from jstyle.competition.references import find_finish_files, find_set_file, find_start_files
from jstyle.competition.settings import PictureSettings, RecipeModel
from jstyle.diffusion.weighted_text import read_pieces
from jstyle.settings.fields import require
from jstyle.settings.messages import Where, show
from jstyle.settings.prompts import PromptSettings
from jstyle.settings.reader import build, check
from jstyle.settings.yaml_files import choose_base, read_yaml


@dataclass(frozen=True)
class Recipe:
    """A recipe as it was written, read but not yet laid over a dataset."""

    model: RecipeModel
    picture: Mapping[str, Any]
    styles: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class RecipePicture:
    """A picture of the dataset with its own settings: ``settings.seed`` is one number, ``set`` and ``finish`` are the
    built settings of the methods that make and finish it.
    """

    style: Style
    prompt: str
    settings: PictureSettings
    set: Any = None
    finish: Any = None

    @property
    def text(self) -> str:
        """The prompt for the model."""
        return self.settings.prompt.format(prompt=self.prompt, style=self.style.number)


def load_recipe(path: Path, base: Optional[str] = None, model: Optional[Mapping[str, Any]] = None) -> Recipe:
    """Read a recipe; ``base`` names one of its bases, ``model`` replaces settings of the model.

    Raises InputError, one line, where it is no YAML or its outline is wrong.
    """
    content = choose_base(read_yaml(path, "recipe"), base, path)
    picture, styles = _take_section(content, "picture", "picture"), _take_section(content, "styles", "styles")
    check(PictureSettings, picture, "picture")
    return Recipe(build(RecipeModel, {**content, **(model or {})}, "recipe"), picture, _read_styles(styles))


def lay_over(recipe: Recipe, dataset: Dataset, size: Size) -> tuple[list[RecipePicture], Findings]:
    """Each picture of the dataset with its settings, and everything in the recipe that is wrong or without use."""
    findings = Findings()
    styles = {style.number: style for style in dataset.styles}
    for number, settings in recipe.styles.items():
        if number not in styles:
            findings.remarks.append(f"styles.{number}: the dataset has no such style")
            continue
        for prompt in settings.get("prompts") or {}:
            if prompt not in styles[number].prompts:
                findings.errors.append(f"styles.{number}.prompts: the style has no prompt {prompt!r}")
    pictures = [picture for style in dataset.styles for picture in _lay_over_style(recipe, style, size, findings)]
    findings.errors = list(dict.fromkeys(findings.errors))
    return pictures, findings


def _lay_over_style(recipe: Recipe, style: Style, size: Size, findings: Findings) -> Iterator[RecipePicture]:
    of_style = dict(recipe.styles.get(style.number, {}))
    of_prompts: Mapping[str, Any] = of_style.pop("prompts", None) or {}
    wide = {**recipe.picture, **of_style}
    place = f"styles.{style.number}" if of_style else "picture"
    try:
        seeds = _list_seeds(build(PictureSettings, wide, place).seed, len(style.prompts), place)
    except ValueError as error:
        findings.errors.append(str(error))
        return
    for seed, prompt in zip(seeds, style.prompts):
        narrow = of_prompts.get(prompt) or {}
        narrow_place = f"styles.{style.number}.prompts.{prompt}" if narrow else place
        try:
            yield _make_picture(style, prompt, {**wide, "seed": seed, **narrow}, size, narrow_place)
        except ValueError as error:
            findings.errors.append(str(error))


def _make_picture(style: Style, prompt: str, values: Mapping[str, Any], size: Size, place: str) -> RecipePicture:
    """Raises ValueError for a method, a setting, a reference or a file that there is not."""
    settings = build(PictureSettings, values, place)
    for text in (RecipePicture(style, prompt, settings).text, settings.negative_prompt):
        _check_weights(text, settings.reading, place)
    require(not isinstance(settings.seed, tuple), f"{place}: a prompt has one seed, not a list")
    if settings.start is not None:
        find_start_files(settings.start, style, place)
    for adapter in settings.adapters:
        check_adapter(adapter, style, place)
    of_set = of_finish = None
    if settings.set is not None:
        of_set = build_set(settings, size, place)
        find_set_file(settings.set, style, place)
    if settings.finish is not None:
        of_finish = build_finish(settings.finish, size, place)
        find_finish_files(settings.finish, style, place)
    return RecipePicture(style, prompt, settings, of_set, of_finish)


def _check_weights(text: str, reading: PromptSettings, place: str) -> None:
    try:
        read_pieces(text, reading)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error


def _list_seeds(seed: Union[int, tuple[int, ...]], count: int, place: str) -> list[int]:
    if isinstance(seed, tuple):
        require(len(seed) == count, f"{place}: {len(seed)} seeds for {count} prompts; give one each, or a number")
        return list(seed)
    return [seed + index for index in range(count)]


def _read_styles(styles: Mapping[Any, Any]) -> dict[str, Mapping[str, Any]]:
    """The part ``styles``, its outline checked. Raises InputError."""
    read = {}
    for number, settings in styles.items():
        if not isinstance(number, str):
            raise Where("styles").error(f'write style numbers in quotes, such as "07", not {show(number)}')
        place = f"styles.{number}"
        of_style = dict(_require_section(settings, place))
        prompts = _take_section(of_style, "prompts", f"{place}.prompts")
        check(PictureSettings, of_style, place)
        for prompt, values in prompts.items():
            check(PictureSettings, values, f"{place}.prompts.{prompt}")
        read[number] = settings or {}
    return read


def _take_section(content: dict[str, Any], name: str, place: str) -> Mapping[Any, Any]:
    return _require_section(content.pop(name, None), place)


def _require_section(section: Any, place: str) -> Mapping[Any, Any]:
    """A mapping; one that was left empty is an empty one."""
    if not isinstance(section, (Mapping, type(None))):
        raise Where(place).error(f"settings (name: value) are needed, not {show(section)}")
    return section or {}
