"""A picture's file says which operations computed it, also where a full disk decided."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from jstyle.ops.kernels import build, operator
from jstyle.pictures import images
from jstyle.pictures.finished import read_state, write_picture
from jstyle.pictures.spec import ModelIdentity, PictureSpec
from jstyle.runtime import operations

SPEC = PictureSpec("txt2img", ModelIdentity("a", "b"), {}, {})


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    operator.unavailable.cache_clear()
    yield
    operator.unavailable.cache_clear()
    operator.unavailable()


def write(path: Path) -> str:
    operator.unavailable()
    write_picture(Image.new("RGB", (4, 4)), path, SPEC)
    about = images.read_metadata(path)
    assert about is not None and read_state(path, SPEC) == "finished"
    return str(about["operations"])


def test_kernels_are_named(tmp_path: Path) -> None:
    assert write(tmp_path / "a.png") == ("kernels" if operator.unavailable() is None else "plain Jittor")


def test_who_stands_in_for_them_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise build.BuildError("no room for the library")

    monkeypatch.setattr(operator, "_operator", fail)
    assert write(tmp_path / "a.png") == "plain Jittor"


def test_before_anything_computes_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "_chosen", [])
    assert operations.read_operations() == ""
