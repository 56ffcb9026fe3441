"""What tells trainings apart: every setting, but for those that a person has said why not."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

from jstyle.methods.inst.settings import InstTraining
from jstyle.settings.fields import is_free, level_fields
from jstyle.settings.identity import digest
from jstyle.settings.reader import build
from jstyle.training.teaching.lora.settings import LoraSettings
from jstyle.training.teaching.settings import TeachOptions
from jstyle.training.teaching.table import TEACHINGS

FREE: Mapping[str, str] = {
    "data": "the pictures' own bytes count",
    "output": "where a result lies is not what it is",
    "model": "the weights' hash stands for it",
    "revision": "the weights' hash stands for it",
    "variant": "the weights' hash stands for it",
    "vae_weights": "the weights' hash stands for it",
    "base_model": "the weights' hash stands for it",
    "prediction_type": "the model's configuration stands for it",
    "recompute": "it trades time for memory",
    "validation_prompts": "it is drawn to be looked at",
    "validation_every": "it is drawn to be looked at",
    "validation_steps": "it is drawn to be looked at",
    "guidance": "it is drawn to be looked at",
    "loop.checkpoint_every": "a resumed run ends with the bits of an uninterrupted one",
}
"""Every setting that may differ between two trainings of one result, and why. Whoever adds one has looked for it in all
that is computed."""

FREE_BESIDE: Mapping[str, Mapping[str, str]] = {
    "inst": {"image_encoder": "its weights' hash stands for it"},
    "controlnet": {"maps": "the maps' own pixels count"},
}
"""The same of settings that one way to teach has."""

GIVEN = {"data": ["pictures"], "output": "out"}


def list_fields(kind: type, prefix: str = "") -> Iterator[tuple[str, dataclasses.Field, Any]]:
    """Every setting by its dotted path, with its field and its type."""
    for name, (field, hint) in level_fields(kind).items():
        if dataclasses.is_dataclass(hint):
            yield from list_fields(typing.cast(type, hint), f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field, hint


CASES = [(name, path) for name, teaching in TEACHINGS.items() for path, _, _ in list_fields(teaching.settings)]


def change(hint: Any, value: Any) -> Any:
    """Another value of the type, which every setting of the type may have."""
    arguments = [kind for kind in typing.get_args(hint) if kind is not type(None)]
    if typing.get_origin(hint) is Literal:
        return next(choice for choice in reversed(arguments) if choice != value)
    if typing.get_origin(hint) is typing.Union:
        return change(arguments[0], value)
    if typing.get_origin(hint) is tuple:
        return [8, 16] if arguments[0] is int else ["other {token}"]
    if hint is bool:
        return not value
    if hint is float:
        return 2.0 if value is None else value / 2 or 0.25
    if hint is int:
        return (value or 63) + 1
    assert hint in (str, Path), hint
    return f"{value or ''} other {{token}}"


def read(settings: Any, path: str) -> Any:
    """The value at a path, of which parts of flat groups are no part."""
    name, _, rest = path.partition(".")
    for candidate in (settings, *(getattr(settings, group, None) for group in ("model", "class_pictures"))):
        if hasattr(candidate, name) and not (candidate is settings and name == "model"):
            return read(getattr(candidate, name), rest) if rest else getattr(candidate, name)
    raise AssertionError(path)


def nest(path: str, value: Any) -> dict[str, Any]:
    for part in reversed(path.split(".")):
        value = {part: value}
    return value


@pytest.mark.parametrize(("name", "path"), CASES, ids=[f"{name}-{path}" for name, path in CASES])
def test_a_changed_setting_is_another_training_unless_it_is_free(name: str, path: str) -> None:
    from jstyle.training.teaching.tuning import fixed_settings

    kind = TEACHINGS[name].settings
    field, hint = next((field, hint) for other, field, hint in list_fields(kind) if other == path)
    settings = build(kind, GIVEN)
    value = "<other>" if path == "token" else change(hint, read(settings, path))  # a token is one word
    changed = build(kind, {**GIVEN, **nest(path, value)})
    assert (digest(changed) == digest(settings)) == is_free(field)
    kept = [{**fixed_settings(one), **one.loop.fixed_when_resumed()} for one in (settings, changed)]
    assert (kept[0] == kept[1]) == (is_free(field) or path == "loop.steps")  # at a constant rate it may be made longer


def test_the_free_settings_are_those_that_were_looked_at() -> None:
    for name, teaching in TEACHINGS.items():
        free = {path: field for path, field, _ in list_fields(teaching.settings) if is_free(field)}
        reasons = {path: next(iter(field.metadata.values())) for path, field in free.items()}
        assert reasons == {**FREE, **FREE_BESIDE.get(name, {})}


def test_class_pictures_drawn_otherwise_are_another_training() -> None:
    """Which guidance draws pictures to be looked at does not count; which one draws the class's pictures does."""

    def identify(**changes: Any) -> str:
        return digest(build(LoraSettings, {**GIVEN, "class_prompt": "a painting", **changes}))

    assert len({identify(class_guidance=value) for value in (3.0, 9.0)}) == 2
    assert len({identify(guidance=value) for value in (3.0, 9.0)}) == 1


def test_a_cosine_run_cannot_be_made_longer() -> None:
    loops = [build(LoraSettings, {**GIVEN, "loop": {"schedule": "cosine", "steps": steps}}).loop for steps in (5, 6)]
    assert loops[0].fixed_when_resumed() != loops[1].fixed_when_resumed()


def test_training_in_bf16_is_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match="precision must be fp32 or fp16 for training, not bf16"):
        build(LoraSettings, {**GIVEN, "precision": "bf16"})


def test_how_a_run_learns_its_styles_says_nothing_of_the_model() -> None:
    """The run says it once; a second option would win over it in silence."""
    for kind in (TeachOptions, InstTraining):
        assert not {"model", "revision", "variant", "precision", "backend", "vae_tiling"} & set(level_fields(kind))


def test_looking_at_the_table_starts_nothing() -> None:
    code = (
        "import sys, jstyle.training, jstyle.adapters, jstyle.training.many_styles.inputs\n"
        "from jstyle.training.teaching.table import TEACHINGS\n"
        "print([teaching.settings.__name__ for teaching in TEACHINGS.values()], 'jittor' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("False\n") and "LoraSettings" in done.stdout
