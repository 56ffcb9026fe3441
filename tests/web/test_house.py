"""From a form to the queue: what reaches the worker, what is offered afterwards, and what a picture's file fills in."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

import jstyle.web.house
from jstyle.errors import InputError
from jstyle.methods.table import METHODS
from jstyle.pictures.finished import write_picture
from jstyle.pictures.spec import ModelIdentity, PairSubject, PictureSpec
from jstyle.settings.model import ModelSettings
from jstyle.web.desk import Request
from jstyle.web.house import House
from jstyle.web.process import WorkerProcess
from jstyle.web.settings import WebSettings
from styleid.settings import StyleIDSettings
from tests.competition.folders import write_data

ROOT = Path(__file__).resolve().parents[2]
STYLE = ROOT / "samples/style/woodcut.png"


class Teaches(WorkerProcess):
    """A worker that writes what was asked for at once."""

    def run(self, work: str, settings: Sequence[Any]) -> Iterator[Mapping[str, Any]]:
        output = Path(settings[0]["output"])
        learnt = output / "result.safetensors"
        save_file({"a": np.zeros(1, np.float32)}, learnt)
        if work == "submit":
            (output / "result.zip").write_bytes(b"")
        yield {"end": "done", **({"learnt": str(learnt)} if work.startswith("train_") else {})}


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr(jstyle.web.house, "WorkerProcess", Teaches)
    write_data(tmp_path / "data")
    house = House(WebSettings(output=tmp_path / "web", data=tmp_path / "data"))
    yield house
    house.close()


def ask(house: House, visitor: Any, work: str, **given: Any) -> Request:
    request = house.ask(visitor, house.works[work], given)
    deadline = time.monotonic() + 20
    while not request.is_over:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return request


def test_a_submission_is_made_of_the_data_that_the_page_has(house: House, tmp_path: Path) -> None:
    request = ask(house, house.visitors.welcome(), "submit", preset="baseline", styles="00")
    (inputs,) = request.settings
    assert (inputs["data"], inputs["preset"], inputs["styles"]) == (str(tmp_path / "data"), "baseline", ["00"])
    assert inputs["output"] == str(request.folder)
    assert [path.name for path in house.list_results(request)] == ["result.zip"]
    with pytest.raises(InputError, match="preset must be one of"):
        house.ask(house.visitors.welcome(), house.works["submit"], {"preset": "/etc/passwd"})


def test_what_was_taught_is_offered_to_its_visitor_alone(house: House) -> None:
    teacher, other = house.visitors.welcome(), house.visitors.welcome()
    taught = ask(house, teacher, "train_lora", data=[str(STYLE)], prompt="in style_1")
    name = taught.folder.name
    drawn = ask(house, teacher, "txt2img", prompt="a house", lora=[f"{name}:0.5"])
    assert drawn.settings[2]["lora"] == [f"{taught.learnt}:0.5"]
    with pytest.raises(InputError, match="lora must be one of none"):
        house.ask(other, house.works["txt2img"], {"prompt": "a house", "lora": [name]})
    with pytest.raises(InputError, match="words must be one of none"):
        house.ask(teacher, house.works["txt2img"], {"prompt": "a house", "words": [name]})


def test_a_picture_fills_in_the_form_without_its_files(house: House, tmp_path: Path) -> None:
    settings = StyleIDSettings(gamma=0.4, layers=(6, 7), width=512)
    model = ModelIdentity("0" * 64, "1" * 64, name="/secret/model")
    subject = PairSubject("1" * 64, "2" * 64, "/secret/content.png", "/secret/style.png")
    write_picture(Image.new("RGB", (8, 8)), tmp_path / "a.png", PictureSpec("styleid", model, settings, subject))
    values, _ = house.recall(house.works["styleid"], tmp_path / "a.png")
    assert (values["gamma"], values["layers"], values["width"]) == (0.4, "6 7", "512")
    assert not {"content", "style", "model"} & set(values)
    with pytest.raises(InputError, match="styleid"):
        house.recall(house.works["txt2img"], tmp_path / "a.png")


def test_a_method_without_a_model_says_so(house: House) -> None:
    lacking = {name for name, work in house.works.items() if house.find_lacking(work)}
    assert lacking == {"artfusion"}
    assert METHODS["styleid"].model is not ModelSettings


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"host": "0.0.0.0"}, "host 0.0.0.0 lets others in: give a --password too"),
        ({"host": "::"}, "give a --password too"),
        ({"password": ""}, "password must not be empty"),
        ({"port": 70000}, "port must be from 0 to 65535"),
        ({"model": ()}, "model must name at least one"),
        ({"largest_upload": 0}, "largest_upload must be at least 1"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line.replace("(", r"\(")):
        WebSettings(**settings)


def test_hosts_that_are_this_machine_need_no_password() -> None:
    for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost"):
        WebSettings(host=host)


def test_a_page_without_any_model_is_not_served(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of the models is here"):
        House(WebSettings(model=(str(tmp_path / "missing"),), output=tmp_path / "web"))
