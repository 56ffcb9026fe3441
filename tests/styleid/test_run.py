"""StyleID on pictures: what it makes, what it keeps, what it refuses, and the run over contents x styles."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from typing import Any, BinaryIO, Optional

import numpy as np
import pytest
from PIL import Image

import jstyle
from jstyle.errors import InputError
from jstyle.events import Evaluated, Event, Failure, PictureFound, PictureWritten, Planned, Remark
from jstyle.files import identify_host
from jstyle.networks import UNet2DConditionModel
from jstyle.pictures import images, png_texts
from jstyle.pipelines.cost import CountingPipeline, count_evaluations
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.settings.model import ModelSettings
from jstyle.settings.reader import build
from jstyle.settings.yaml_files import read_yaml
from jstyle.weights.configuration import read_configurations
from styleid import METHOD
from styleid.run import StyleID
from styleid.settings import StyleIDInputs, StyleIDSettings, check_finish
from styleid.store import FeatureStore
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


def run(
    pipe: StableDiffusionPipeline, pairs: Any = None, store: Optional[Path] = None, **changes: Any
) -> tuple[dict, dict]:
    """The pictures as arrays, by pair, and the evaluations, by stage."""
    made, stages = {}, {}
    for event in StyleID(pipe, settings(**changes), store=store).stylise_pairs(CONTENTS, STYLES, pairs):
        if isinstance(event, Evaluated):
            stages[event.stage] = stages.get(event.stage, 0) + event.count
        elif event.image is not None:
            made[event.content, event.style] = images.to_array([event.image])
    return made, stages


def test_n_contents_in_m_styles_cost_n_plus_m_inversions(pipe: StableDiffusionPipeline) -> None:
    made, stages = run(pipe, batch_size=2)
    assert sorted(made) == [(content, style) for content in range(3) for style in range(2)]
    # 4 steps an inversion; the first sampling step is skipped
    assert stages == {"content inversion": 3 * 4, "style inversion": 2 * 4, "stylisation": 6 * 3}


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("fused", {}),
        ("fused", {"inversion": "target"}),
        ("fused", {"inversion": "target", "fixed_point": 2}),
        ("fused", {"skip_first_step": False, "inject_start": 2}),
        ("fused", {"feature_dtype": "float32"}),
        ("reference", {}),
        ("reference", {"inversion": "target", "fixed_point": 1, "skip_first_step": False}),
    ],
    ids=str,
    indirect=["path"],
)
def test_features_kept_or_computed_again_are_the_same_bits(
    pipe: StableDiffusionPipeline, tmp_path: Path, path: str, change: dict
) -> None:
    """So where they are kept is no part of what a picture is; sharp attention would show last bits in the pixels."""
    change, pairs = {"temperature": 20.0, "batch_size": 2, **change}, [(0, 0), (1, 1), (2, 1)]
    memory, _ = run(pipe, pairs, features="memory", **change)
    for features in ("disk", "recompute"):
        other, _ = run(pipe, pairs, tmp_path, features=features, **change)
        assert all(np.array_equal(other[pair], image) for pair, image in memory.items()), features


def test_features_are_rounded_to_their_precision(pipe: StableDiffusionPipeline) -> None:
    half, _ = run(pipe)
    for pair, image in run(pipe, feature_dtype="float32")[0].items():
        assert np.abs(half[pair] - image).mean() < 1 / 127.5
    sharp, exact = (run(pipe, [(0, 0)], temperature=20.0, feature_dtype=f"float{bits}")[0] for bits in (16, 32))
    assert not np.array_equal(sharp[0, 0], exact[0, 0])


def test_disk_features_are_reused_by_a_second_run_and_by_nothing_else(
    pipe: StableDiffusionPipeline, tmp_path: Path
) -> None:
    first, stages = run(pipe, store=tmp_path, features="disk")
    assert stages == {"content inversion": 3 * 4, "style inversion": 2 * 4, "stylisation": 6 * 3}
    second, stages = run(pipe, store=tmp_path, features="disk")
    assert stages == {"stylisation": 6 * 3}
    assert all(np.array_equal(second[pair], image) for pair, image in first.items())
    for change in ({"inversion": "target"}, {"layers": (6, 7)}, {"feature_dtype": "float32"}, {"steps": 5},
                   {"vae": "sample"}, {"width": 48}, {"inversion": "target", "fixed_point": 1}):  # fmt: skip
        _, stages = run(pipe, [(0, 0)], tmp_path, features="disk", **change)
        assert {"content inversion", "style inversion"} < set(stages), change
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    "change",
    [
        {"gamma": 0.1}, {"temperature": 3.0}, {"inject_start": 2}, {"inject_stop": 2}, {"adain": False},
        {"adain_eps": 0.5}, {"skip_first_step": False},
    ],
)  # fmt: skip
def test_disk_features_serve_every_setting_that_does_not_change_them(
    pipe: StableDiffusionPipeline, tmp_path: Path, change: dict
) -> None:
    run(pipe, [(0, 0)], tmp_path, features="disk")
    reused, stages = run(pipe, [(0, 0)], tmp_path, features="disk", **change)
    fresh, _ = run(pipe, [(0, 0)], **change)
    assert set(stages) == {"stylisation"} and np.array_equal(reused[0, 0], fresh[0, 0])


def test_a_repeated_run_is_bit_identical(pipe: StableDiffusionPipeline) -> None:
    first, _ = run(pipe, [(0, 0)], vae="sample")
    second, _ = run(pipe, [(0, 0)], vae="sample")
    assert np.array_equal(first[0, 0], second[0, 0])


def test_every_option_changes_the_result(pipe: StableDiffusionPipeline) -> None:
    plain, _ = run(pipe, [(0, 0)])
    changes: list[dict] = [
        {"gamma": 0.1}, {"temperature": 3.0}, {"layers": (11,)}, {"inject_start": 3}, {"inject_stop": 2},
        {"injection": False}, {"adain": False}, {"adain_eps": 0.5}, {"inversion": "target"},
        {"skip_first_step": False}, {"vae": "sample"},
    ]  # fmt: skip
    for change in changes:
        other, _ = run(pipe, [(0, 0)], **change)
        assert not np.array_equal(other[0, 0], plain[0, 0]), change


def test_a_size_that_is_not_square(pipe: StableDiffusionPipeline) -> None:
    made, _ = run(pipe, [(0, 0)], width=48, height=16, fit="crop")
    assert made[0, 0].shape == (1, 3, 16, 48)


def test_contents_and_styles_keep_their_aspects(pipe: StableDiffusionPipeline) -> None:
    """Each at about the area, whatever the other's shape, and a content's result does not depend on those beside it."""
    shapes = {(48, 48): (32, 32), (240, 48): (72, 16), (48, 96): (24, 44)}
    contents = [picture(i).resize(size) for i, size in enumerate(shapes)]
    styles = [picture(7).resize((60, 48))]
    method = StyleID(pipe, settings(batch_size=4))
    made = {event.content: event.image for event in method.stylise_pairs(contents, styles) if hasattr(event, "image")}
    assert [made[i].size for i in range(3)] == list(shapes.values())
    for i, content in enumerate(contents):
        alone = np.asarray(StyleID(pipe, settings())(content, styles[0]), np.int16)
        assert np.abs(alone - np.asarray(made[i], np.int16)).max() <= 2
    stretched = styles[0].resize((48, 48))
    assert StyleID(pipe, settings())(contents[0], stretched) != made[0], "a style's own shape counts"


def test_one_call_is_the_run_of_one_pair(pipe: StableDiffusionPipeline) -> None:
    made, _ = run(pipe, [(1, 1)])
    image = jstyle.StyleID(pipe, settings())(CONTENTS[1], STYLES[1])
    assert np.array_equal(images.to_array([image]), made[1, 1])


def rows_through_the_unet(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The batch of every call of a real UNet from now on."""
    rows: list[int] = []
    execute = UNet2DConditionModel.execute

    def counted(self: Any, sample: Any, *arguments: Any, **options: Any) -> Any:
        rows.append(sample.shape[0])
        return execute(self, sample, *arguments, **options)

    monkeypatch.setattr(UNet2DConditionModel, "execute", counted)
    return rows


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("features", ["memory", "recompute", "disk"])
def test_what_is_told_and_planned_is_what_goes_through_the_unet(
    pipe: StableDiffusionPipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, features: Any, batch_size: int
) -> None:
    """Also where some features are on the disk already, and without injection."""
    rows = rows_through_the_unet(monkeypatch)
    if features == "disk":
        run(pipe, [(1, 0)], tmp_path, features="disk")
    for injection in (True, False):
        changed = settings(features=features, batch_size=batch_size, injection=injection)
        before = sorted(tmp_path.rglob("*"))
        planned = count_evaluations(
            lambda counting, changed=changed: StyleID(counting, changed, store=tmp_path).stylise_pairs(
                CONTENTS, STYLES
            ),
            pipe,
        )
        assert sorted(tmp_path.rglob("*")) == before
        rows.clear()
        _, stages = run(pipe, None, tmp_path, features=features, batch_size=batch_size, injection=injection)
        assert planned == sum(stages.values()) == sum(rows) > 0


def test_counting_needs_no_weights() -> None:
    counting = CountingPipeline.of_configurations(read_configurations(MODEL))
    stylise = StyleID(counting, settings(features="recompute"))
    # 2 inversions of 4 steps, and 3 steps of which each runs content, style and picture
    assert count_evaluations(lambda pipe: stylise.stylise_pairs(CONTENTS[:1], STYLES[:1]), counting) == 8 + 9


def test_an_abandoned_run_leaves_no_editor(pipe: StableDiffusionPipeline) -> None:
    events = StyleID(pipe, settings()).stylise_pairs(CONTENTS, STYLES)
    assert isinstance(next(events), Evaluated) and pipe.unet.attachments
    events.close()  # type: ignore[attr-defined]
    assert not pipe.unet.attachments


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 1}, {"steps": 2000}, {"gamma": 1.5}, {"gamma": -0.1}, {"temperature": 0.0}, {"batch_size": 0},
        {"layers": ()}, {"inject_start": 4}, {"inject_start": 2, "inject_stop": 2}, {"inject_stop": 9},
        {"seed": -2}, {"adain_eps": -1.0}, {"width": 0}, {"height": -8}, {"fixed_point": 1},
        {"inversion": "target", "fixed_point": -1},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense(wrong: dict) -> None:
    with pytest.raises(ValueError, match="must") as caught:
        settings(**wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "unused", [{"gamma": 0.2}, {"temperature": 2.0}, {"layers": (9,)}, {"inject_start": 1}, {"inject_stop": 2}]
)
def test_what_is_said_of_an_injection_that_is_off_is_refused(unused: dict) -> None:
    (name,) = unused
    with pytest.raises(ValueError, match=f"{name} changes nothing without injection: leave it out"):
        settings(injection=False, **unused)
    settings(**unused)


@pytest.mark.parametrize("wrong", [{"layers": (99,)}, {"layers": (0,)}, {"width": 33}, {"features": "disk"}])
def test_settings_that_the_model_cannot_take(pipe: StableDiffusionPipeline, wrong: dict) -> None:
    with pytest.raises(InputError):
        StyleID(pipe, settings(**wrong))


def test_the_finish_of_a_recipe_keeps_nothing_on_disk() -> None:
    for features in ("auto", "memory", "recompute"):
        check_finish(settings(features=features))
    with pytest.raises(ValueError, match="features must be auto, memory or recompute, not disk"):
        check_finish(settings(features="disk"))


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "a" / "cat.png", tmp_path / "b" / "cat.jpg", tmp_path / "b" / "sea.png"]
    for number, path in enumerate(paths):
        path.parent.mkdir(exist_ok=True)
        picture(number).save(path)
    return paths


def start(files: list[Path], out: Path, overwrite: bool = False, **changes: Any) -> list[Event]:
    """All events of the method's run, as a command starts it."""
    inputs = StyleIDInputs((files[0],), (files[1].parent,), out, overwrite)
    model = ModelSettings(model=str(MODEL))
    return list(METHOD.start(inputs, settings(**{"steps": 3, **changes}), model))


def test_the_run_from_end_to_end(tmp_path: Path, files: list[Path]) -> None:
    (tmp_path / "b" / "broken.png").write_bytes(b"no picture")
    out = tmp_path / "out"
    events = start(files, out, features="disk")
    names = ["cat_stylized_cat.png", "cat_stylized_sea.png"]
    assert [event.subject for event in events if isinstance(event, Failure)] == [str(tmp_path / "b" / "broken.png")]
    assert [event.path for event in events if isinstance(event, PictureWritten)] == [out / name for name in names]
    assert isinstance(events[-1], Remark) and str(out) in events[-1].text
    (planned,) = [event for event in events if isinstance(event, Planned)]
    assert planned == Planned(2, 0, 3 * 3 + 2 * 2)
    assert sum(event.count for event in events if isinstance(event, Evaluated)) == planned.evaluations
    assert sorted(path.name for path in out.iterdir()) == [*names, "contact_sheet.png", "features"]
    spec: Any = (png_texts.read_metadata(out / names[0]) or {})["spec"]
    assert (spec["method"], spec["settings"]["gamma"], spec["settings"]["seed"]) == ("styleid", 0.75, 22)
    assert len(spec["model"]["hash"]) == 64
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    (tmp_path / "b" / "broken.png").unlink()
    for change in ({"features": "disk", "batch_size": 2}, {"features": "recompute"}, {}):
        again = start(files, out, **change)
        assert [event for event in again if not isinstance(event, (PictureFound, Remark))] == [Planned(2, 2, 0)]
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before
    with pytest.raises(InputError, match=r"was made with settings\.gamma = 0\.75, not 0\.3; --overwrite"):
        start(files, out, features="disk", gamma=0.3)
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("unused", [{"features": "recompute"}, {"features": "memory"}, {"injection": False}])
def test_a_store_in_which_nothing_is_kept_is_refused(unused: dict, tmp_path: Path, files: list[Path]) -> None:
    inputs = StyleIDInputs((files[0],), (files[1],), tmp_path / "out", store=tmp_path / "store")
    with pytest.raises(InputError, match="store is for features auto or disk, with injection: leave it out"):
        list(METHOD.start(inputs, settings(**unused), ModelSettings(model=str(MODEL))))
    assert not (tmp_path / "out").exists()


def test_the_plan_knows_what_an_earlier_run_has_kept(tmp_path: Path, files: list[Path]) -> None:
    start(files, tmp_path / "out", features="disk")
    (tmp_path / "out" / "cat_stylized_sea.png").unlink()
    events = start(files, tmp_path / "out", features="disk")
    (planned,) = [event for event in events if isinstance(event, Planned)]
    assert planned == Planned(2, 1, 2)
    assert sum(event.count for event in events if isinstance(event, Evaluated)) == 2


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("styleid*.yaml")), ids=lambda config: config.name)
def test_every_shipped_config_is_valid(config: Path) -> None:
    values = read_yaml(config)
    model = {name: values.pop(name) for name in list(values) if name in ModelSettings.__dataclass_fields__}
    chosen = build(StyleIDSettings, values)
    assert (chosen.steps, chosen.gamma, chosen.temperature) == (50, 0.75, 1.5)
    assert build(ModelSettings, model).model


def test_features_that_do_not_fit_on_the_disk_leave_nothing_behind(
    pipe: StableDiffusionPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(stream: BinaryIO, *_: Any) -> None:
        stream.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("jstyle.weights.tensors.write", fill)
    with pytest.raises(InputError, match="No space left on device") as caught:
        run(pipe, None, tmp_path / "store", features="disk")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "store").iterdir()) == []


def test_what_killed_runs_left_in_the_store_goes_and_what_others_write_stays(
    pipe: StableDiffusionPipeline, tmp_path: Path
) -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    left = tmp_path / f".{identify_host()}-{child.pid}-{'0' * 16}.part"
    left.mkdir()
    writer = FeatureStore(tmp_path, pipe, settings(), []).open_writer(np.zeros((1, 3, 8, 8), np.float32), "style")
    assert not left.exists()
    writer.write(0, {"site/k": np.zeros(3, np.float32)})
    (kept,) = tmp_path.iterdir()
    left.mkdir()
    (left / "step_000.safetensors").touch()
    run(pipe, [(0, 0)], tmp_path, features="disk")
    assert not left.exists() and [path.name for path in kept.iterdir()] == ["step_000.safetensors"]


def test_damaged_disk_features_are_named(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    run(pipe, [(0, 0)], tmp_path, features="disk")
    for file in tmp_path.glob("*/step_000.safetensors"):
        file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(InputError, match="is damaged.*delete the folder"):
        run(pipe, [(0, 0)], tmp_path, features="disk", skip_first_step=False)
