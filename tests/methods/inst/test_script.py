"""run_inst.py as a user runs it: what it trains, finds, writes, skips and refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, List

import numpy as np
import pytest

from jstyle.errors import InputError
from jstyle.files import hash_files
from jstyle.methods.inst import styles
from jstyle.methods.inst import training as inst
from jstyle.methods.inst.settings import InstSettings
from jstyle.pictures import images
from tests.methods.inst.small import picture, settings
from tests.parity.networks import GOLDEN

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "scripts"))

import run_inst  # noqa: E402
from command_line import parse  # noqa: E402

SMALL = ["--steps", 3, "--width", 32, "--height", 32, "--training.loop.steps", 2, "--training.heads", 2]
SMALL += ["--training.head_width", 4]


def script(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "scripts" / "run_inst.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def contents(folder: Path) -> dict:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_from_pictures_to_pictures(model: Path, finished: Path, tmp_path: Path) -> None:
    """A style picture is learnt once; with a trained folder beside it; then nothing is done twice."""
    out, sea, ink = tmp_path / "out", tmp_path / "contents" / "sea.png", tmp_path / "ink.png"
    sea.parent.mkdir()
    picture(2).save(sea)
    picture(3).save(ink)
    (sea.parent / "broken.png").write_bytes(b"no picture")
    given = ["--model", model, "--content", sea.parent, "--output", out, *SMALL]
    done = script(*given, "--style", ink, finished.parent)
    assert (done.returncode, done.stderr.count("Traceback")) == (1, 0), done.stderr  # one content could not be read
    assert "broken.png" in done.stderr
    assert sorted(contents(out)) == ["contact_sheet.png", "sea_stylized_ink.png", "sea_stylized_whole.png"]
    told = images.read_metadata(out / "sea_stylized_ink.png")
    assert told is not None
    assert (told["method"], told["strength"], told["guidance"], told["seed"]) == ("InST", 0.7, 10.0, 42)
    learnt = out / "styles" / hash_files([ink])[:16]
    assert {"inst.safetensors", "style.png", "loss.png", "log.jsonl"} <= set(contents(learnt))
    (sea.parent / "broken.png").unlink()
    before, times = contents(out), {path: path.stat().st_mtime_ns for path in learnt.iterdir()}
    renamed = ink.rename(tmp_path / "ink.PNG")  # the same picture, by its content
    again = script(*given, "--style", renamed, finished.parent)
    assert again.returncode == 0 and "2 pairs, 2 of them finished before" in again.stdout, again.stderr
    assert contents(out) == before and {path: path.stat().st_mtime_ns for path in learnt.iterdir()} == times
    other = script(*given, "--style", renamed, "--training.dropout", "0.2")
    assert (other.returncode, other.stderr.splitlines()[-1].count("was begun with dropout = 0.05, not 0.2")) == (2, 1)
    refused = script(*given, "--style", finished.parent, "--strength", 0.5)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "was made with strength = 0.7, not 0.5; --overwrite" in refused.stderr


def test_a_model_without_an_image_encoder_is_one_line(data: Path, tmp_path: Path) -> None:
    given = ["--model", GOLDEN / "diffusers_folder", "--style", data, "--output", tmp_path / "out", *SMALL]
    done = script(*given)
    assert done.returncode == 2 and done.stderr.splitlines()[-1].startswith("error: the model")
    assert "has no image encoder; give --image_encoder" in done.stderr


def test_what_is_found(model: Path, data: Path, finished: Path, tmp_path: Path) -> None:
    """A training is used where it is of this picture, these settings and this model, and whole."""
    given = settings(model, data, finished.parent)
    own = styles.opened(finished.parent, finished.parent).learnt.about["model"]
    assert styles.finished(finished.parent, given, str(own))
    assert not styles.finished(finished.parent, given, "another")
    assert not styles.finished(finished.parent, settings(model, data, finished.parent, batch=1), str(own))
    assert not styles.finished(tmp_path, given, str(own))
    picture(8).save(tmp_path / "other.png")
    assert not styles.finished(finished.parent, settings(model, tmp_path / "other.png", finished.parent), str(own))
    for name in ("inst.safetensors", "style.png"):
        (tmp_path / name).write_bytes((finished.parent / name).read_bytes())
    assert styles.finished(tmp_path, given, str(own))
    (tmp_path / "inst.safetensors").write_bytes(b"damaged")
    assert not styles.finished(tmp_path, given, str(own))


def test_all_styles_are_looked_at_before_one_is_trained(data: Path, tmp_path: Path) -> None:
    trained: List[Any] = []
    for wrong in (tmp_path, tmp_path / "none.png"):
        with pytest.raises(InputError, match="there is no file|cannot read"):
            styles.prepared([data, wrong], tmp_path, lambda *_: None, trained.append, "")  # type: ignore[arg-type, return-value]
    assert trained == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--output", "o"], "style"),
        (["--style", "a.png", "--output", "o", "--strenght", "1"], "did you mean strength"),
        (["--style", "a.png", "--output", "o", "--strength", "0"], "strength must be above 0"),
        (["--style", "a.png", "--output", "o", "--training.dropout", "1"], "dropout must be"),
        (["--style", "a.png", "--output", "o", "--inversion", "ddim"], "inversion"),
    ],
)
def test_a_wrong_command_line_is_one_line(words: List[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(InstSettings, "", words, extra=(run_inst.Run, run_inst.ModelOptions))
    error = capsys.readouterr().err
    assert (caught.value.code, error.count("\n")) == (2, 1) and said in error


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("inst*.yaml")), ids=lambda config: config.name)
def test_every_shipped_config_is_valid(config: Path) -> None:
    words = ["--config", str(config), "--style", "a.png", "--output", "o", "--compat"]
    chosen, options, model = parse(InstSettings, "", words, extra=(run_inst.Run, run_inst.ModelOptions))
    assert (chosen.strength, chosen.steps) == (0.7 if config.stem == "inst_sd21" else 0.5, 50)
    made = run_inst.training(chosen, options, model, Path("a.png"), Path("o"))
    assert made.compat and made.flip and made.dropout == 0.05 and made.validation_prompts == ("{token}",)
    if config.name == "inst_sd21.yaml":
        assert (made.loop.steps, made.loop.rate, made.batch, made.loop.clip) == (6100, 1e-4, 1, None)
        assert (chosen.guidance, made.image_encoder) == (10.0, "sd2-community/stable-diffusion-2-1-unclip")
        assert inst.acting(made).loop.rate == 1e-4


def test_the_contact_sheet_shows_what_was_learnt(finished: Path) -> None:
    assert np.array_equal(np.asarray(styles.opened(finished, finished.parent).picture), np.asarray(picture(1)))
