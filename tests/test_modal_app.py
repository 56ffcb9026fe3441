"""The example for a cloud GPU, its function run here."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from jstyle.cli.main import main
from jstyle.pictures import png_texts

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """The example as a module."""
    pytest.importorskip("modal")
    spec = importlib.util.spec_from_file_location("modal_app", ROOT / "examples" / "modal_app.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_results_are_those_of_the_command(example: ModuleType, tmp_path: Path) -> None:
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for name, colour in (("red", (200, 40, 40)), ("blue", (20, 60, 220))):
        Image.new("RGB", (64, 64), colour).save(photographs / f"{name}.png")
    style = str(ROOT / "samples" / "style" / "woodcut.png")
    words = ["styleid", "--content", str(photographs), "--style", style, "--steps", "2", "--output"]
    sent, files = example.pack([*words, "out"])
    assert sent[0] == "styleid" and all(str(tmp_path) not in word for word in sent)
    assert set(files) == {"given/2/photographs/blue.png", "given/2/photographs/red.png", "given/4/woodcut.png"}
    example.unpack(example.run_command.local(sent, files), tmp_path / "back")
    assert main([*words, str(tmp_path / "here")]) == 0
    names = sorted(path.name for path in (tmp_path / "here").iterdir())
    assert names == ["blue_stylized_woodcut.png", "contact_sheet.png", "red_stylized_woodcut.png"]
    assert sorted(path.name for path in (tmp_path / "back" / "out").iterdir()) == names
    for name in names:
        pictures = [np.asarray(Image.open(folder / name)) for folder in (tmp_path / "here", tmp_path / "back" / "out")]
        assert (pictures[0] == pictures[1]).all()
    assert png_texts.is_ours(tmp_path / "back" / "out" / names[0])


def test_what_fails_says_why(example: ModuleType) -> None:
    with pytest.raises(RuntimeError, match="error: --content is missing"):
        example.run_command.local(["styleid"], {})
