"""The text that A1111's web UI and galleries read: as the web UI itself reads it, and back."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from jstyle.methods.text_to_image.settings import TextSubject, TextToImageSettings
from jstyle.pictures import a1111, png_texts
from jstyle.pictures.a1111 import AUTOMATIC, CURVES, SAMPLERS, find_sampler, read_parameters, write_parameters
from jstyle.pictures.finished import write_picture
from jstyle.pictures.spec import ModelIdentity, PairSubject, PictureSpec
from jstyle.settings.prompts import PromptSettings
from jstyle.settings.vocabulary import BY_TIMES
from styleid.settings import StyleIDSettings
from tests.parity.networks import golden

TEXTS = json.loads(str(golden("parameters")["texts"]))
READ = json.loads(str(golden("parameters")["read"]))

MODEL = ModelIdentity("h" * 64, "c", name="folders/a, b", sampler="dpmpp_2m")
SETTINGS = TextToImageSettings(negative_prompt="fog, [mist]", steps=7, sigmas="karras")
SPEC = PictureSpec("txt2img", MODEL, SETTINGS, TextSubject("a (red) boat: big", 5))


@pytest.mark.parametrize(("text", "read"), zip(TEXTS, READ))
def test_it_is_read_as_the_web_ui_reads_it(text: str, read: dict[str, Any]) -> None:
    ours = read_parameters(text)
    assert (ours.prompt, ours.negative_prompt) == (read["Prompt"], read["Negative prompt"])
    for name, value in ours.fields.items():
        size = value.split("x")
        if len(size) == 2 and all(part.isdecimal() for part in size):
            assert [read[f"{name}-1"], read[f"{name}-2"]] == size
        elif value:
            assert read[name].strip() == value
    told = {name.removesuffix("-1").removesuffix("-2") for name, value in read.items() if isinstance(value, str)}
    defaults = {"Prompt", "Negative prompt", "Clip skip", "RNG", "Schedule type"}
    assert told - defaults <= set(ours.fields)


def test_what_is_written_is_the_web_uis_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(a1111, "__version__", "0.0")
    assert write_parameters(SPEC, (64, 32)) == TEXTS[0], "which the web UI has read"
    weighted = replace(SETTINGS, reading=PromptSettings("a1111"), guidance=3.0, sampler="euler", sigmas=None, eta=0.0)
    image = TextSubject("a (red:1.2) boat", 5, image="hash")
    lines = write_parameters(replace(SPEC, settings=weighted, subject=image), (64, 32)).split("\n")
    assert lines[:2] == ["a (red:1.2) boat", "Negative prompt: fog, [mist]"]
    assert "Steps: 7, Sampler: Euler, Schedule type: Uniform, CFG scale: 3, Seed: 5" in lines[2]
    assert "Denoising strength: 0.8, " in lines[2]
    pair = write_parameters(PictureSpec("styleid", MODEL, StyleIDSettings(), PairSubject("c", "s")), (64, 32))
    assert pair.startswith("Steps: 50, Seed: 22, Size: 64x32, Model hash: hhhhhhhhhh, Model: ")


def test_samplers_come_back_from_what_they_are_called() -> None:
    for sampler in SAMPLERS:
        for curve in (None, *CURVES):
            if curve is not None and sampler in BY_TIMES:
                continue
            settings = TextToImageSettings(sampler=sampler, sigmas=curve)  # type: ignore[arg-type]
            text = write_parameters(replace(SPEC, settings=settings), (8, 8))
            assert find_sampler(read_parameters(text).fields) == (sampler, curve)
    assert find_sampler({"Sampler": "DPM++ 2M Karras"}) == ("dpmpp_2m", "karras")
    assert find_sampler({"Sampler": "DPM++ 2M", "Schedule type": "Automatic"}) == ("dpmpp_2m", "karras")
    assert find_sampler({"Sampler": "DPM++ 2M"}) == ("dpmpp_2m", None)
    assert find_sampler({"Sampler": "Euler a", "Schedule type": "Automatic"}) == ("euler_a", None)
    assert find_sampler({"Sampler": "DPM adaptive"}) == (None, None)
    assert set(AUTOMATIC) < set(SAMPLERS)


@dataclass(frozen=True)
class Toy:
    share: float = 0.5


def test_a_picture_carries_it_beside_our_own(tmp_path: Path) -> None:
    picture = Image.new("RGB", (64, 32))
    for number, spec in enumerate((SPEC, replace(SPEC, subject=TextSubject("ночь 星", 1)))):
        write_picture(picture, tmp_path / f"{number}.png", spec)
        with Image.open(tmp_path / f"{number}.png") as written:
            assert written.info["parameters"] == write_parameters(spec, (64, 32))
        assert png_texts.read_identity(tmp_path / f"{number}.png")
    write_picture(picture, tmp_path / "toy.png", PictureSpec("toy", MODEL, Toy(), Toy()))
    with Image.open(tmp_path / "toy.png") as written:
        assert "parameters" not in written.info, "nothing was sampled"
