"""Wrong data and wrong recipes: one clear line each, before anything is loaded or written."""

from __future__ import annotations

from pathlib import Path

import pytest

from jstyle.competition import plan
from jstyle.competition.dataset import Findings, read, survey
from jstyle.errors import InputError
from jstyle.workers.pictures import methods
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
    dataset, findings = survey(root)
    assert plan.read(recipe, dataset, methods(), findings) is None
    assert len(findings.errors) == 1, findings.errors
    assert said in findings.errors[0]
    assert "\n" not in findings.errors[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({"data", "recipe.yaml", *_moved(tmp_path)})
    if damage is not None:
        with pytest.raises(InputError):
            read(root)


def _moved(folder: Path) -> set:
    """What a case itself has put beside the data."""
    return {path.name for path in folder.iterdir() if path.name == "pictures"}


def test_a_recipe_that_is_not_there(tmp_path: Path) -> None:
    findings = Findings()
    assert plan.read(tmp_path / "no.yaml", read(write_data(tmp_path)), methods(), findings) is None
    assert "cannot read the recipe" in findings.errors[0]
