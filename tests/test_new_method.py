"""A new method is one folder and one line: a toy turns up everywhere without another edit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from jstyle.cli.main import main
from jstyle.errors import InputError
from jstyle.methods.table import METHODS
from jstyle.pictures import images, png_texts
from jstyle.table import write_table
from jstyle.training.teaching.table import TEACHINGS

ROOT = Path(__file__).resolve().parents[1]
FOLDER = {
    "__init__.py": """
        from jstyle.methods.table import Method
        from toy_method.settings import ToySettings

        METHOD = Method(
            name="toy_method",
            title="Toy",
            summary="mixes the mean colour of a style into a content",
            paper="arXiv 0000.00000",
            settings=ToySettings,
            stylise="toy_method.run:Toy",
        )
        """,
    "settings.py": """
        from dataclasses import dataclass
        from typing import Optional

        from jstyle.settings.fields import free, require
        from jstyle.settings.vocabulary import Fit


        @dataclass(frozen=True)
        class ToySettings:
            amount: float = 0.5
            \"\"\"How much of the style's colour is mixed in.\"\"\"

            width: Optional[int] = None
            height: Optional[int] = None
            fit: Fit = "crop"
            batch_size: int = free(1, because="pictures do not see each other")

            def __post_init__(self) -> None:
                require(0 <= self.amount <= 1, f"amount must be from 0 to 1, not {self.amount}")
        """,
    "run.py": """
        import numpy as np
        from jstyle.pipelines.cost import Meter
        from jstyle.methods.pairs import Stylised, list_pairs
        from jstyle.pictures import images, png_texts
        from jstyle.runtime import jt


        class Toy:
            def __init__(self, pipe, settings):
                self.pipe, self.settings = pipe, settings
                self.size = settings.width or pipe.size, settings.height or pipe.size

            def stylise_pairs(self, contents, styles, pairs=None):
                denoiser = self.pipe.denoiser("", "", 3.0)
                meter = Meter("mixing", denoiser)
                for content, style in list_pairs(len(contents), len(styles)) if pairs is None else pairs:
                    x = jt.zeros((1, *self.pipe.latent_shape(*self.size[::-1])))
                    denoiser(x, self.pipe.schedule.level(500), 0)
                    yield meter.read()
                    kept = images.to_array([images.fit(contents[content], *self.size)])
                    colour = images.to_array([images.fit(styles[style], *self.size)]).mean((2, 3), keepdims=True)
                    amount = self.settings.amount
                    yield Stylised.from_array(content, style, (1 - amount) * kept + amount * colour.astype(np.float32))
        """,
}
LINE = "from jstyle.methods.table import METHODS; METHODS.packages.append('toy_method')"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The method's folder, in a place from which it can be imported."""
    place = tmp_path_factory.mktemp("methods")
    (place / "toy_method").mkdir()
    for name, text in FOLDER.items():
        lines = text.strip("\n").split("\n")
        (place / "toy_method" / name).write_text("\n".join(line[8:] for line in lines) + "\n")
    return place


@pytest.fixture()
def registered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The method in this process's table."""
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(METHODS, "packages", [*METHODS.packages, "toy_method"])
    yield


def run_command(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """`jstyle WORDS` in a process whose table has the method's line."""
    program = f"import sys; {LINE}; from jstyle.cli.main import main_and_exit; sys.argv[0] = 'jstyle'; main_and_exit()"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)])}
    command = [sys.executable, "-c", program, *map(str, words)]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=600)


def test_it_is_a_command_with_help(folder: Path) -> None:
    told = run_command(folder, "toy-method", "--help")
    assert told.returncode == 0
    for phrase in ("ixes the mean colour", "--amount", "How much of the style's colour is mixed in.", "--precision"):
        assert phrase in " ".join(told.stdout.split())
    overview = run_command(folder, "--help").stdout
    assert "toy-method" in overview and "arXiv 0000.00000" in overview
    wrong = run_command(folder, "toy-method", "--amont", "0.2")
    assert wrong.returncode == 2 and "did you mean" in wrong.stderr and wrong.stderr.count("\n") == 1
    refused = run_command(folder, "toy-method", "--amount", "3", "--content", "a", "--style", "b", "--output", "c")
    assert refused.returncode == 2 and "amount must be from 0 to 1" in refused.stderr


def test_its_pictures_are_recognised(registered: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = {}
    for name, colour in (("content", (200, 40, 40)), ("style", (20, 60, 220))):
        pictures[name] = tmp_path / f"{name}.png"
        Image.new("RGB", (40, 40), colour).save(pictures[name])
    places = {"content": pictures["content"], "style": pictures["style"], "output": tmp_path / "out"}
    words = ["toy-method", *(word for name, path in places.items() for word in (f"--{name}", str(path)))]
    assert main([*words, "--amount", "0.25"]) == 0
    path = tmp_path / "out" / "content_stylized_style.png"
    assert images.open_image(path).getpixel((5, 5)) == (155, 45, 85)
    about = png_texts.read_metadata(path) or {}
    spec = about["spec"]
    assert isinstance(spec, dict) and spec["method"] == "toy_method" and spec["settings"]["amount"] == 0.25
    written = path.stat().st_mtime_ns
    capsys.readouterr()
    assert main([*words, "--amount", "0.25", "--batch_size", "4"]) == 0
    assert "1 of them finished before" in capsys.readouterr().out
    assert path.stat().st_mtime_ns == written
    with pytest.raises(InputError, match="amount = 0.25, not 0.5"):
        main([*words, "--amount", "0.5"])
    assert main([*words, "--amount", "0.5", "--overwrite"]) == 0
    assert images.open_image(path).getpixel((5, 5)) == (110, 50, 130)


def test_it_has_grids(registered: None, tmp_path: Path) -> None:
    """Amounts down and styles across, each colour the mean's; a setting that takes a list is given once a value."""
    for name, colour in (("content", (200, 40, 40)), ("blue", (20, 60, 220)), ("green", (40, 240, 80))):
        Image.new("RGB", (40, 40), colour).save(tmp_path / f"{name}.png")
    styles = [word for name in ("blue", "green") for word in ("--style", str(tmp_path / f"{name}.png"))]
    words = ["grid", "toy-method", "--content", str(tmp_path / "content.png"), "--amount", "0.25", "0.5", *styles]
    assert main([*words, "--output", str(tmp_path / "out")]) == 0
    sheet = images.open_image(tmp_path / "out" / "amount_x_style.png")
    places = [(x * sheet.width // 4, y * sheet.height // 4) for y in (1, 3) for x in (1, 3)]
    assert [sheet.getpixel(place) for place in places] == [
        (155, 45, 85), (160, 90, 50), (110, 50, 130), (120, 140, 60),
    ]  # fmt: skip
    assert len([path for path in tmp_path.rglob("*_stylized_*.png") if png_texts.is_ours(path)]) == 4


def test_it_finishes_pictures_of_recipes(registered: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data" / "00"
    (data / "images").mkdir(parents=True)
    Image.new("RGB", (40, 40), (20, 60, 220)).save(data / "images" / "boat.png")
    (data / "prompt.json").write_text(json.dumps({"0": "House"}))
    recipe = tmp_path / "recipe.yaml"

    def submit(settings: str) -> int:
        recipe.write_text(f"picture: {{steps: 2, guidance: 1, finish: {{method: toy_method, settings: {settings}}}}}\n")
        places = {"data": data.parent, "recipe": recipe, "output": tmp_path / "submission"}
        return main(["submit", *(word for name, path in places.items() for word in (f"--{name}", str(path)))])

    with pytest.raises(InputError, match=r"did you mean amount\?"):
        submit("{amont: 0.5}")
    assert submit("{amount: 1.0}") == 0
    picture = images.open_image(tmp_path / "submission" / "pictures" / "00" / "House.png")
    assert picture.getpixel((9, 9)) == (20, 60, 220)
    told = capsys.readouterr().out
    assert "3 UNet evaluations" not in told  # two steps unguided, then one guided call: 2 + 2
    assert "4 UNet evaluations" in told


def test_it_has_its_row_in_the_docs(registered: None) -> None:
    assert (
        "| Toy | `jstyle toy-method` | mixes the mean colour of a style into a content | arXiv 0000.00000 |"
        in write_table(METHODS, "method", "jstyle")
    )


def test_the_docs_hold_the_tables() -> None:
    text = (ROOT / "docs" / "methods.md").read_text("utf-8")
    assert write_table(METHODS, "method", "jstyle") in text
    assert write_table(TEACHINGS, "teaching", "jstyle train") in text
