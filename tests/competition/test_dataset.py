"""What is read of the competition's data, and that everything odd about it is told at once."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import pytest
from PIL import Image

from jstyle.competition.dataset import read_dataset, survey_dataset
from jstyle.competition.names import find_objection
from jstyle.errors import InputError
from tests.competition.folders import PROMPTS, picture, write_data, write_style
from tests.competition.malformed import prompts, write


def test_good_data_is_read_in_order(tmp_path: Path) -> None:
    listed = {str(index): f"Prompt {index}" for index in reversed(range(12))}
    write_style(tmp_path, "07", ["Lion"])
    (tmp_path / "07" / "prompt.json").write_text(json.dumps(listed))
    dataset = read_dataset(tmp_path)
    assert [style.number for style in dataset.styles] == ["07"]
    assert dataset.styles[0].prompts == tuple(f"Prompt {index}" for index in range(12))  # 10 comes after 9
    assert [path.name for path in dataset.styles[0].references] == ["object_0.png", "object_1.png"]
    assert dataset.pictures == 12


def test_remarks_stop_nothing(tmp_path: Path) -> None:
    root = write_data(tmp_path / "data")
    for name in ("readme.txt", "00/tag.json", "00/images/notes.txt"):
        write(name, b"{}")(root)
    picture(5).convert("L").save(root / "00" / "images" / "grey.png")
    prompts({"0": "Dolphin", "2": "St. Peter"})(root)
    dataset, findings = survey_dataset(root)
    assert not findings.errors
    assert len(dataset.styles[0].references) == 3
    told = "\n".join(findings.remarks)
    for said in ("readme.txt", "tag.json", "notes.txt", "is L, not RGB", "styles has gaps (1)", "prompts has gaps (1)",
                 "'St. Peter' up to its first dot"):  # fmt: skip
        assert said in told
    assert len(findings.remarks) == 7


def test_everything_is_told_at_once(tmp_path: Path) -> None:
    root = write_data(tmp_path / "data", {number: ["Lion"] for number in ("00", "01", "02")})
    prompts({"0": "a/b", "1": "c:d"})(root)
    write("01/images/new.png", b"no picture")(root)
    (root / "02" / "prompt.json").unlink()
    _, findings = survey_dataset(root)
    assert len(findings.errors) == 4
    with pytest.raises(InputError, match="and 3 more"):
        read_dataset(root)


def test_no_data_at_all(tmp_path: Path) -> None:
    assert "cannot read the dataset" in survey_dataset(tmp_path / "nowhere")[1].errors[0]
    assert "holds no style" in survey_dataset(tmp_path)[1].errors[0]


def test_some_styles_alone(tmp_path: Path) -> None:
    root = write_data(tmp_path)
    (root / "00" / "prompt.json").unlink()
    dataset, findings = survey_dataset(root, ["02"])
    assert (len(dataset.styles), findings.errors) == (1, [])
    assert "no style '03'" in survey_dataset(root, ["02", "03"])[1].errors[0]


@pytest.mark.parametrize("name", ["Dolphin", "Ice cream", "Caf\u00e9", "T-shirt (red)", "St. Peter", "\u732b", "100%"])
def test_ordinary_prompts_are_file_names(name: str, tmp_path: Path) -> None:
    assert find_objection(name) == ""
    Image.new("RGB", (2, 2)).save(tmp_path / f"{name}.png")
    assert os.listdir(tmp_path) == [f"{name}.png"]


def test_the_helpers_data_is_good(tmp_path: Path) -> None:
    dataset, findings = survey_dataset(write_data(tmp_path))
    assert not findings.errors
    assert {style.number: style.prompts for style in dataset.styles} == PROMPTS


def test_what_is_wrong_a_thousand_times_is_summed_up(tmp_path: Path) -> None:
    root = write_data(tmp_path, {"00": ["Lion"]})
    prompts({f"key {number}": number for number in range(1000)})(root)
    _, findings = survey_dataset(root)
    no_numbers, no_texts = findings.errors[:6], findings.errors[6:]
    assert all("is no number" in line for line in no_numbers[:5]) and all("is no text" in line for line in no_texts[:5])
    assert no_numbers[5] == no_texts[5] == "... and 995 more of this kind" and len(no_texts) == 6


def test_a_gap_in_the_numbers_costs_nothing(tmp_path: Path) -> None:
    root = write_data(tmp_path, {"00": ["Lion"], "9" * 200: ["Lion"]})
    prompts('\ufeff{"1": "Lion", "999999999": "Dolphin"}')(root)
    tracemalloc.start()
    dataset, findings = survey_dataset(root)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 22 and dataset.styles[0].prompts == ("Lion", "Dolphin")
    said = [remark for remark in findings.remarks if "gaps" in remark]
    assert said[0].endswith(f"(1, 2, 3, 4, 5 and {10**200 - 2 - 5} more)")
    assert said[1].endswith(f"(0, 2, 3, 4, 5 and {10**9 - 2 - 5} more)")
