"""What the training of a style is, and how its settings come about."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Optional

from jstyle.errors import InputError
from jstyle.pictures.spec import Identifiable
from jstyle.settings.identity import digest
from jstyle.settings.model import ModelSettings
from jstyle.settings.reader import build, plain
from jstyle.table import load_attribute
from jstyle.training.teaching.settings import CaptionedSettings, TeachSettings
from jstyle.training.teaching.table import TEACHINGS, Teaching
from jstyle.weights import fetching

PROVIDED = ("data", "output", "model", "revision", "variant", "backend", "vae_tiling")
"""The settings of a training that its recipe's sections may not say: the run provides them."""


@dataclass(frozen=True)
class TrainingSpec:
    """What is trained: its digest (`jstyle.settings.identity`) tells results apart before there are any.

    ``model`` (its weights), ``configuration`` (the rest of it) and ``pictures`` are hashes; ``settings`` is the
    dataclass of the way to teach.
    """

    teaching: str
    model: str
    configuration: str
    pictures: str
    settings: Any

    networks: Optional[str] = None
    """The hash of networks that the settings name beside the model (`Teaching.hash_networks`)."""


@dataclass(frozen=True)
class StyleTraining:
    """The training of one style. ``place`` is its folder below that of all; ``kind`` names the kernels it needs."""

    style: str
    spec: TrainingSpec
    place: str
    kind: str

    @property
    def settings(self) -> Any:
        """The settings, whose output is not decided yet."""
        return self.spec.settings

    @property
    def teaching(self) -> Teaching:
        """The way to teach."""
        return TEACHINGS[self.spec.teaching]

    @cached_property
    def identity(self) -> str:
        """By which the result is known."""
        return digest(self.spec)

    @property
    def result(self) -> str:
        """The file of the result, below the folder of all."""
        return f"{self.place}/{self.teaching.result}"

    @property
    def steps(self) -> int:
        """Updates in all."""
        return self.settings.loop.steps


def plan_training(
    teaching: Teaching,
    values: Mapping[str, Any],
    *,
    style: str,
    pictures: Sequence[Path],
    model: ModelSettings,
    checkpoint: Identifiable,
    width: Optional[int] = None,
    height: Optional[int] = None,
    place: Optional[str] = None,
    where: str = "recipe",
) -> StyleTraining:
    """The training of one style.

    Args:
        values: settings as a recipe has them; "{style}" in a text stands for the style's name.
        pictures: what the style is learnt from.
        model, checkpoint: what is taught; ``values`` may say another precision.
        width, height: pixels, where the run decides over them.
        place: the folder below that of all trainings; by default it is named by the identity.
        where: what errors start with.

    Raises InputError, one line, for settings that make no sense.
    """
    provided: dict[str, Any] = {name: value for name, value in plain(model).items() if name != "precision"}
    provided.update(data=[path.resolve() for path in pictures], output=Path())
    provided.update({name: side for name, side in (("width", width), ("height", height)) if side is not None})
    values = {"precision": model.precision, **values}
    settings = build_settings(teaching, values, provided, where, style)
    taught = checkpoint.model_hash, checkpoint.configuration
    networks = _hash_networks(teaching, settings)
    spec = TrainingSpec(teaching.name, *taught, hash_pictures(pictures), settings, networks)
    kind = _describe_kernels(teaching, build_settings(teaching, values, provided, where), taught)
    return StyleTraining(style, spec, place or f"{style}/{teaching.name}-{digest(spec)[:12]}", kind)


def _hash_networks(teaching: Teaching, settings: Any) -> Optional[str]:
    """The hash of networks beside the model; empty where one is planned with and not on this machine."""
    try:
        return load_attribute(teaching.hash_networks)(settings) if teaching.hash_networks else None
    except fetching.NotHere:
        return ""


def build_settings(
    teaching: Teaching, values: Mapping[str, Any], provided: Mapping[str, Any], where: str, style: Optional[str] = None
) -> Any:
    """Settings of a way to teach, from what a recipe says and what the run provides.

    With a ``style``, "{style}" in a text stands for it. Raises InputError, one line that starts with ``where``.
    """
    refuse_provided(values, (*PROVIDED, *provided), where)
    if style is not None:
        values = _fill(values, re.sub(r"[^\w-]+", "_", style))
    return build(teaching.settings, {**values, **provided}, where)


def refuse_provided(values: Mapping[str, Any], names: Sequence[str], where: str) -> None:
    """Raise InputError where a recipe says what the run provides."""
    for name in names:
        if name in values:
            raise InputError(f"{where}: {name} is the job's own")


def shorten(settings: TeachSettings) -> TeachSettings:
    """The settings of a rehearsal: one step that compiles every kernel of the whole training."""
    short: dict[str, Any] = {"loop": replace(settings.loop, steps=1, warmup=0, checkpoint_every=1)}
    short.update(validation_every=1, validation_steps=1)
    if isinstance(settings, CaptionedSettings):
        short["class_pictures"] = replace(settings.class_pictures, class_images=1, class_steps=1)
    return replace(settings, **short)


def read_spec(values: Mapping[str, Any]) -> TrainingSpec:
    """The spec of which ``jstyle.settings.reader.plain`` made these values."""
    spec = build(TrainingSpec, values, "training")
    return replace(spec, settings=build(TEACHINGS[spec.teaching].settings, spec.settings, spec.teaching))


def hash_pictures(pictures: Sequence[Path]) -> str:
    """SHA-256 over pictures, their names and the texts beside them: all that captions are made of."""
    total = hashlib.sha256()
    for path in pictures:
        text = path.with_suffix(".txt")
        caption = text.read_bytes() if text.is_file() else b""
        for part in (path.stem.encode("utf-8", "surrogateescape"), path.read_bytes(), caption):
            total.update(hashlib.sha256(part).digest())
    return total.hexdigest()


def _describe_kernels(teaching: Teaching, settings: TeachSettings, taught: tuple[str, str]) -> str:
    """A digest of the rehearsal before "{style}" is filled in: what rehearses alike needs the same kernels."""
    rehearsal = plain(replace(shorten(settings), data=(Path("data"),)))
    text = json.dumps([teaching.name, *taught, rehearsal], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _fill(value: Any, style: str) -> Any:
    if isinstance(value, str):
        return value.replace("{style}", style)
    if isinstance(value, Mapping):
        return {key: _fill(inner, style) for key, inner in value.items()}
    return [_fill(inner, style) for inner in value] if isinstance(value, (list, tuple)) else value
