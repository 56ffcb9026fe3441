"""Grids: cells are a method's ordinary pictures, made once; what is wrong is told before anything is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jstyle.cli.main import main
from jstyle.errors import InputError
from jstyle.events import Evaluated, PictureFound, PictureWritten, Planned
from jstyle.methods.grids import plan_grid, run_grid
from jstyle.methods.table import METHODS
from jstyle.pictures import png_texts
from jstyle.pipelines.opening import kept_loaded
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline

METHOD = METHODS["txt2img"]
VALUES = {"prompt": ["a red apple"], "steps": 2, "seed": 7}


@pytest.fixture()
def loads(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A list to which every loading of a model adds its settings."""
    loaded: list[Any] = []
    load = StableDiffusionPipeline.from_settings

    def note(settings: Any) -> Any:
        loaded.append(settings)
        return load(settings)

    monkeypatch.setattr(StableDiffusionPipeline, "from_settings", note)
    return loaded


def test_cells_are_what_the_method_makes_and_are_made_once(tmp_path: Path, loads: list[Any]) -> None:
    grid = plan_grid(METHOD, VALUES, {"guidance": [1, 4.5], "eta": [0.0, 1.0]}, tmp_path / "grid")
    assert (grid.rows, grid.columns) == (("guidance = 1", "guidance = 4.5"), ("eta = 0", "eta = 1"))
    events = list(run_grid(grid))
    paths = [event.path for event in events if isinstance(event, PictureWritten)]
    assert paths.pop() == grid.sheet == tmp_path / "grid" / "guidance_x_eta.png" and len(paths) == 4
    assert png_texts.is_sheet(grid.sheet)
    assert len(loads) == 1, "the model is loaded once for all cells"
    (planned,) = [event for event in events if isinstance(event, Planned)]
    done = sum(event.count for event in events if isinstance(event, Evaluated))
    assert planned == Planned(4, 0, done) and done == 2 * (1 + 1 + 2 + 2)
    for cell, path in zip(grid.cells, paths):
        spec = (png_texts.read_metadata(path) or {})["spec"]
        assert (spec["settings"]["guidance"], spec["settings"]["eta"]) == (cell.settings.guidance, cell.settings.eta)
    words = ["txt2img", "--prompt", "a red apple", "--steps", "2", "--seed", "7", "--guidance", "4.5"]
    assert main([*words, "--output", str(tmp_path / "alone.png")]) == 0
    alone, cell = Image.open(tmp_path / "alone.png"), Image.open(paths[2])
    assert grid.cells[2].label == "guidance = 4.5, eta = 0" and (np.asarray(alone) == np.asarray(cell)).all()

    times = [path.stat().st_mtime_ns for path in paths]
    loads.clear()
    again = list(run_grid(grid))
    assert [event.path for event in again if isinstance(event, PictureFound)] == paths
    assert [path.stat().st_mtime_ns for path in paths] == times and loads == []


def test_a_grid_that_is_closed_goes_on_where_it_was(tmp_path: Path, loads: list[Any]) -> None:
    grid = plan_grid(METHOD, VALUES, {"seed": [1, 2]}, tmp_path)
    with kept_loaded():
        run = run_grid(grid)
        first = next(event for event in run if isinstance(event, PictureWritten))
        run.close()
        assert not grid.sheet.exists(), "a sheet appears whole"
        rest = list(run_grid(grid))
    assert len(loads) == 1, "the model that is kept around a grid is taken"
    assert [event for event in rest if isinstance(event, PictureFound)] == [PictureFound(first.path)]
    written = [event.path for event in rest if isinstance(event, PictureWritten)]
    assert len(written) == 2 and written[-1] == grid.sheet


def test_a_plan_makes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str], loads: list[Any]) -> None:
    words = ["grid", "txt2img", "--prompt", "a", "--steps", "2", "3", "--guidance", "1", "3", "5", "--plan"]
    assert main([*words, "--output", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert "6 pictures, 0 of them finished before" in told and "2 x 3 cells" in told
    assert f"{2 * (1 + 2 + 2) + 3 * (1 + 2 + 2)} evaluations" in told
    assert not (tmp_path / "out").exists() and loads == []


def test_a_seed_that_is_drawn_is_one_for_all_cells(tmp_path: Path) -> None:
    cells = plan_grid(METHOD, {**VALUES, "seed": -1}, {"steps": [2, 3, 4]}, tmp_path).cells
    assert len({cell.settings.seed for cell in cells}) == 1 and cells[0].settings.seed >= 0
    assert [cell.settings.steps for cell in cells] == [2, 3, 4]


def test_cells_of_one_model_are_made_together_and_files_go_by_their_names(tmp_path: Path) -> None:
    models = []
    for name in ("one.safetensors", "two.safetensors"):
        (tmp_path / name).touch()
        models.append(str(tmp_path / name))
    grid = plan_grid(METHOD, VALUES, {"seed": [1, 2], "model": models}, tmp_path)
    assert [cell.model.model for cell in grid.cells] == [models[0], models[0], models[1], models[1]]
    assert grid.columns == ("model = one.safetensors", "model = two.safetensors")
    assert len({cell.inputs.output for cell in grid.cells}) == 4
    loras = [[f"{models[0]}:0.5"], [f"{models[0]}:1"]]
    (rows, columns) = (lambda grid: (grid.rows, grid.columns))(plan_grid(METHOD, VALUES, {"lora": loras}, tmp_path))
    assert rows == ("",) and columns == ("lora = one.safetensors:0.5", "lora = one.safetensors:1")


def test_texts_that_differ_have_folders_that_differ(tmp_path: Path) -> None:
    prompts = [["a/b c"], ["a b/c"], ["a_b_c"], ["x" * 300], ["x" * 301]]
    cells = plan_grid(METHOD, VALUES, {"prompt": prompts}, tmp_path).cells
    folders = {cell.inputs.output for cell in cells}
    assert len(folders) == 5 and all(folder.parent == tmp_path and len(folder.name) <= 255 for folder in folders)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--steps", "2"], "a grid needs one or two settings with several values each, such as --seed 1 2 3"),
        (["--steps", "2", "3", "--seed", "1", "2", "--eta", "0", "1"], "a grid has two settings with several values"),
        (["--steps", "2", "2"], "steps: the value 2 is there twice"),
        (["--output", "a", "b"], "output is said once, for all cells"),
        (["--steps", "2", "0"], "--steps must be"),
        (["--steps", "2", "many"], "--steps: must be a whole number, not 'many'"),
        (["--stpes", "2", "3"], "unknown option --stpes (did you mean --steps?)"),
        (["--width", "128", "100"], "width = 100: "),
        (["--model", "tiny", "./nowhere"], "no model './nowhere': it is no folder"),
    ],
)
def test_a_wrong_value_of_any_cell_is_told_before_anything_is_made(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        main(["grid", "txt2img", "--prompt", "a", *words])
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)
    assert list(tmp_path.rglob("*.png")) == []


def test_something_else_in_the_sheet_s_place_is_left_alone(tmp_path: Path) -> None:
    sheet = tmp_path / "seed.png"
    Image.new("RGB", (8, 8)).save(sheet)
    with pytest.raises(InputError, match="jstyle did not make it"):
        list(run_grid(plan_grid(METHOD, VALUES, {"seed": [1, 2]}, tmp_path)))
    assert [path.name for path in tmp_path.iterdir()] == ["seed.png"]
