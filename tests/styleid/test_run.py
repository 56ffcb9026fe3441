"""run_styleid.py as a user runs it: what it writes, what it skips, what it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, List

import numpy as np
import pytest
from PIL import Image
from safetensors import SafetensorError

from jstyle.errors import InputError
from jstyle.methods.pairs import Stylised, open_all
from jstyle.pictures import images
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from styleid.files import Job
from styleid.settings import StyleIDSettings
from styleid.transfer import Transfer
from tests.parity.networks import GOLDEN

ROOT = Path(__file__).resolve().parents[2]
MODEL = GOLDEN / "diffusers_folder"


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(str(MODEL))


def picture(seed: int, size: int = 48) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(pixels).resize((size, size))


CONTENTS, STYLES = [picture(1), picture(2), picture(3)], [picture(4), picture(5)]


def settings(**changes: Any) -> StyleIDSettings:
    return StyleIDSettings(**{"steps": 4, "width": 32, "height": 32, **changes})


def run(pipe: StableDiffusionPipeline, store: Path, wanted: Any = None, **changes: Any) -> tuple:
    transfer = Transfer(pipe, settings(**changes), store=store)
    done = {(one.content, one.style): images.to_array([one.image]) for one in transfer.run(CONTENTS, STYLES, wanted)}
    return done, transfer.costs


def test_n_contents_in_m_styles_cost_n_plus_m_inversions(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    done, costs = run(pipe, tmp_path, batch_size=2)
    assert len(done) == 6
    assert costs.inversions == 5
    assert costs.evaluations == 5 * 4 + 6 * 3  # the first sampling step is skipped
    assert costs.peak_feature_bytes > 0


def test_features_from_memory_disk_and_computed_again_agree(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    memory, _ = run(pipe, tmp_path, feature_dtype="float32")
    for kept in ("disk", "recompute"):
        other, _ = run(pipe, tmp_path, features=kept, feature_dtype="float32", batch_size=3)
        for pair, image in memory.items():
            assert np.abs(other[pair] - image).max() <= 2 / 127.5  # two of 255 levels, by reassociation
    half, _ = run(pipe, tmp_path)
    for pair, image in memory.items():
        assert np.abs(half[pair] - image).mean() < 1 / 127.5


def test_disk_features_are_reused_by_a_second_run_and_by_nothing_else(
    pipe: StableDiffusionPipeline, tmp_path: Path
) -> None:
    first, costs = run(pipe, tmp_path, features="disk")
    assert (costs.inversions, costs.reused) == (5, 0)
    second, costs = run(pipe, tmp_path, features="disk", gamma=0.75)
    assert (costs.inversions, costs.reused, costs.evaluations) == (0, 5, 6 * 3)
    assert all(np.array_equal(second[pair], image) for pair, image in first.items())
    for change in ({"inversion": "target"}, {"layers": (6, 7)}, {"feature_dtype": "float32"}, {"steps": 5}):
        _, costs = run(pipe, tmp_path, [(0, 0)], features="disk", **change)
        assert (costs.inversions, costs.reused) == (2, 0), change
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_repeated_run_is_bit_identical(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    first, _ = run(pipe, tmp_path, [(0, 0)], vae="sample")
    second, _ = run(pipe, tmp_path, [(0, 0)], vae="sample")
    assert np.array_equal(first[0, 0], second[0, 0])


def test_every_option_changes_the_result(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    plain, _ = run(pipe, tmp_path, [(0, 0)])
    changes: List[dict] = [
        {"gamma": 0.1}, {"temperature": 3.0}, {"layers": (11,)}, {"inject_start": 3}, {"inject_stop": 2},
        {"injection": False}, {"adain": False}, {"adain_eps": 0.5}, {"inversion": "target"},
        {"skip_first_step": False}, {"vae": "sample"},
    ]  # fmt: skip
    for change in changes:
        other, _ = run(pipe, tmp_path, [(0, 0)], **change)
        assert not np.array_equal(other[0, 0], plain[0, 0]), change


def test_a_size_that_is_not_square(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    done, _ = run(pipe, tmp_path, [(0, 0)], width=48, height=16)
    assert done[0, 0].shape == (1, 3, 16, 48)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 1}, {"steps": 2000}, {"gamma": 1.5}, {"gamma": -0.1}, {"temperature": 0.0}, {"batch_size": 0},
        {"layers": ()}, {"inject_start": 4}, {"inject_start": 2, "inject_stop": 2}, {"inject_stop": 9},
        {"seed": -1}, {"adain_eps": -1.0},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense(wrong: dict) -> None:
    with pytest.raises(ValueError, match="must") as caught:
        settings(**wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [{"layers": (99,)}, {"layers": (0,)}, {"width": 33}, {"height": -8}])
def test_settings_that_the_model_cannot_take(pipe: StableDiffusionPipeline, wrong: dict) -> None:
    with pytest.raises(InputError):
        Transfer(pipe, settings(**wrong))


def job(folder: Path, contents: List[Path], styles: List[Path], **metadata: object) -> Job:
    return Job(folder, contents, styles, metadata)


@pytest.fixture
def files(tmp_path: Path) -> List[Path]:
    paths = [tmp_path / "a" / "cat.png", tmp_path / "b" / "cat.jpg", tmp_path / "b" / "sea.png"]
    for number, path in enumerate(paths):
        path.parent.mkdir(exist_ok=True)
        picture(number).save(path)
    return paths


def test_names_do_not_collide(tmp_path: Path, files: List[Path]) -> None:
    one = job(tmp_path / "out", [*files, files[0]], files[2:])
    names = [one.path(pair).name for pair in one.pairs]
    assert names[0] == "a_cat_stylized_sea.png"
    assert names[2] == "sea_stylized_sea.png"
    assert len(set(names)) == 4


def test_finished_pairs_are_skipped_and_others_never_overwritten(tmp_path: Path, files: List[Path]) -> None:
    out = tmp_path / "out"
    one = job(out, files[:1], files[1:], gamma=0.75, layers=(6, 7))
    assert one.unfinished(overwrite=False) == one.pairs
    assert one.save(Stylised(0, 1, picture(9))) == ""
    again = job(out, files[:1], files[1:], gamma=0.75, layers=(6, 7))
    assert again.unfinished(overwrite=False) == [(0, 0)]
    assert again.unfinished(overwrite=True) == again.pairs
    with pytest.raises(InputError, match=r"made with gamma = 0\.75, not 0\.3; --overwrite"):
        job(out, files[:1], files[1:], gamma=0.3, layers=(6, 7)).unfinished(overwrite=False)
    picture(10).save(files[0])  # the content's pixels changed under the same name
    with pytest.raises(InputError, match="made with content_hash"):
        job(out, files[:1], files[1:], gamma=0.75, layers=(6, 7)).unfinished(overwrite=False)
    foreign = one.path((0, 0))
    foreign.write_bytes(b"somebody's file")
    with pytest.raises(InputError, match="not a finished picture of ours"):
        one.unfinished(overwrite=False)
    assert foreign.read_bytes() == b"somebody's file"


def test_broken_pictures_are_reported_and_the_others_kept(tmp_path: Path, files: List[Path]) -> None:
    (tmp_path / "b" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    pictures, problems = open_all([tmp_path / "b"])
    assert [path.name for path in pictures] == ["cat.jpg", "sea.png"]
    assert len(problems) == 1
    assert "broken.png" in problems[0]
    with pytest.raises(InputError, match=r"broken\.png"):
        open_all([tmp_path / "b" / "broken.png"])


def script(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "scripts" / "run_styleid.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def test_the_script_from_end_to_end(tmp_path: Path, files: List[Path]) -> None:
    (tmp_path / "b" / "broken.png").write_bytes(b"no picture")
    out = tmp_path / "out"
    arguments = ["--model", MODEL, "--content", files[0], "--style", tmp_path / "b", "--output", out]
    arguments += ["--steps", 3, "--width", 32, "--height", 32]
    done = script(*arguments)
    assert done.returncode == 1  # one style could not be read
    assert "broken.png" in done.stderr
    assert "Traceback" not in done.stderr
    names = ["cat_stylized_cat.png", "cat_stylized_sea.png", "contact_sheet.png"]
    assert sorted(path.name for path in out.iterdir()) == names
    metadata = images.read_metadata(out / names[0])
    assert metadata is not None
    assert (metadata["method"], metadata["gamma"], metadata["seed"]) == ("StyleID", 0.75, 22)
    assert len(str(metadata["model_hash"])) == 64
    for word in ("content inversion", "style inversion", "stylisation", "UNet evaluations", "peak features"):
        assert word in done.stdout
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    (tmp_path / "b" / "broken.png").unlink()
    again = script(*arguments)
    assert again.returncode == 0
    assert "2 of them finished before" in again.stdout
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    refused = script(*arguments, "--gamma", 0.3)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "was made with gamma = 0.75" in refused.stderr
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "content"),
        (["--content", "x.png", "--style", "y.png", "--output", "o", "--gama", "1"], "gama"),
        (["--content", "x.png", "--style", "y.png", "--output", "o", "--gamma", "much"], "gamma"),
        (["--content", "x.png", "--style", "y.png", "--output", "o", "--steps", "0"], "steps"),
        (["--content", "x.png", "--style", "y.png", "--output", "o", "--config", "no.yaml"], "no.yaml"),
        (["--content", "x.png", "--style", "y.png", "--output", "o", "--features", "cloud"], "features"),
    ],
)
def test_a_wrong_command_line_is_one_line(arguments: List[str], said: str) -> None:
    done = script(*arguments)
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")
    assert said in done.stderr


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("styleid*.yaml")))
def test_every_shipped_config_is_valid(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import command_line
    import run_styleid

    given = ["--config", str(config), "--content", "a", "--style", "b", "--output", "c"]
    also = run_styleid.Run, run_styleid.ModelOptions
    chosen, _, model = command_line.parse(StyleIDSettings, "", given, extra=also)
    assert (chosen.steps, chosen.gamma, chosen.temperature) == (50, 0.75, 1.5)
    assert model.model


def test_features_that_do_not_fit_on_the_disk_leave_nothing_behind(
    pipe: StableDiffusionPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(arrays: Any, file: Path, metadata: object) -> None:
        Path(file).write_bytes(b"half")
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("jstyle.weights.tensors.save_file", full)
    with pytest.raises(InputError, match="No space left on device") as caught:
        run(pipe, tmp_path / "store", features="disk")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "store").iterdir()) == []


def test_damaged_disk_features_are_named(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    run(pipe, tmp_path, [(0, 0)], features="disk")
    for file in tmp_path.glob("*/step_000.safetensors"):
        file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(InputError, match="is damaged.*delete the folder"):
        run(pipe, tmp_path, [(0, 0)], features="disk", skip_first_step=False)
