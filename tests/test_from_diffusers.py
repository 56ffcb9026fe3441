"""docs/from-diffusers.md names all that diffusers has, and is true."""

from __future__ import annotations

import inspect
import json
import math
import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

import jstyle
from jstyle import StableDiffusionPipeline
from jstyle.adapters.sources import Place, read_place
from jstyle.errors import InputError
from jstyle.pipelines.call import CallOptions, run_call
from jstyle.pipelines.components import ABSENT, PARTS, read_parts, read_told
from jstyle.pipelines.diffusers_names import DiffusersNames
from jstyle.pipelines.starts import FromNoise
from jstyle.weights.configuration import ZEROES
from jstyle.weights.telling import LOCAL
from tests.parity.networks import GOLDEN

PAGE = Path(__file__).resolve().parents[1] / "docs" / "from-diffusers.md"
RECORDED = json.loads((GOLDEN / "diffusers_signatures.json").read_text())
SHARE = 0.9
OTHERWISE: dict[str, Any] = {
    "disable_corrector": [1],
    "final_sigmas_type": "sigma_min",
    "interpolation_type": "log_linear",
    "lambda_min_clipped": -5.1,
    "predict_x0": False,
    "sigma_max": 10.0,
    "sigma_min": 0.1,
    "solver_p": "DDIMScheduler",
    "solver_type": "bh3",
    "timestep_type": "continuous",
    "variance_type": "learned",
}
"""A value of each setting of a scheduler that is refused; of those that are not here True."""


def read_tables() -> dict[str, dict[str, str]]:
    """Of every table of the page, by its heading: name -> accepted, ignored or refused."""
    tables: dict[str, dict[str, str]] = {}
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        heading = section.splitlines()[0]
        rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| (\w+) \|", section, re.MULTILINE)
        named = [(name, status) for names, status in rows for name in re.findall(r"`(\w+)`", names)]
        tables[heading] = dict(named)
        assert len(tables[heading]) == len(named), f"{heading}: a name stands there twice"
    return tables


TABLES = read_tables()


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(str(GOLDEN / "diffusers_folder"))


def collect(*lists: list[str]) -> set[str]:
    return {name for names in lists for name in names}


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("Calls", collect(*(one["call"] for one in RECORDED["pipelines"].values()))),
        ("Loading", set(RECORDED["from_pretrained"])),
        ("Components", collect(*(one["init"] for one in RECORDED["pipelines"].values()))),
        ("Names of a pipeline", collect(*(one["names"] for one in RECORDED["pipelines"].values()))),
        ("Arguments of loaders", collect(*RECORDED["loaders"].values())),
        ("Settings of schedulers", collect(*(one["init"] for one in RECORDED["schedulers"].values()))),
        ("Names of schedulers", collect(*(one["names"] for one in RECORDED["schedulers"].values()))),
    ],
)
def test_every_name_has_a_row(heading: str, names: set[str]) -> None:
    assert set(TABLES[heading]) == names
    assert set(TABLES[heading].values()) <= {"accepted", "ignored", "refused"}


@pytest.mark.parametrize("kind", list(RECORDED["pipelines"]))
def test_arguments_of_calls(pipe: StableDiffusionPipeline, kind: str) -> None:
    arguments = RECORDED["pipelines"][kind]["call"]
    named = {*inspect.signature(getattr(jstyle, kind).__call__).parameters, *CallOptions.__annotations__}
    taken = 0
    for name in arguments:
        if TABLES["Calls"][name] == "refused":
            with pytest.raises(InputError, match=name):
                run_call(pipe, "a", FromNoise(32, 32), 1, {name: "x"})  # type: ignore[misc]
        else:
            assert name in named
            taken += 1
    assert taken >= SHARE * len(set(arguments) - {"denoising_start", "denoising_end"})  # between SDXL and its refiner


def test_arguments_of_loading() -> None:
    named = inspect.signature(StableDiffusionPipeline.from_pretrained).parameters
    for name, status in TABLES["Loading"].items():
        if status == "accepted":
            assert name in (*named, LOCAL)
        elif status == "ignored":
            parts, told = read_told("here", {name: "x"}, StableDiffusionPipeline.from_pretrained)
            assert parts == {} and isinstance(told, nullcontext)
        else:
            with pytest.raises(InputError, match=name):
                read_parts({name: "x"})


def test_components() -> None:
    for name, status in TABLES["Components"].items():
        assert name in {"accepted": (*PARTS, ZEROES), "ignored": ABSENT}[status]


def test_names_of_a_pipeline(pipe: StableDiffusionPipeline) -> None:
    for name, status in TABLES["Names of a pipeline"].items():
        if status == "refused":
            with pytest.raises(InputError, match=name):
                getattr(pipe, name)
        else:
            getattr(pipe, name)
            has_no_effect = getattr(StableDiffusionPipeline, name, None) is DiffusersNames.accept
            assert has_no_effect == (status == "ignored"), name


@pytest.mark.parametrize("loader", list(RECORDED["loaders"]))
def test_arguments_of_loaders(loader: str, tmp_path: Path) -> None:
    named = inspect.signature(getattr(StableDiffusionPipeline, loader)).parameters
    for name in RECORDED["loaders"][loader]:
        status = TABLES["Arguments of loaders"][name]
        if status == "accepted":
            assert name in named
        elif status == "ignored":
            assert read_place({name: "x"}) == Place() and named["options"].kind is inspect.Parameter.VAR_KEYWORD
        else:
            with pytest.raises(InputError, match=name):
                getattr(StableDiffusionPipeline, loader)(tmp_path, {"a": 1}, **{name: "x"})


@pytest.mark.parametrize("kind", list(RECORDED["schedulers"]))
def test_settings_of_schedulers(kind: str) -> None:
    scheduler = getattr(jstyle, kind)
    for name in RECORDED["schedulers"][kind]["init"]:
        if TABLES["Settings of schedulers"][name] == "refused":
            with pytest.raises(InputError, match=name):
                scheduler(**{name: OTHERWISE.get(name, True)})
        else:
            value = scheduler().config[name]
            assert scheduler(**{name: value}).config[name] == value or math.isnan(value)


@pytest.mark.parametrize("kind", list(RECORDED["schedulers"]))
def test_names_of_schedulers(kind: str) -> None:
    scheduler = getattr(jstyle, kind)()
    scheduler.set_timesteps(4)
    for name in RECORDED["schedulers"][kind]["names"]:
        assert hasattr(scheduler, name) == (TABLES["Names of schedulers"][name] == "accepted"), name
