"""The examples in the docstrings of what `jstyle` offers run as they stand."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

import jstyle

ROOT = Path(__file__).resolve().parents[1]
SHOWN = (
    "StyleID",
    "StyleAligned",
    "InST",
    "PromptToPrompt",
    "ZStar",
    "AttentionDistillation",
    "DistilledText",
    "train",
    "StableDiffusionPipeline",
    "samplers",
)


@pytest.mark.parametrize("name", SHOWN)
def test_the_example_runs(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    monkeypatch.chdir(tmp_path)
    text = getattr(jstyle, name).__doc__ or ""
    example = doctest.DocTestParser().get_doctest(text, {}, name, None, None)
    assert example.examples, f"{name} has no example"
    said: list[str] = []
    assert not doctest.DocTestRunner().run(example, out=said.append).failed, "".join(said)


def test_everything_that_is_offered_is_there() -> None:
    for name in jstyle.__all__:
        assert getattr(jstyle, name) is not None
        assert name in dir(jstyle)
