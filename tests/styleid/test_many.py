"""StyleID on many pictures: early results, what is kept where, what an interrupted run leaves, the size by default."""

from __future__ import annotations

import shutil
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jstyle.events import Evaluated, Event, PictureFound, PictureWritten, Planned, Remark
from jstyle.methods.pairs import Stylised, fill_size
from jstyle.pictures import images
from jstyle.pipelines.cost import CountingPipeline
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.settings.model import ModelSettings
from jstyle.weights.configuration import read_configurations
from styleid import METHOD
from styleid.bank import MemoryBank
from styleid.method import StyleIDOnLatents
from styleid.run import StyleID
from styleid.settings import StyleIDInputs, StyleIDSettings
from tests.parity.networks import GOLDEN
from tests.telling import only, plan

MODEL = GOLDEN / "diffusers_folder"


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(str(MODEL))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Three contents and two styles."""
    for role, count in (("content", 3), ("style", 2)):
        (tmp_path / role).mkdir()
        for number in range(count):
            picture(len(role) * 10 + number).save(tmp_path / role / f"{number}.png")
    return tmp_path / "content", tmp_path / "style"


def picture(seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(pixels).resize((48, 48))


def settings(**changes: Any) -> StyleIDSettings:
    return StyleIDSettings(**{"steps": 4, "width": 32, "height": 32, **changes})


def begin(folders: tuple[Path, Path], out: Path, styles: str = "", **changes: Any) -> Any:
    """The method's run, as a command starts it; ``styles`` is the name of one of them."""
    inputs = StyleIDInputs((folders[0],), (folders[1] / styles,), out)
    return METHOD.start(inputs, settings(**changes), ModelSettings(model=str(MODEL)))


def test_of_one_style_each_content_is_done_before_the_next_is_begun(pipe: StableDiffusionPipeline) -> None:
    stages = []
    for event in StyleID(pipe, settings()).stylise_pairs([picture(1), picture(2), picture(3)], [picture(4)]):
        stages.append(event.stage if isinstance(event, Evaluated) else f"content {event.content}")
    content = ["content inversion"] * 4 + ["stylisation"] * 3  # of 4 steps, the first of which sampling skips
    assert stages == ["style inversion"] * 4 + [
        *content, "content 0", *content, "content 1", *content, "content 2",
    ]  # fmt: skip


def test_what_is_not_needed_any_more_is_let_go(pipe: StableDiffusionPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    banks: list[Any] = []

    class Watched(MemoryBank):
        def __init__(self) -> None:
            super().__init__()
            banks.append(weakref.ref(self))

    monkeypatch.setattr("styleid.inverter.MemoryBank", Watched)
    method = StyleID(pipe, settings(features="memory"))
    alive = []
    for event in method.stylise_pairs([picture(seed) for seed in range(5)], [picture(8)]):
        if isinstance(event, Stylised):
            alive.append(sum(bank() is not None for bank in banks))
    assert len(banks) == 6 and alive == [1, 1, 1, 1, 0]  # the style, until its last picture is done


def test_pictures_are_opened_once_and_let_go(
    tmp_path: Path, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []
    beside: list[int] = []
    open_image = images.open_image

    def watch(path: Path, *more: Any) -> Image.Image:
        made = open_image(path, *more)
        if path.parent in folders:
            beside.append(sum(other() is not None for other in opened))
            opened.append(weakref.ref(made))
        return made

    monkeypatch.setattr(images, "open_image", watch)
    assert len(only(begin(folders, tmp_path / "out"), PictureWritten)) == 6
    assert len(opened) == 5 and max(beside) <= 1  # the one before, until the next is there


@pytest.mark.parametrize("features", ["memory", "disk", "recompute"])
def test_an_interrupted_run_leaves_what_it_has_finished(
    tmp_path: Path, folders: tuple[Path, Path], features: Any
) -> None:
    run, events = begin(folders, tmp_path / "out", features=features), []
    while len(only(events, PictureWritten)) < 2:
        events.append(next(run))
    run.close()
    done = {event.path.name for event in only(events, PictureWritten)}
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == done
    again = list(begin(folders, tmp_path / "out", features=features))
    missing = {event.path.name for event in only(again, PictureWritten)}
    assert plan(again).finished == 2 and len(missing) == 4 and done.isdisjoint(missing)
    assert plan(again).evaluations == sum(event.count for event in only(again, Evaluated))
    whole = list(begin(folders, tmp_path / "whole", features=features))
    assert pixels(tmp_path / "out") == pixels(tmp_path / "whole")
    inversions = [event for event in only([*events, *again], Evaluated) if "inversion" in event.stage]
    if features == "disk":  # of the interrupted run too, none was in vain
        assert len(inversions) == len([event for event in only(whole, Evaluated) if "inversion" in event.stage])


def pixels(folder: Path) -> dict[str, bytes]:
    return {path.name: images.open_image(path).tobytes() for path in folder.glob("*.png")}


def give_room(monkeypatch: pytest.MonkeyPatch, memory: float, disk: float) -> None:
    """So many bytes are free from now on."""
    usage = type(shutil.disk_usage("/"))
    monkeypatch.setattr("jstyle.methods.room.measure_free_memory", lambda: int(memory))
    monkeypatch.setattr("shutil.disk_usage", lambda place: usage(int(disk), 0, int(disk)))


def decide(folders: tuple[Path, Path], out: Path, **changes: Any) -> tuple[str, list[Event]]:
    """What the run says before it is planned, and all its events."""
    events = [event for event in begin(folders, out, **changes) if not isinstance(event, PictureFound)]
    assert isinstance(events[0], Remark) and isinstance(events[1], Planned)
    return events[0].text, events


def test_features_are_kept_where_there_is_room(
    tmp_path: Path, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice what they take must be free, in memory for those that are kept at a time, on the disk for all."""
    pipe = CountingPipeline.of_configurations(read_configurations(MODEL))
    latents = StyleIDOnLatents(pipe.unet, pipe.encode_texts(""), pipe.schedule, settings())
    channels = {site.path: pipe.unet.config.block_out_channels[site.level] for site in pipe.unet.sites}
    level = {site.path: site.level for site in pipe.unet.sites}
    side = pipe.latent_shape(32, 32)[1]
    array = sum(channels[path] * (-(-side // 2 ** level[path])) ** 2 for path in latents.paths) * 4 * 2  # steps, fp16
    at_once, in_all = 5 * array, (3 + 2 * 2) * array  # three contents and a style, or a content and two styles; all
    rooms = {
        "in memory": (2 * at_once, 0),
        f"in {tmp_path / 'disk' / 'features'}": (2 * at_once - 1, 2 * in_all),
        "again": (2 * at_once - 1, 2 * in_all - 1),
    }
    for name, (said, room) in zip(("memory", "disk", "again"), rooms.items()):
        give_room(monkeypatch, *room)
        line, events = decide(folders, tmp_path / name)
        assert said in line and "\n" not in line
        assert plan(events).evaluations == sum(event.count for event in only(events, Evaluated))
        assert pixels(tmp_path / name) == pixels(tmp_path / "memory")
        assert (tmp_path / name / "features").is_dir() == (name == "disk")
    give_room(monkeypatch, 1e12, 1e12)
    for name in ("memory", "disk", "again"):  # however they were kept, they are finished
        assert plan(begin(folders, tmp_path / name)) == Planned(6, 6, 0)


def test_what_features_take_is_foreseen(pipe: StableDiffusionPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    monkeypatch.setattr("styleid.keeping.fit_memory", lambda size: bool(told.append(size)) or True)
    StyleID(pipe, settings()).settle([(0, 0)])
    banks: list[Any] = []
    for role in ("content", "style"):
        banks.append(MemoryBank())
        latents = StyleIDOnLatents(pipe.unet, pipe.encode_texts(""), pipe.schedule, settings())
        list(latents.invert(pipe.encode_images(images_of(pipe)), role, banks[-1:]))  # type: ignore[arg-type]
    assert told == [sum(array.nbytes for bank in banks for step in bank._steps.values() for array in step.values())]


def images_of(pipe: StableDiffusionPipeline) -> Any:
    from jstyle.runtime import jt

    return jt.array(images.to_array([picture(1).resize((32, 32))]))


def test_a_store_that_is_begun_is_gone_on_with(
    tmp_path: Path, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    list(begin(folders, tmp_path / "out", "0.png", features="disk"))
    give_room(monkeypatch, 1e12, 1e12)
    line, events = decide(folders, tmp_path / "out")
    assert "later runs" in line and plan(events).evaluations == 4 + 3 * 3  # the other style, and three pictures


def test_a_choice_of_the_user_is_not_commented(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    events = list(begin(folders, tmp_path / "out", features="memory"))
    assert isinstance(events[0], Planned)


@pytest.mark.parametrize(
    ("own", "given", "side"),
    [(16, {}, (256, 256)), (128, {}, (512, 512)), (16, {"width": 64, "height": 32}, (64, 32))],
)
def test_the_size_by_default_is_the_models_own_and_at_least_256(own: int, given: dict, side: tuple[int, int]) -> None:
    class Pipe:
        size = own * 4

    filled = fill_size(StyleIDSettings(**given), Pipe())  # type: ignore[arg-type]
    assert (filled.width, filled.height) == side


def test_a_size_by_default_and_the_same_one_given_are_one_picture(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    given = {"steps": 2, "injection": False}
    list(begin(folders, tmp_path / "out", "0.png", **given, width=256, height=256))
    again = list(begin(folders, tmp_path / "out", "0.png", **given, width=None, height=None))
    assert plan(again) == Planned(3, 3, 0)
    assert images.open_image(tmp_path / "out" / "0_stylized_0.png").size == (256, 256)
