"""Wrong data and wrong recipes: one clear line each, before anything is loaded or written."""

from __future__ import annotations

from pathlib import Path

import pytest

from jstyle.competition.dataset import read_dataset, survey_dataset
from jstyle.competition.findings import Findings
from jstyle.competition.plan import make_plan
from jstyle.errors import InputError
from tests.competition.folders import write_data
from tests.competition.malformed import DATASETS, RECIPES
from tests.parity.networks import GOLDEN

CASES = [(f"data: {name}", damage, "", said) for name, damage, said in DATASETS]
CASES += [(f"recipe: {name}", None, text, said) for name, text, said in RECIPES]


@pytest.mark.parametrize(("damage", "text", "said"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_malformed_input_is_one_clear_line(damage: object, text: str, said: str, tmp_path: Path) -> None:
    root = write_data(tmp_path / "data")
    if callable(damage):
        damage(root)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text if damage is None else f"model: {GOLDEN / 'diffusers_folder'}", encoding="utf-8")
    dataset, findings = survey_dataset(root)
    assert make_plan(recipe, dataset, findings, tmp_path / "out") is None
    assert len(findings.errors) == 1, findings.errors
    assert said in findings.errors[0]
    assert "\n" not in findings.errors[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({"data", "recipe.yaml", *_moved(tmp_path)})
    if damage is not None:
        with pytest.raises(InputError):
            read_dataset(root)


def _moved(folder: Path) -> set:
    """What a case itself has put beside the data."""
    return {path.name for path in folder.iterdir() if path.name == "pictures"}


def test_a_recipe_that_is_not_there(tmp_path: Path) -> None:
    findings = Findings()
    assert make_plan(tmp_path / "no.yaml", read_dataset(write_data(tmp_path)), findings, tmp_path) is None
    assert "cannot read the recipe" in findings.errors[0]
