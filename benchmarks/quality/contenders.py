"""What puts a content into a style, by name, with the settings that its config gives it on the embedded model.

All are called as a method of contents x styles is (`jstyle.methods.pairs.PairMethod`). Those of the table of methods
join by their names; Style Aligned from a picture and InST, which take more than two pictures, are led by classes here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional, Protocol, Union

from PIL import Image

from benchmarks.quality.pairs import Pairs
from jstyle.events import Evaluated
from jstyle.files import write_text
from jstyle.methods.inst.run import InST
from jstyle.methods.inst.settings import InstSettings, InstTrainSettings
from jstyle.methods.inst.styles import Style, read_style
from jstyle.methods.pairs import Pair, Stylised, list_pairs
from jstyle.methods.sets import ImageReference
from jstyle.methods.table import METHODS
from jstyle.pictures import png_texts
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.settings.adapted import AdaptedModelSettings
from jstyle.settings.configs import find_config, list_configs
from jstyle.settings.fields import level_fields
from jstyle.settings.reader import build
from jstyle.settings.yaml_files import read_yaml
from jstyle.table import load_attribute
from jstyle.training.teaching.table import train
from style_align.run import AlignedSet, Target
from style_align.settings import StyleAlignSettings

Making = Iterator[Union[Evaluated, Stylised]]


class Contender(Protocol):
    """What is called as a method of contents x styles is, however it was made."""

    def stylise_pairs(
        self, contents: Sequence[Image.Image], styles: Sequence[Image.Image], pairs: Optional[Collection[Pair]] = None
    ) -> Making:
        """As `PairMethod` does it."""
        ...


Open = Callable[[StableDiffusionPipeline, Pairs, Path], Contender]


class AlignedFromPicture:
    """Style Aligned with each style as its reference; targets begin at the contents and have texts."""

    def __init__(self, pipe: StableDiffusionPipeline, pairs: Pairs, folder: Path) -> None:
        values = {"width": pipe.size, "height": pipe.size, "batch_size": 1}
        self._pipe, self._pairs = pipe, pairs
        self._settings = build(StyleAlignSettings, {**read_settings("style_align_image"), **values})

    def stylise_pairs(
        self, contents: Sequence[Image.Image], styles: Sequence[Image.Image], pairs: Optional[Collection[Pair]] = None
    ) -> Making:
        """As `PairMethod` does it."""
        chosen = list_pairs(len(contents), len(styles)) if pairs is None else pairs
        for style in sorted({style for _, style in chosen}):
            reference = ImageReference(self._pairs.describe_style(style), styles[style])
            members = [content for content, other in chosen if other == style]
            targets = [Target(self._pairs.describe(one, style), one, contents[one]) for one in members]
            for event in AlignedSet(self._pipe, self._settings, [reference]).make_pictures(targets):
                yield event if isinstance(event, Evaluated) else Stylised(members[event[0]], style, event[1])


class LearntFirst:
    """InST, which learns each style before; how long that took is in ``learnt.txt`` beside what was learnt."""

    def __init__(self, pipe: StableDiffusionPipeline, pairs: Pairs, folder: Path) -> None:
        values = read_settings("inst")
        training = values.pop("training")
        for unneeded in ("validation_prompts", "validation_every"):
            training.pop(unneeded)
        self._method = InST(pipe, replace(build(InstSettings, values), batch_size=1))
        self._styles = [
            self._learn(pipe, training, style, folder / f"style_{i}") for i, style in enumerate(pairs.styles)
        ]

    def stylise_pairs(
        self, contents: Sequence[Image.Image], styles: Sequence[Image.Image], pairs: Optional[Collection[Pair]] = None
    ) -> Making:
        """As `PairMethod` does it; the styles are those that were learnt."""
        return self._method.stylise_pairs(contents, self._styles, pairs)

    @staticmethod
    def _learn(pipe: StableDiffusionPipeline, training: Mapping[str, Any], style: Image.Image, folder: Path) -> Style:
        picture, told = folder / "picture.png", folder / "learnt.txt"
        if not told.exists():
            folder.mkdir(parents=True, exist_ok=True)
            png_texts.save_png(style, picture)
            values = {**training, "data": [str(picture)], "output": str(folder / "training")}
            start = time.process_time()
            train(build(InstTrainSettings, values), pipe)
            write_text(told, f"{time.process_time() - start:.1f}\n")
        return read_style(picture, folder / "training")


def list_contenders() -> dict[str, tuple[str, Open]]:
    """Title and opener of each, by name."""
    found: dict[str, tuple[str, Open]] = {"adain": ("AdaIN alone", _open_listed("styleid", injection=False))}
    for name, one in METHODS.items():
        if one.stylise and one.model is AdaptedModelSettings:  # on the embedded model, not on one of its own
            found[name] = (one.title, _open_listed(name))
    found["z_star_without_adain"] = ("Z* without AdaIN", _open_listed("z_star", adain=False))
    found["style_align"] = ("Style Aligned", AlignedFromPicture)
    found["inst"] = ("InST", LearntFirst)
    return found


def _open_listed(name: str, **changes: Any) -> Open:
    def open_method(pipe: StableDiffusionPipeline, pairs: Pairs, folder: Path) -> Contender:
        method = METHODS[name]
        sides = {side: pipe.size for side in ("width", "height", "style_size") if side in level_fields(method.settings)}
        values = {**read_settings(name), **sides, "batch_size": 1, **changes}
        return load_attribute(method.stylise or "")(pipe, build(method.settings, values))

    return open_method


def read_settings(name: str) -> dict[str, Any]:
    """What the config of this name sets beside the model; nothing where there is none."""
    if name not in list_configs():
        return {}
    of_model = level_fields(AdaptedModelSettings)
    return {key: value for key, value in read_yaml(find_config(name)).items() if key not in of_model}
