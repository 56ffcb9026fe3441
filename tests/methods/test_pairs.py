"""Contents in styles: which files there are, and the run of a method that has nothing but settings and a class."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Optional, TypeVar

import numpy as np
import pytest
from PIL import Image

from jstyle.cli.commands import make_method_command
from jstyle.errors import InputError
from jstyle.events import Evaluated, Event, Failure, PictureFound, PictureWritten, Planned, Remark
from jstyle.methods.pairs import (
    NOT_FINITE,
    Pair,
    PairFiles,
    PairInputs,
    Stylised,
    list_pairs,
    open_pictures,
    run_pairs,
    stylise_one,
)
from jstyle.methods.table import Method
from jstyle.pictures import images
from jstyle.pictures.fitting import Frame
from jstyle.pictures.spec import ModelIdentity
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.settings.fields import free
from jstyle.settings.model import ModelSettings
from jstyle.settings.vocabulary import Fit
from tests.parity.networks import GOLDEN

Result = TypeVar("Result")


@dataclass(frozen=True)
class ToySettings:
    """The share of the style in the mean of both pictures."""

    share: float = 0.5
    width: Optional[int] = None
    height: Optional[int] = None
    fit: Fit = "crop"
    batch_size: int = free(1, because="toys are alike")


class Toy:
    """The mean of content and style; a white content has none."""

    def __init__(self, pipe: Any, settings: ToySettings) -> None:
        self._size = settings.width or pipe.size, settings.height or pipe.size
        self._share = settings.share
        pipe.latent_shape(settings.height, settings.width)

    def stylise_pairs(
        self, contents: Sequence[Image.Image], styles: Sequence[Image.Image], pairs: Optional[Collection[Pair]] = None
    ) -> Iterator[Any]:
        for content, style in list_pairs(len(contents), len(styles)) if pairs is None else pairs:
            yield Evaluated("mean", 2)
            parts = [images.to_array([images.fit(one, *self._size)]) for one in (contents[content], styles[style])]
            mean = (1 - self._share) * parts[0] + self._share * parts[1]
            yield Stylised.from_array(content, style, np.where(parts[0].mean() == 1, np.nan, mean))


METHOD = Method("toy", "Toy", "mixes", "none", ToySettings, PairInputs, stylise="tests.methods.test_pairs:Toy")


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (24, 24, 3), np.uint8))


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "a" / "cat.png", tmp_path / "b" / "cat.png", tmp_path / "b" / "sea.png"]
    for number, path in enumerate(paths):
        path.parent.mkdir(exist_ok=True)
        picture(number).save(path)
    return paths


def start(contents: list[Path], styles: list[Path], out: Path, *, overwrite: bool = False, **changes: Any) -> list:
    inputs = PairInputs(tuple(contents), tuple(styles), out, overwrite)
    model = ModelSettings(model=str(GOLDEN / "diffusers_folder"))
    return list(METHOD.start(inputs, ToySettings(**{"width": 16, "height": 16, **changes}), model))


def written(events: list[Event]) -> list[str]:
    return [event.path.name for event in events if isinstance(event, PictureWritten)]


def finish(steps: Generator[Any, None, Result]) -> tuple[list, Result]:
    """What a generator yields, and what it returns."""
    yielded = []
    while True:
        try:
            yielded.append(next(steps))
        except StopIteration as end:
            return yielded, end.value


def contents_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_pair_is_made_and_none_twice(tmp_path: Path, files: list[Path]) -> None:
    out = tmp_path / "deep" / "out"
    events = start(files[:1], files[1:], out)
    names = ["cat_stylized_cat.png", "cat_stylized_sea.png"]
    assert events[0] == Planned(2, 0, 4) and isinstance(events[-1], Remark)
    assert written(events) == names and sorted(contents_of(out)) == [*names, "contact_sheet.png"]
    made = np.asarray(images.open_image(out / names[1]), np.float64)
    parts = [np.asarray(images.fit(picture(seed), 16, 16), np.float64) for seed in (0, 2)]
    assert np.abs(made - (parts[0] + parts[1]) / 2).max() <= 1
    before = contents_of(out)
    again = start(files[:1], files[1:], out, batch_size=5)
    assert again[:3] == [*(PictureFound(out / name) for name in names), Planned(2, 2, 0)]
    assert written(again) == [] and contents_of(out) == before
    (out / names[0]).unlink()
    damaged = out / names[1]
    damaged.write_bytes(damaged.read_bytes()[:-40])
    again = start(files[:1], files[1:], out)
    assert again[0] == Planned(2, 0, 4) and written(again) == names and contents_of(out) == before


def test_what_is_something_else_is_refused_before_anything_is_made(tmp_path: Path, files: list[Path]) -> None:
    out = tmp_path / "out"
    start(files[:1], files[2:], out)
    before = contents_of(out)
    with pytest.raises(InputError, match=r"cat_stylized_sea\.png' was made with settings\.share = 0\.5, not 0\.25"):
        start(files[:1], files[1:], out, share=0.25)
    assert contents_of(out) == before
    assert written(start(files[:1], files[2:], out, share=0.25, overwrite=True)) == ["cat_stylized_sea.png"]
    picture(10).save(files[0])  # other pixels under the same name
    with pytest.raises(InputError, match=r"was made with another subject\.content;"):
        start(files[:1], files[2:], out, share=0.25)
    foreign = out / "cat_stylized_cat.png"
    foreign.write_bytes(b"somebody's file")
    with pytest.raises(InputError, match="exists, but jstyle did not make it"):
        start(files[:1], files[1:2], out)
    assert foreign.read_bytes() == b"somebody's file"


def test_a_picture_that_fails_does_not_stop_the_others(tmp_path: Path, files: list[Path]) -> None:
    Image.new("RGB", (24, 24), "white").save(tmp_path / "a" / "blank.png")
    (tmp_path / "a" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    out = tmp_path / "out"
    events = start([tmp_path / "a"], files[2:], out)
    failures = [event for event in events if isinstance(event, Failure)]
    assert [Path(failure.subject).name for failure in failures] == ["broken.png", "blank_stylized_sea.png"]
    assert failures[1].reason == NOT_FINITE and failures[0] == events[0]
    assert written(events) == ["cat_stylized_sea.png"] and (out / "contact_sheet.png").is_file()
    again = start([tmp_path / "a"], files[2:], out)
    assert Planned(2, 1, 2) in again and written(again) == []


def test_files_of_one_content_are_one_picture_made_once(tmp_path: Path, files: list[Path]) -> None:
    (tmp_path / "a" / "copy.png").write_bytes(files[0].read_bytes())
    events = start([tmp_path / "a"], files[2:], tmp_path / "out")
    assert events[0] == Planned(2, 0, 2) and [event for event in events if isinstance(event, Evaluated)] == [
        Evaluated("mean", 2)
    ]
    assert written(events) == ["cat_stylized_sea.png", "copy_stylized_sea.png"]
    assert Planned(2, 2, 0) in start([tmp_path / "a"], files[2:], tmp_path / "out")


def test_the_sheet_shows_no_picture_of_other_settings(tmp_path: Path, files: list[Path]) -> None:
    """One that stands there from before, whose pair could not be made anew, is not shown beside the new ones."""
    out = tmp_path / "out"
    start(files[:1], files[2:], out)
    sheet = np.asarray(images.open_image(out / "contact_sheet.png"))
    Image.new("RGB", (24, 24), "white").save(files[0])
    start(files[:1], files[2:], out, overwrite=True)
    bottom = np.asarray(images.open_image(out / "contact_sheet.png"))[-150:-20, -150:-20]
    assert (bottom == 255).all() and not (sheet[-150:-20, -150:-20] == 255).all()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"content": "none.png"}, r"cannot read .*none\.png"),
        ({"style": "empty"}, "holds no picture"),
        ({"style": "broken.png"}, r"broken\.png' is no readable picture"),
        ({"output": "broken.png"}, r"broken\.png' exists, but jstyle did not make it; --overwrite"),
        ({"output": "broken.png/deeper"}, r"broken\.png' is a file, not a folder"),
    ],
)
def test_wrong_inputs_are_told_before_the_model_is_loaded(
    tmp_path: Path, files: list[Path], wrong: dict, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StableDiffusionPipeline, "from_settings", lambda model: pytest.fail("it is loaded"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.png").write_bytes(b"no picture")
    places = {"content": files[0], "style": files[2], "output": tmp_path / "out"}
    places.update({name: tmp_path / value for name, value in wrong.items()})
    inputs = PairInputs((places["content"],), (places["style"],), places["output"])
    with pytest.raises(InputError, match=said) as caught:
        list(run_pairs(METHOD, inputs, ToySettings(), ModelSettings(model=str(GOLDEN / "diffusers_folder"))))
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


class Careful(Toy):
    """Says when it has been closed, and keeps what it yields, so that nothing is closed by chance."""

    closed: ClassVar[list[bool]] = []
    kept: ClassVar[list[Iterator[Any]]] = []

    def stylise_pairs(self, *arguments: Any) -> Iterator[Any]:
        def run() -> Iterator[Any]:
            try:
                yield from super(Careful, self).stylise_pairs(*arguments)
            finally:
                self.closed.append(True)

        self.kept.append(run())
        return self.kept[-1]


def test_a_method_is_closed_when_its_picture_cannot_be_written(
    tmp_path: Path, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise InputError("the disk is full")

    monkeypatch.setattr("jstyle.methods.pairs.write_picture", refuse)
    careful = replace(METHOD, stylise="tests.methods.test_pairs:Careful")
    inputs = PairInputs((files[0],), (files[2],), tmp_path / "out")
    model = ModelSettings(model=str(GOLDEN / "diffusers_folder"))
    with pytest.raises(InputError, match="the disk is full"):
        list(careful.start(inputs, ToySettings(width=16, height=16), model))
    assert Careful.closed == [True, True]  # the one that counts, the one that makes


def test_a_finished_or_refused_run_loads_no_model(
    tmp_path: Path, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    start(files[:1], files[2:], tmp_path / "out")

    def refuse(model: ModelSettings) -> None:
        raise AssertionError("the model is loaded")

    monkeypatch.setattr(StableDiffusionPipeline, "from_settings", refuse)
    assert Planned(1, 1, 0) in start(files[:1], files[2:], tmp_path / "out")
    with pytest.raises(InputError, match="share = "):
        start(files[:1], files[2:], tmp_path / "out", share=0.25)
    with pytest.raises(InputError, match="multiple of"):
        start(files[:1], files[2:], tmp_path / "other", width=17)


def test_two_runs_at_once_do_not_write_over_each_other(tmp_path: Path, files: list[Path]) -> None:
    out, model = tmp_path / "out", ModelSettings(model=str(GOLDEN / "diffusers_folder"))
    slow = METHOD.start(PairInputs(tuple(files[:1]), tuple(files[2:]), out), ToySettings(0.25, 16, 16), model)
    assert isinstance(next(slow), Planned)
    start(files[:1], files[2:], out)
    before = contents_of(out)
    with pytest.raises(InputError, match=r"was made with settings\.share = 0\.5, not 0\.25"):
        list(slow)
    assert contents_of(out) == before


def test_a_sheet_takes_nobodys_file(tmp_path: Path, files: list[Path]) -> None:
    foreign = tmp_path / "out" / "contact_sheet.png"
    foreign.parent.mkdir()
    picture(8).save(foreign)
    before = contents_of(foreign.parent)
    with pytest.raises(InputError, match=r"contact_sheet\.png' exists, but jstyle did not make it; --overwrite"):
        start(files[:1], files[2:], foreign.parent)
    assert contents_of(foreign.parent) == before
    assert written(start(files[:1], files[2:], foreign.parent, overwrite=True))
    start(files[:1], files[2:], foreign.parent)


def test_a_size_that_the_model_cannot_take_leaves_nothing(tmp_path: Path, files: list[Path]) -> None:
    with pytest.raises(InputError, match="multiple of"):
        start(files[:1], files[2:], tmp_path / "out", width=17)
    assert not (tmp_path / "out").exists()


def test_one_picture_of_a_method() -> None:
    class Pipe:
        size = 16

        def latent_shape(self, *_: Any) -> None: ...

    toy = Toy(Pipe(), ToySettings(width=20))
    assert stylise_one(toy, picture(1), picture(2)).size == (20, 16)
    with pytest.raises(InputError, match="not finite"):
        stylise_one(toy, Image.new("RGB", (9, 9), "white"), picture(2))


def test_names_do_not_collide(tmp_path: Path, files: list[Path]) -> None:
    pairs = PairFiles(tmp_path, "toy", ToySettings(), ModelIdentity("h", "c"), [*files, files[0]], files[2:])
    names = [pairs.path(pair).name for pair in pairs.pairs]
    assert names[0] == "a_cat_stylized_sea.png" and names[2] == "sea_stylized_sea.png"
    assert len(set(names)) == 4


def test_names_that_run_into_each_other_are_numbered(tmp_path: Path, files: list[Path]) -> None:
    paths = [tmp_path / "a_stylized_b.png", tmp_path / "a.png"], [tmp_path / "c.png", tmp_path / "b_stylized_c.png"]
    for number, path in enumerate([*paths[0], *paths[1]]):
        picture(number).save(path)
    pairs = PairFiles(tmp_path, "toy", ToySettings(), ModelIdentity("h", "c"), *paths)
    assert sorted(pairs.path(pair).name for pair in pairs.pairs) == [
        "a_stylized_b_stylized_b_stylized_c.png",
        "a_stylized_b_stylized_c.png",
        "a_stylized_b_stylized_c_2.png",
        "a_stylized_c.png",
    ]


def test_a_style_of_several_files_is_told_apart_by_the_hash_given(tmp_path: Path, files: list[Path]) -> None:
    folder = files[0].parent
    both = [
        PairFiles(tmp_path, "toy", ToySettings(), ModelIdentity("h", "c"), files[:1], [folder], {folder: name}).spec(
            (0, 0)
        )
        for name in ("one", "two")
    ]
    assert [spec.subject.style for spec in both] == ["one", "two"]


def test_broken_pictures_are_told_and_the_others_kept(tmp_path: Path, files: list[Path]) -> None:
    (tmp_path / "b" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    failures, pictures = finish(open_pictures([tmp_path / "b"], Frame(16, 16)))
    assert [path.name for path in pictures] == ["cat.png", "sea.png"]
    assert len(failures) == 1 and "broken.png" in failures[0].reason
    with pytest.raises(InputError, match=r"broken\.png"):
        finish(open_pictures([tmp_path / "b" / "broken.png"], Frame(16, 16)))


def test_long_names_of_pictures_are_cut_and_stay_apart(tmp_path: Path) -> None:
    stems = "c" * 148, "s" * 144, "s" * 143 + "t"
    paths = [tmp_path / f"{stem}.png" for stem in stems]
    for shade, path in enumerate(paths):
        Image.new("RGB", (8, 8), (shade,) * 3).save(path)
    out = tmp_path / "out"
    names = written(start(paths[:1], paths[1:], out))
    assert len(set(names)) == 2 and all(name.startswith(f"{stems[0]}_stylized_sss") for name in names)
    assert written(start(paths[:1], paths[1:], out)) == []


def test_results_in_the_folder_of_contents_are_no_contents(tmp_path: Path, files: list[Path]) -> None:
    """Else each run goes on from the last one's pictures; one that is named outright is meant."""
    out = files[0].parent
    names = ["cat_stylized_sea.png"]
    assert written(start([out], files[2:], out)) == names
    again = start([out], files[2:], out)
    assert next(event for event in again if isinstance(event, Planned)) == Planned(1, 1, 0)
    assert any("1 pictures that were made in" in event.text for event in again if isinstance(event, Remark))
    assert written(start([out / names[0]], files[2:], out)) == ["cat_stylized_sea_stylized_sea.png"]
    files[0].unlink()
    with pytest.raises(InputError, match="were made there; choose another --output"):
        start([out], files[2:], out)


def test_an_output_that_ends_in_png_is_the_file_of_one_pair(tmp_path: Path, files: list[Path]) -> None:
    out = tmp_path / "deep" / "mixed.png"
    assert written(start(files[:1], files[2:], out)) == ["mixed.png"]
    before = contents_of(out.parent)
    assert list(before) == ["mixed.png"], "and no contact sheet"
    assert written(start(files[:1], files[2:], out)) == []
    assert contents_of(out.parent) == before
    with pytest.raises(InputError, match=r"mixed\.png' was made with settings\.share = 0\.5, not 0\.25; --overwrite"):
        start(files[:1], files[2:], out, share=0.25)
    for several in (files[:2], [files[1].parent]):
        with pytest.raises(ValueError, match=r"mixed\.png' is one file: give one content and one style, or name"):
            start(several, files[2:], out)
    with pytest.raises(InputError, match=r"is one file, and there are 2 pairs: name a folder"):
        start(files[:1], [files[1].parent], out)


def test_two_pictures_become_output_png_where_nothing_else_is_said(
    tmp_path: Path, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = make_method_command(METHOD)
    rest = ["--model", str(GOLDEN / "diffusers_folder"), "--width", "16", "--height", "16"]
    pair = [f"--content-file-path={files[0]}", "--style-file-path", str(files[2])]
    assert command.main([*pair, *rest], "toy") == 0
    assert Image.open(tmp_path / "output.png").size == (16, 16)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "output.png"]
    with pytest.raises(InputError, match=r"output\.png' .*--overwrite"):
        command.main([f"--content={files[1]}", f"--style={files[2]}", *rest], "toy")
    with pytest.raises(
        InputError, match=r"'output\.png', the output where none is named, is one file: .* name a folder as output"
    ):
        command.main(["--content", *map(str, files[:2]), f"--style={files[2]}", *rest], "toy")
