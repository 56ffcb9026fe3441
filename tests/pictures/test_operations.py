"""Which operations compute is a part of what a picture is, also where a full disk decided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from jstyle.errors import InputError
from jstyle.ops.kernels import build, operator
from jstyle.pictures.finished import is_finished, write_picture
from jstyle.pictures.spec import PictureSpec, check_model, identify_model
from jstyle.pipelines.cost import CountingPipeline
from jstyle.settings.identity import identity
from jstyle.settings.model import ModelSettings

MODEL = ModelSettings(model="tiny")


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    operator.unavailable.cache_clear()
    yield
    operator.unavailable.cache_clear()
    operator.unavailable()


@pytest.fixture
def no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise build.BuildError("no room for the library")

    monkeypatch.setattr(operator, "_operator", fail)


def plan_picture() -> PictureSpec:
    return PictureSpec("txt2img", identify_model(MODEL, CountingPipeline.from_settings(MODEL)), {}, {})


def test_kernels_are_the_usual_ones_and_not_named_in_the_identity() -> None:
    model = plan_picture().model
    assert model.operations == ("kernels" if operator.unavailable() is None else "plain Jittor")
    names = [set(identity(replace(model, operations=operations))) for operations in ("kernels", "plain Jittor")]
    assert names[1] - names[0] == {"operations"}


@pytest.mark.usefixtures("no_kernels")
def test_who_stands_in_for_them_makes_other_pictures(tmp_path: Path) -> None:
    spec = plan_picture()
    assert spec.model.operations == "plain Jittor"
    kernels = replace(spec, model=replace(spec.model, operations="kernels"))
    write_picture(Image.new("RGB", (4, 4)), tmp_path / "a.png", kernels)
    assert is_finished(tmp_path / "a.png", kernels, overwrite=False)
    with pytest.raises(InputError, match="was made with model.operations = 'kernels', not 'plain Jittor'; --overwrite"):
        is_finished(tmp_path / "a.png", spec, overwrite=False)


@pytest.mark.usefixtures("no_kernels")
def test_a_worker_does_not_compute_what_was_planned_with_others() -> None:
    spec = plan_picture()
    pipe = CountingPipeline.from_settings(MODEL)
    check_model(spec.model, pipe)
    with pytest.raises(InputError, match="planned with kernels, but in this process plain Jittor computes"):
        check_model(replace(spec.model, operations="kernels"), pipe)
    with pytest.raises(InputError, match="checkpoint is another"):
        check_model(replace(spec.model, hash="another"), pipe)
