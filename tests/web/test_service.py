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

import jstyle.web.service
from jstyle.errors import InputError
from jstyle.methods.table import METHODS
from jstyle.pictures.finished import write_picture
from jstyle.pictures.spec import ModelIdentity, PairSubject, PictureSpec
from jstyle.settings.model import ModelSettings
from jstyle.web.process import WorkerProcess
from jstyle.web.request_queue import Request
from jstyle.web.service import Service
from jstyle.web.settings import WebSettings
from styleid.settings import StyleIDSettings
from tests.competition.folders import write_data

ROOT = Path(__file__).resolve().parents[2]
STYLE = ROOT / "samples/style/woodcut.png"


class Teaches(WorkerProcess):
    """A worker that writes what was asked for at once."""

    def run(self, work: str, settings: Sequence[Any]) -> Iterator[Mapping[str, Any]]:
        output = Path(settings[0]["output"])
        output.mkdir(exist_ok=True)
        learnt = output / "result.safetensors"
        save_file({"a": np.zeros(1, np.float32)}, learnt)
        if work == "submit":
            (output / "result.zip").write_bytes(b"")
        yield {"end": "done", **({"learnt": str(learnt)} if work.startswith("train_") else {})}


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setattr(jstyle.web.service, "WorkerProcess", Teaches)
    write_data(tmp_path / "data")
    service = Service(WebSettings(output=tmp_path / "web", data=tmp_path / "data"))
    yield service
    service.close()


def ask(service: Service, visitor: Any, work: str, **given: Any) -> Request:
    request = service.ask(visitor, service.works[work], given)
    deadline = time.monotonic() + 120
    while not request.is_over:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return request


def test_a_submission_is_made_of_the_data_that_the_page_has(service: Service, tmp_path: Path) -> None:
    request = ask(service, service.visitors.welcome(), "submit", preset="baseline", styles="00")
    (inputs,) = request.settings
    assert (inputs["data"], inputs["preset"], inputs["styles"]) == (str(tmp_path / "data"), "baseline", ["00"])
    assert inputs["output"] == str(request.folder)
    assert [path.name for path in service.list_results(request)] == ["result.zip"]
    with pytest.raises(InputError, match="preset must be one of"):
        service.ask(service.visitors.welcome(), service.works["submit"], {"preset": "/etc/passwd"})


def test_what_was_taught_is_offered_to_its_visitor_alone(service: Service) -> None:
    teacher, other = service.visitors.welcome(), service.visitors.welcome()
    taught = ask(service, teacher, "train_lora", data=[str(STYLE)], prompt="in style_1")
    name = taught.folder.name
    drawn = ask(service, teacher, "txt2img", prompt="a house", lora=[f"{name}:0.5"])
    assert drawn.settings[2]["lora"] == [f"{taught.learnt}:0.5"]
    with pytest.raises(InputError, match="lora must be one of none"):
        service.ask(other, service.works["txt2img"], {"prompt": "a house", "lora": [name]})
    with pytest.raises(InputError, match="words must be one of none"):
        service.ask(teacher, service.works["txt2img"], {"prompt": "a house", "words": [name]})


def test_a_training_that_was_cancelled_goes_on_where_it_was(service: Service) -> None:
    visitor = service.visitors.welcome()
    given = {"data": [str(STYLE)], "prompt": "in style_1"}
    first = ask(service, visitor, "train_lora", **given)
    assert ask(service, visitor, "train_lora", **given).folder != first.folder, "it was finished"
    first.state = "stopped"
    assert ask(service, visitor, "train_lora", **given, rank=8).folder != first.folder
    assert ask(service, visitor, "train_lora", **given).folder == first.folder


def test_a_grid_goes_through_the_values_of_two_fields(service: Service) -> None:
    visitor, work = service.visitors.welcome(), service.works["txt2img"]
    given = {"prompt": "a house", "steps": 4.0}
    request = service.ask_for_grid(visitor, work, given, [("guidance", "1 7.5"), ("width", "64, 128, 256")])
    (asked,) = request.settings
    assert asked["method"] == "txt2img" and asked["output"] == str(request.folder)
    assert asked["axes"] == {"guidance": [1.0, 7.5], "width": [64, 128, 256]}
    assert asked["values"]["steps"] == 4


@pytest.mark.parametrize(
    ("axes", "line"),
    [
        ([], "a grid needs one or two settings"),
        ([("", ""), ("", "1 2")], "a grid needs one or two settings"),
        ([("steps", "2")], "Steps: a grid needs several values"),
        ([("steps", "2 x")], "steps must be a whole number, not 'x'"),
        ([("steps", "2 5000")], "steps must be from 1 to 1000, not 5000"),
        ([("steps", "2 3"), ("steps", "4 5")], "two different settings"),
        ([("output", "/a /b")], "two different settings"),
        ([("model", "/a /b")], "two different settings"),
        ([("seed", " ".join(map(str, range(70))))], "a grid of 70 cells: 64 are made at once"),
    ],
)
def test_a_grid_that_makes_no_sense_is_one_line(service: Service, axes: list[tuple[str, str]], line: str) -> None:
    with pytest.raises(InputError, match=line):
        service.ask_for_grid(service.visitors.welcome(), service.works["txt2img"], {"prompt": "a house"}, axes)


def test_a_picture_fills_in_the_form_without_its_files(service: Service, tmp_path: Path) -> None:
    settings = StyleIDSettings(gamma=0.4, layers=(6, 7), width=512)
    model = ModelIdentity("0" * 64, "1" * 64, name="/secret/model")
    subject = PairSubject("1" * 64, "2" * 64, "/secret/content.png", "/secret/style.png")
    write_picture(Image.new("RGB", (8, 8)), tmp_path / "a.png", PictureSpec("styleid", model, settings, subject))
    values, _ = service.recall(service.works["styleid"], tmp_path / "a.png")
    assert (values["gamma"], values["layers"], values["width"]) == (0.4, "6 7", "512")
    assert not {"content", "style", "model"} & set(values)
    with pytest.raises(InputError, match="styleid"):
        service.recall(service.works["txt2img"], tmp_path / "a.png")


def test_a_method_without_a_model_says_so(service: Service) -> None:
    lacking = {name for name, work in service.works.items() if service.find_lacking(work)}
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
        Service(WebSettings(model=(str(tmp_path / "missing"),), output=tmp_path / "web"))
