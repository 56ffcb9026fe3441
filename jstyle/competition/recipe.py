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

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple, Union

from jstyle.competition import yaml_files
from jstyle.competition.dataset import Dataset, Findings, Style
from jstyle.competition.fields import build, checked
from jstyle.competition.settings import RULES, Adapter, Model, Picture, StyleSet, require
from jstyle.errors import InputError
from jstyle.training.many_styles.runs import TrainMethod, settings_of


@dataclass(frozen=True)
class FinishMethod:
    """What a recipe must know of a finishing method.

    ``check(settings, place)`` raises ValueError, a line that starts with the place, for settings it cannot take;
    ``given`` are those that the job itself provides; ``evaluations`` counts the latents that one picture sends
    through the UNet.
    """

    check: Callable[[Mapping[str, Any], str], object]
    evaluations: Callable[[Mapping[str, Any]], int]
    given: Tuple[str, ...] = ()


@dataclass(frozen=True)
class SetMethod:
    """What a recipe must know of a method that makes sets.

    ``check(picture, place)`` raises ValueError for settings it cannot take. ``evaluations(picture, default_sampler,
    is_reference)`` counts the latents that go through the UNet: (of a picture, of what is done once a set).
    """

    check: Callable[[Picture, str], object]
    evaluations: Callable[[Picture, str, bool], Tuple[int, int]]


@dataclass(frozen=True)
class Methods:
    """The methods there are, by name: those that finish pictures, that make sets, that train, and the kinds of
    adapters that can be loaded.
    """

    finishes: Mapping[str, FinishMethod] = field(default_factory=dict)
    adapters: Tuple[str, ...] = ()
    sets: Mapping[str, SetMethod] = field(default_factory=dict)
    trainers: Mapping[str, TrainMethod] = field(default_factory=dict)


@dataclass(frozen=True)
class Planned:
    """A picture of the submission with its own settings; ``picture.seed`` is one number."""

    style: Style
    prompt: str
    picture: Picture


@dataclass(frozen=True)
class Recipe:
    """A recipe as it was written, read but not yet laid over a dataset."""

    model: Model
    picture: Mapping[str, Any]
    styles: Mapping[str, Mapping[str, Any]]


def load(path: Path, base: Optional[str] = None, model: Optional[Mapping[str, Any]] = None) -> Recipe:
    """Read a recipe; ``base`` names one of its bases (`yaml_files.read`), ``model`` replaces settings of the model.

    Raises InputError, one line, where it is no YAML or its outline is wrong.
    """
    content = yaml_files.read(path, base)
    try:
        picture, styles = content.pop("picture", None) or {}, content.pop("styles", None) or {}
        checked(Picture, picture, "picture")
        return Recipe(build(Model, {**content, **(model or {})}, "recipe"), picture, _styles(styles))
    except ValueError as error:
        raise InputError(str(error)) from error


def lay_over(recipe: Recipe, dataset: Dataset, methods: Methods) -> Tuple[List[Planned], Findings]:
    """Each picture of the dataset with its settings, and everything in the recipe that is wrong or without use."""
    findings = Findings()
    numbers = {style.number: style for style in dataset.styles}
    for number, settings in recipe.styles.items():
        if number not in numbers:
            findings.remarks.append(f"styles.{number}: the dataset has no such style")
            continue
        for prompt in settings.get("prompts") or {}:
            if prompt not in numbers[number].prompts:
                findings.errors.append(f"styles.{number}.prompts: the style has no prompt {prompt!r}")
    planned = [one for style in dataset.styles for one in _planned(recipe, style, methods, findings)]
    findings.errors = list(dict.fromkeys(findings.errors))
    return planned, findings


def _planned(recipe: Recipe, style: Style, methods: Methods, findings: Findings) -> Iterator[Planned]:
    of_style = dict(recipe.styles.get(style.number, {}))
    of_prompts: Mapping[str, Any] = of_style.pop("prompts", None) or {}
    wide = {**recipe.picture, **of_style}
    place = f"styles.{style.number}" if of_style else "picture"
    try:
        common = build(Picture, wide, place)
        seeds = _seeds(common.seed, len(style.prompts), place)
    except ValueError as error:
        findings.errors.append(str(error))
        return
    for index, prompt in enumerate(style.prompts):
        own = of_prompts.get(prompt) or {}
        own_place = f"styles.{style.number}.prompts.{prompt}" if own else place
        try:
            picture = build(Picture, {**wide, "seed": seeds[index], **own}, own_place)
            require(not isinstance(picture.seed, tuple), f"{own_place}: a prompt has one seed, not a list")
            _check_methods(picture, style, methods, own_place)
        except ValueError as error:
            findings.errors.append(str(error))
            continue
        yield Planned(style, prompt, picture)


def _check_methods(picture: Picture, style: Style, methods: Methods, place: str) -> None:
    """Raises ValueError for a method, a setting, a reference or a file that there is not."""
    if picture.start is not None and picture.start.image != "mean":
        reference_or_file(picture.start.image, style, f"{place}: start.image")
    for adapter in picture.adapters:
        _check_adapter(adapter, style, methods, place)
    if picture.set is not None:
        require(picture.set.method in methods.sets, f"{place}: {_unknown('set', picture.set.method, methods.sets)}")
        set_reference(picture.set, style, f"{place}: set.reference")
        methods.sets[picture.set.method].check(picture, f"{place}: set.settings")
    if picture.finish is None:
        return
    method = methods.finishes.get(picture.finish.method)
    if method is None:
        raise ValueError(f"{place}: {_unknown('finishing', picture.finish.method, methods.finishes)}")
    for name in method.given:
        require(name not in picture.finish.settings, f"{place}: finish.settings: {name} is the job's own")
    method.check(picture.finish.settings, f"{place}: finish.settings")
    if picture.finish.reference not in RULES:
        named_reference(picture.finish.reference, style, f"{place}: finish.reference")


def _check_adapter(adapter: Adapter, style: Style, methods: Methods, place: str) -> None:
    kinds = ", ".join(methods.adapters) or "none"
    if adapter.train is not None:
        trainers = {name: one for name, one in methods.trainers.items() if one.adapter is not None}
        method = trainers.get(adapter.kind)
        if method is None:
            raise ValueError(f"{place}: {_unknown('training', adapter.kind, trainers)}")
        given = {"model": "", "data": style.references, "output": Path(), "width": None, "height": None}
        settings_of(method, adapter.train, given, style.number, f"{place}: adapters.train")
        return
    require(adapter.kind in methods.adapters, f"{place}: no adapter kind {adapter.kind!r} (there are: {kinds})")
    file = Path((adapter.file or "").format(style=style.number))
    require(file.is_file(), f"{place}: the adapter {str(file)!r} is not there")


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    return f"no {what} method {name!r} (there are: {', '.join(known) or 'none'})"


def set_reference(given: StyleSet, style: Style, place: str) -> Optional[Path]:
    """The picture that a set takes after, None where it is that of the first prompt. Raises ValueError."""
    if given.reference == "prompt":
        return None
    return style.references[0] if given.reference == "first" else named_reference(given.reference, style, place)


def named_reference(name: str, style: Style, place: str) -> Path:
    """The style's reference with that file name or stem. Raises ValueError."""
    for path in style.references:
        if name in (path.name, path.stem):
            return path
    there = ", ".join(path.stem for path in style.references)
    raise ValueError(f"{place}: style {style.number} has no reference {name!r} (there are: {there})")


def reference_or_file(name: str, style: Style, place: str) -> Path:
    """A reference by name, else a file. Raises ValueError."""
    try:
        return named_reference(name, style, place)
    except ValueError:
        if Path(name).is_file():
            return Path(name)
        raise


def _seeds(seed: Union[int, Tuple[int, ...]], count: int, place: str) -> List[int]:
    if isinstance(seed, tuple):
        require(len(seed) == count, f"{place}: {len(seed)} seeds for {count} prompts; give one each, or a number")
        return list(seed)
    return [seed + index for index in range(count)]


def _styles(given: object) -> Dict[str, Mapping[str, Any]]:
    """The part ``styles``, its outline checked. Raises ValueError."""
    if not isinstance(given, dict):
        raise ValueError('styles: a mapping like {"07": {steps: 30}} is needed')
    for number, settings in given.items():
        if not isinstance(number, str):
            raise ValueError(f'styles: write style numbers in quotes, such as "{number:0>2}"')
        place = f"styles.{number}"
        if settings is not None and not isinstance(settings, dict):
            raise ValueError(f"{place}: settings (name: value) are needed")
        prompts = (settings or {}).get("prompts") or {}
        checked(Picture, {key: value for key, value in (settings or {}).items() if key != "prompts"}, place)
        if not isinstance(prompts, dict):
            raise ValueError(f"{place}.prompts: a mapping like {{Dolphin: {{seed: 3}}}} is needed")
        for prompt, own in prompts.items():
            checked(Picture, own, f"{place}.prompts.{prompt}")
    return {number: settings or {} for number, settings in given.items()}
