"""A new way to teach is one folder and one line: a toy turns up everywhere without another edit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jstyle.cli.main import main
from jstyle.errors import InputError
from jstyle.holding import LOCK, held
from jstyle.pictures import images
from jstyle.table import write_table
from jstyle.training.teaching.table import TEACHINGS

FOLDER = {
    "__init__.py": """
        from jstyle.training.teaching.table import Teaching
        from toy_teaching.settings import ToySettings

        TEACHING = Teaching(
            name="toy_teaching",
            title="Toy",
            summary="learns how bright a VAE decodes",
            paper="arXiv 0000.00000",
            settings=ToySettings,
            run="toy_teaching.run:train_toy",
            result="toy.json",
            attach="toy_teaching.run:attach_toy",
        )
        """,
    "settings.py": """
        from dataclasses import dataclass

        from jstyle.settings.fields import require
        from jstyle.training.teaching.settings import TeachSettings


        @dataclass(frozen=True)
        class ToySettings(TeachSettings):
            \"\"\"A brightness.\"\"\"

            amount: float = 0.5
            \"\"\"How much of the pictures' brightness is learnt.\"\"\"

            def __post_init__(self) -> None:
                super().__post_init__()
                require(0 <= self.amount <= 1, f"amount must be from 0 to 1, not {self.amount}")
        """,
    "run.py": """
        import json
        from contextlib import contextmanager

        import numpy as np
        from jstyle.events import Planned, Updated
        from jstyle.pictures import images


        def train_toy(settings, pipe=None):
            files = images.find_images(settings.data)
            yield Planned(updates=settings.loop.steps)
            for step in range(settings.loop.steps):
                yield Updated(settings.output.name, 1, 0.5 / (step + 1))
            brightness = float(np.mean([np.asarray(images.open_image(file)).mean() for file in files]))
            settings.output.mkdir(parents=True, exist_ok=True)
            (settings.output / "toy.json").write_text(json.dumps(settings.amount * brightness))
            return settings.output / "toy.json"


        @contextmanager
        def attach_toy(pipe, file, weight):
            decode = pipe.decode_latents
            pipe.decode_latents = lambda x: np.full_like(decode(x), json.loads(file.read_text()) / 127.5 - 1)
            try:
                yield
            finally:
                del pipe.decode_latents
        """,
}


@pytest.fixture(autouse=True)
def registered(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The folder where it can be imported from, and the line in this process's table."""
    place = tmp_path_factory.mktemp("teachings")
    (place / "toy_teaching").mkdir()
    for name, text in FOLDER.items():
        lines = text.strip("\n").split("\n")
        (place / "toy_teaching" / name).write_text("\n".join(line[8:] for line in lines) + "\n")
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.setattr(TEACHINGS, "packages", [*TEACHINGS.packages, "toy_teaching"])
    yield


@pytest.fixture()
def data(tmp_path: Path) -> Path:
    """A style of the competition whose only picture is of brightness 100."""
    folder = tmp_path / "data" / "00"
    (folder / "images").mkdir(parents=True)
    Image.new("RGB", (40, 40), (100, 100, 100)).save(folder / "images" / "boat.png")
    (folder / "prompt.json").write_text(json.dumps({"0": "House"}))
    return folder.parent


def test_it_is_a_command(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "toy-teaching", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "Learns how bright a VAE decodes (arXiv 0000.00000)." in text and "pictures' brightness is learnt" in text
    words = ["train", "toy-teaching", "--data", str(data / "00" / "images"), "--output", str(tmp_path / "out")]
    assert main([*words, "--amount", "0.25", "--loop.steps", "3"]) == 0
    shown = capsys.readouterr()
    assert f"the result is in {tmp_path / 'out' / 'toy.json'}" in shown.out
    assert "3/3" in shown.err and "loss=0.1667" in shown.err
    assert json.loads((tmp_path / "out" / "toy.json").read_text()) == 25
    with pytest.raises(InputError, match="did you mean --amount"):
        main([*words, "--amont", "0.2"])
    assert main(["train", "--help"]) == 0 and "train toy-teaching" in capsys.readouterr().out


def test_many_styles_are_taught_by_it(data: Path, tmp_path: Path) -> None:
    words = ["train", "styles", "--data", str(data), "--output", str(tmp_path / "out"), "--set", "loop.steps=2"]
    with pytest.raises(InputError, match="did you mean toy_teaching"):
        main([*words, "--method", "toy_teching"])
    assert main([*words, "--method", "toy_teaching"]) == 0
    assert json.loads((tmp_path / "out" / "00" / "toy.json").read_text()) == 50
    record = json.loads((tmp_path / "out" / "00" / "trained.json").read_text())
    assert record["spec"]["settings"]["amount"] == 0.5 and record["finished"]


def test_two_trainings_in_one_folder_are_refused(data: Path, tmp_path: Path) -> None:
    one = ["train", "toy-teaching", "--data", str(data / "00" / "images"), "--output", str(tmp_path / "out")]
    many = ["train", "styles", "--data", str(data), "--method", "toy_teaching", "--output", str(tmp_path / "out")]
    with held(tmp_path / "out"):
        for words in (one, many):
            with pytest.raises(InputError, match="process .* works in .*out': wait until it has ended"):
                main(words)
        assert [path.name for path in (tmp_path / "out").iterdir()] == [LOCK]
        assert main([*many, "--plan"]) == 0  # which writes nothing
    assert main([*many, "--set", "loop.steps=2"]) == 0


def test_recipes_train_it_as_an_adapter(data: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "picture: {steps: 1, guidance: 1, adapters: [{kind: toy_teaching, train: {amount: 1.0, loop: {steps: 2}}}]}\n"
    )
    assert main(["submit", "--data", str(data), "--recipe", str(recipe), "--output", str(tmp_path / "out")]) == 0
    picture = images.open_image(tmp_path / "out" / "pictures" / "00" / "House.png")
    assert np.unique(np.asarray(picture)).tolist() == [100]


def test_it_has_its_row_in_the_docs() -> None:
    row = "| Toy | `jstyle train toy-teaching` | learns how bright a VAE decodes | arXiv 0000.00000 |"
    assert row in write_table(TEACHINGS, "teaching", "jstyle train")
