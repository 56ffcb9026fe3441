"""InST on pictures: what it makes and leaves behind, and the run that learns styles first."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import jstyle
from jstyle import InST, StableDiffusionPipeline
from jstyle.cli.main import main
from jstyle.errors import InputError
from jstyle.events import Evaluated, Event, Failure, PictureFound, PictureWritten, Planned, Remark, Updated
from jstyle.files import hash_files
from jstyle.methods.inst import METHOD, run
from jstyle.methods.inst.inputs import InstInputs
from jstyle.methods.inst.settings import InstSettings, InstTraining, InstTrainSettings
from jstyle.methods.inst.styles import Style, is_learnt, plan_trainings, read_style
from jstyle.networks import UNet2DConditionModel
from jstyle.pictures import images, png_texts
from jstyle.pipelines.cost import count_evaluations
from jstyle.settings.model import ModelSettings
from jstyle.settings.reader import build, plain
from jstyle.settings.yaml_files import read_yaml
from jstyle.training import LoopSettings
from jstyle.training.many_styles.spec import plan_training, read_spec
from jstyle.training.teaching.table import TEACHINGS
from jstyle.weights.description import describe_checkpoint
from tests.methods.inst import small
from tests.methods.inst.small import picture
from tests.parity.networks import GOLDEN

ROOT = Path(__file__).resolve().parents[3]
CONTENTS = [picture(seed) for seed in (5, 6, 7)]


@pytest.fixture(scope="module")
def pipe(model: Path) -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(str(model))


@pytest.fixture(scope="module")
def style(finished: Path) -> Style:
    return read_style(finished.parent, finished.parent)


def settings(**changes: Any) -> InstSettings:
    return InstSettings(**{"steps": 5, "width": 32, "height": 32, **changes})


def stylise(pipe: StableDiffusionPipeline, style: Style, pairs: Any = None, **changes: Any) -> dict:
    """The pictures as arrays, by content."""
    events = InST(pipe, settings(**changes)).stylise_pairs(CONTENTS, [style], pairs)
    results = [event for event in events if not isinstance(event, Evaluated)]
    return {result.content: images.to_array([result.image]) for result in results if result.image is not None}


def test_a_picture_does_not_depend_on_its_batch(pipe: StableDiffusionPipeline, style: Style) -> None:
    alone, together = stylise(pipe, style), stylise(pipe, style, batch_size=3)
    assert sorted(alone) == [0, 1, 2] and np.array_equal(stylise(pipe, style, [(2, 0)])[2], alone[2])
    for content, image in alone.items():
        assert np.abs(together[content] - image).max() <= 2 / 127.5


def test_one_call_is_the_run_of_one_pair(pipe: StableDiffusionPipeline, style: Style, finished: Path) -> None:
    image = jstyle.InST(pipe, settings())(CONTENTS[1], finished.parent)
    assert np.array_equal(images.to_array([image]), stylise(pipe, style, [(1, 0)])[1])


def test_every_option_changes_the_result(pipe: StableDiffusionPipeline, style: Style) -> None:
    plain = stylise(pipe, style, [(0, 0)])[0]
    for change in (
        {"strength": 0.9}, {"steps": 7}, {"guidance": 3.0}, {"prompt": "{token} at night"}, {"adain": False},
        {"inversion": "none"}, {"seed": 1},
    ):  # fmt: skip
        assert not np.array_equal(stylise(pipe, style, [(0, 0)], **change)[0], plain), change
    assert stylise(pipe, style, [(0, 0)], width=48, height=16, fit="crop")[0].shape == (1, 3, 16, 48)


def test_nothing_is_left_on_the_pipeline(pipe: StableDiffusionPipeline, style: Style) -> None:
    """After the end, between two pictures, and where a run is closed in the middle of one."""
    own, tokenizer = pipe.model_hash, pipe.tokenizer
    table = pipe.text_encoder.text_model.embeddings.token_embedding

    def check() -> None:
        assert pipe.model_hash == own and pipe.tokenizer is tokenizer and not pipe.vocabulary.vectors
        assert pipe.text_encoder.text_model.embeddings.token_embedding is table

    for event in InST(pipe, settings()).stylise_pairs(CONTENTS, [style]):
        if not isinstance(event, Evaluated):
            check()
    check()
    events = InST(pipe, settings()).stylise_pairs(CONTENTS, [style])
    assert isinstance(next(events), Evaluated) and list(pipe.vocabulary.vectors) == [style.learnt.token]
    events.close()  # type: ignore[attr-defined]
    check()


@pytest.mark.parametrize("change", [{}, {"inversion": "none"}, {"guidance": 1.0}, {"batch_size": 2}])
def test_what_is_told_and_planned_is_what_goes_through_the_unet(
    pipe: StableDiffusionPipeline, style: Style, monkeypatch: pytest.MonkeyPatch, change: dict
) -> None:
    rows: list[int] = []
    execute = UNet2DConditionModel.execute

    def counted(self: Any, sample: Any, *arguments: Any, **options: Any) -> Any:
        rows.append(sample.shape[0])
        return execute(self, sample, *arguments, **options)

    def start(pipe: StableDiffusionPipeline) -> Any:
        return InST(pipe, settings(**change)).stylise_pairs(CONTENTS, [style])

    monkeypatch.setattr(UNet2DConditionModel, "execute", counted)
    planned = count_evaluations(start, pipe)
    assert not rows and not pipe.vocabulary.vectors
    assert planned == sum(event.count for event in start(pipe) if isinstance(event, Evaluated)) == sum(rows) > 0


def test_a_size_that_the_model_cannot_take(pipe: StableDiffusionPipeline) -> None:
    with pytest.raises(InputError, match="multiple of"):
        InST(pipe, settings(width=33))


TRAINING = InstTraining(loop=LoopSettings(steps=2, rate=1e-3), heads=2, head_width=4)


def start(model: Path, style: Any, out: Path, content: Any = (), training: Any = TRAINING, **changes: Any) -> list:
    """All events of the method's run, as a command starts it."""
    inputs = InstInputs(tuple(style), out, tuple(content), training=training)
    precision = changes.pop("precision", "fp32")
    chosen = settings(**{"steps": 3, **changes})
    return list(METHOD.start(inputs, chosen, ModelSettings(model=str(model), precision=precision)))


def contents_of(folder: Path) -> dict:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def written(events: list[Event]) -> list[str]:
    return [event.path.name for event in events if isinstance(event, PictureWritten)]


def test_from_pictures_to_pictures(
    model: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A style picture is learnt once, with a trained folder beside it; then nothing is done twice, or even loaded."""
    out, sea, ink = tmp_path / "out", tmp_path / "contents" / "sea.png", tmp_path / "ink.png"
    sea.parent.mkdir()
    picture(2).save(sea)
    picture(3).save(ink)
    (sea.parent / "broken.png").write_bytes(b"no picture")
    events = start(model, [ink, finished.parent], out, [sea.parent])
    assert [Path(event.subject).name for event in events if isinstance(event, Failure)] == ["broken.png"]
    names = ["sea_stylized_ink.png", "sea_stylized_whole.png"]
    assert written(events) == names and sorted(contents_of(out)) == ["contact_sheet.png", *names]
    learning, planned = [event for event in events if isinstance(event, Planned)]
    assert learning == Planned(updates=2)
    assert planned == Planned(2, 0, 2 * (1 + 2 * 2))  # the inversion, and two guided steps
    assert sum(event.count for event in events if isinstance(event, Evaluated)) == planned.evaluations
    spec: Any = (png_texts.read_metadata(out / names[0]) or {})["spec"]
    own = spec["settings"]
    assert (spec["method"], own["strength"], own["guidance"], own["seed"]) == ("inst", 0.7, 10.0, 42)
    learnt = out / "styles" / hash_files([ink])[:16]
    assert {"inst.safetensors", "style.png", "loss.png", "log.jsonl"} <= set(contents_of(learnt))
    assert Remark(f"learning the style of {ink} in {learnt}") in events
    (sea.parent / "broken.png").unlink()
    before, times = contents_of(out), {path: path.stat().st_mtime_ns for path in learnt.iterdir()}
    renamed = ink.rename(tmp_path / "ink.PNG")  # the same picture, by its content
    monkeypatch.setattr(StableDiffusionPipeline, "from_settings", lambda *_: pytest.fail("the model was loaded"))
    again = start(model, [renamed, finished.parent], out, [sea.parent])
    monkeypatch.undo()
    assert {event.path for event in again[:2] if isinstance(event, PictureFound)} == {out / name for name in names}
    assert again[2:] == [Planned(2, 2, 0), Remark(f"pictures are in {out}")]
    assert {**contents_of(out), "contact_sheet.png": b""} == {**before, "contact_sheet.png": b""}
    assert {path: path.stat().st_mtime_ns for path in learnt.iterdir()} == times
    with pytest.raises(InputError, match=r"begun with .*dropout = 0\.05, not 0\.2"):
        start(model, [renamed], out, training=replace(TRAINING, dropout=0.2))
    with pytest.raises(InputError, match=r"was made with settings\.strength = 0\.7, not 0\.5; --overwrite"):
        start(model, [finished.parent], out, [sea], strength=0.5)


def test_a_picture_gives_back_the_style_that_was_learnt(model: Path, finished: Path, tmp_path: Path) -> None:
    sea, ink = tmp_path / "sea.png", tmp_path / "ink.png"
    picture(2).save(sea)
    picture(3).save(ink)
    start(model, [ink], tmp_path / "out", [sea])
    made = tmp_path / "out" / "sea_stylized_ink.png"
    learnt = tmp_path / "out" / "styles" / hash_files([ink])[:16]
    ink.unlink()
    words = ["inst", "--from", str(made), "--output"]
    main([*words, str(tmp_path / "again")])
    again = tmp_path / "again" / f"sea_stylized_{learnt.name}.png"
    assert png_texts.read_identity(again) == png_texts.read_identity(made)
    assert again.parent.joinpath("contact_sheet.png").is_file() and not (again.parent / "styles").exists()
    (learnt / "style.png").write_bytes((finished.parent / "style.png").read_bytes())
    with pytest.raises(InputError, match=f"with the style learnt in '{learnt}', whose content was another: --style"):
        main([*words, str(tmp_path / "refused")])
    main([*words, str(tmp_path / "other"), "--style", str(finished.parent)])


def test_styles_alone_are_learnt(model: Path, data: Path, tmp_path: Path) -> None:
    events = start(model, [data], tmp_path / "out")
    assert [type(event) for event in events] == [Remark, Planned, Updated, Updated, Remark]
    assert "1 styles are learnt" in events[-1].text
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["styles"]


def test_a_run_that_is_closed_while_it_learns_goes_on_in_a_thread(model: Path, data: Path, tmp_path: Path) -> None:
    """Without any signal handling of its own; the style ends with the bits of a run that was not closed."""
    method, chosen = InstInputs((data,), tmp_path / "out", training=TRAINING), ModelSettings(model=str(model))
    events = METHOD.start(method, settings(), chosen)
    while not isinstance(next(events), Updated):
        pass
    events.close()
    (folder,) = (tmp_path / "out" / "styles").iterdir()
    assert [path.name for path in (folder / "checkpoint").iterdir()] == ["step-00000001"]
    assert not (folder / "inst.safetensors").exists()
    seen: list[Event] = []
    thread = threading.Thread(target=lambda: seen.extend(METHOD.start(method, settings(), chosen)))
    thread.start()
    thread.join()
    assert [event.count for event in seen if isinstance(event, Updated)] == [1]  # the other was made before
    assert [event.updates for event in seen if isinstance(event, Planned)] == [1]
    start(model, [data], tmp_path / "whole")
    (whole,) = (tmp_path / "whole" / "styles").iterdir()
    assert (folder / "inst.safetensors").read_bytes() == (whole / "inst.safetensors").read_bytes()


def test_a_style_is_learnt_in_what_the_run_computes_in(model: Path, data: Path, tmp_path: Path) -> None:
    """A training takes model, precision and backend of the run, and has no say of its own."""
    inputs = InstInputs((data,), tmp_path, training=TRAINING)
    for precision, backend in (("fp16", "native"), ("fp32", "jdiffusion")):
        chosen = ModelSettings(str(model), precision=precision, backend=backend)  # type: ignore[arg-type]
        learning = run.training_settings(inputs, settings(), chosen)(data, tmp_path)
        assert learning.model == chosen and (learning.width, learning.height) == (32, 32)
    assert not {"model", "precision", "backend"} & set(InstTraining.__dataclass_fields__)


def test_nothing_is_learnt_in_bf16(model: Path, data: Path, finished: Path, tmp_path: Path) -> None:
    """It is refused before the model is loaded; a style that is learnt already needs no training."""
    with pytest.raises(InputError, match="fp32 or fp16.*not bf16.*in a run of its own") as caught:
        start(tmp_path / "no model", [data], tmp_path / "out", precision="bf16")
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="no model"):
        start(tmp_path / "no model", [finished.parent], tmp_path / "out", precision="bf16")


def test_a_model_without_an_image_encoder_is_one_line(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no image encoder; give --image_encoder") as caught:
        start(GOLDEN / "diffusers_folder", [data], tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_what_is_found(model: Path, data: Path, finished: Path, tmp_path: Path) -> None:
    """A training is used where it is of this picture, these settings and this model, and whole."""
    chosen = small.settings(model, data, finished.parent)
    own = describe_checkpoint(chosen.model)
    assert is_learnt(chosen, own) and not is_learnt(chosen, replace(own, model_hash="another"))
    assert not is_learnt(chosen, replace(own, configuration="another"))
    assert not is_learnt(replace(chosen, batch=1), own)
    half = replace(chosen.model, precision="fp16")
    assert not is_learnt(replace(chosen, model=half), own)
    elsewhere = replace(chosen, output=tmp_path)
    assert not is_learnt(elsewhere, own)
    picture(8).save(tmp_path / "other.png")
    assert not is_learnt(replace(chosen, data=(tmp_path / "other.png",)), own)
    for name in ("inst.safetensors", "style.png"):
        (tmp_path / name).write_bytes((finished.parent / name).read_bytes())
    assert is_learnt(elsewhere, own)
    (tmp_path / "inst.safetensors").write_bytes(b"damaged")
    assert not is_learnt(elsewhere, own)


def test_another_encoder_of_the_same_name_learns_another_style(model: Path, data: Path, tmp_path: Path) -> None:
    """By its weights and its configuration; a moved encoder is the same."""
    encoder = Path(shutil.copytree(model / "image_encoder", tmp_path / "a" / "image_encoder"))
    out = tmp_path / "out"

    def settings_through(folder: Path) -> InstTrainSettings:
        return small.settings(model, data, out, image_encoder=str(folder), loop=LoopSettings(steps=1, rate=1e-3))

    def identify(folder: Path) -> str:
        model_settings, values = ModelSettings(str(model)), {"image_encoder": str(folder)}
        training = plan_training(
            TEACHINGS["inst"],
            values,
            style="s",
            pictures=[data],
            model=model_settings,
            checkpoint=describe_checkpoint(model_settings),
        )
        assert read_spec(plain(training.spec)) == training.spec
        return training.identity

    jstyle.train(settings_through(encoder))
    checkpoint, before = describe_checkpoint(ModelSettings(str(model))), identify(encoder)
    assert is_learnt(settings_through(encoder), checkpoint)
    encoder = encoder.rename(tmp_path / "image_encoder")
    assert is_learnt(settings_through(encoder), checkpoint) and identify(encoder) == before
    config = encoder / "config.json"
    text = config.read_text("utf-8")
    config.write_text(text.replace('"layer_norm_eps": 1e-05', '"layer_norm_eps": 1e-04'), "utf-8")
    assert not is_learnt(settings_through(encoder), checkpoint) and identify(encoder) != before
    config.write_text(text, "utf-8")
    assert is_learnt(settings_through(encoder), checkpoint)
    weights = encoder / "model.safetensors"
    arrays = load_file(weights)
    save_file({name: array + 1 for name, array in arrays.items()}, weights)
    assert not is_learnt(settings_through(encoder), checkpoint) and identify(encoder) != before


def test_all_styles_are_looked_at_before_one_is_trained(data: Path, tmp_path: Path) -> None:
    for wrong in (tmp_path, tmp_path / "none.png"):
        with pytest.raises(InputError, match="there is no file|cannot read"):
            plan_trainings([data, wrong], tmp_path, lambda *_: None)  # type: ignore[arg-type, return-value]
        with pytest.raises(InputError, match="there is no file|cannot read"):
            start(tmp_path / "no model", [data, wrong], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("inst*.yaml")), ids=lambda config: config.name)
def test_every_shipped_config_is_valid(config: Path) -> None:
    values = {**read_yaml(config), "style": ["a.png"], "output": "o", "compat": True}

    def part(kind: Any) -> Any:
        return build(kind, {name: values.pop(name) for name in list(values) if name in kind.__dataclass_fields__})

    chosen, model, inputs = part(InstSettings), part(ModelSettings), part(InstInputs)
    assert not values and (chosen.strength, chosen.steps) == (0.7 if config.stem == "inst_sd21" else 0.5, 50)
    made: InstTrainSettings = run.training_settings(inputs, chosen, model)(Path("a.png"), Path("o"))
    assert made.compat and made.flip and made.dropout == 0.05 and made.validation_prompts == ("{token}",)
    if config.name == "inst_sd21.yaml":
        assert (made.loop.steps, made.loop.rate, made.batch, made.loop.clip) == (6100, 1e-4, 1, None)
        assert (chosen.guidance, made.image_encoder) == (10.0, "sd2-community/stable-diffusion-2-1-unclip")


def test_the_contact_sheet_shows_what_was_learnt(finished: Path) -> None:
    assert np.array_equal(np.asarray(read_style(finished, finished.parent).picture), np.asarray(picture(1)))
