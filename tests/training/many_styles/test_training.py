"""Styles are trained to the same bits by any engine, after any interruption; finished ones stay, failures are told."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jstyle import StableDiffusionPipeline
from jstyle.errors import InputError
from jstyle.events import Evaluated, Event, Failure, PictureWritten, Planned, Remark, StyleTaught, Updated
from jstyle.files import name_part
from jstyle.jobs.engine import Engine
from jstyle.pictures import images
from jstyle.pictures.spec import AdapterSpec
from jstyle.runtime import jt
from jstyle.training.many_styles import record
from jstyle.training.many_styles.job import TrainingJob
from jstyle.training.many_styles.times import TrainingTimes
from jstyle.training.report import read_log
from jstyle.training.teaching.attaching import attach_all
from jstyle.training.teaching.table import list_attachable
from tests.competition.folders import write_data
from tests.methods.inst.small import write_model
from tests.telling import only
from tests.training.many_styles.small import MODEL, RECIPE, ROOT, results, teach, train, training, write


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worker processes find the project's packages where it is not installed anew."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("trained") / "data")


@pytest.fixture(scope="module")
def here(data: Path) -> TrainingJob:
    """Both styles, trained in this process without an interruption."""
    one = training(data, data.parent / "here")
    assert [type(event) for event in train(one)] == [StyleTaught, StyleTaught]
    return one


def steps(folder: Path) -> list[int]:
    return [record["step"] for record in read_log(folder)] if (folder / "log.jsonl").exists() else []


def test_two_workers_that_are_ended_and_a_second_run_give_the_same_bits(
    data: Path, here: TrainingJob, tmp_path: Path
) -> None:
    one = training(data, tmp_path)
    events = one.run(Engine(workers=2), one.read_progress(overwrite=False).todo)
    first = next(event for event in events if isinstance(event, StyleTaught)).name
    (other,) = {"00", "02"} - {first}  # the short one is first, unless its worker starts very late
    while not steps(tmp_path / other):
        time.sleep(0.01)
    events.close()
    progress = one.read_progress(overwrite=False)
    assert first in [training.style for training in progress.finished]
    for interrupted in progress.todo:
        saved = [path.name for path in (tmp_path / interrupted.style / "checkpoint").iterdir()]
        assert len(saved) == 1 and int(saved[0].split("-")[1]) >= 1  # though the recipe asks for one at the end alone
        if steps(tmp_path / interrupted.style)[-1] < interrupted.steps:  # else it was ended while it wrote its result
            assert "interrupted; run the same command to go on" in one.find_log(interrupted.style).read_text()
    assert progress.begun == len(progress.todo)
    assert [type(event) for event in train(one)] == [StyleTaught] * len(progress.todo)
    assert results(one) == results(here)
    assert not one.read_progress(overwrite=False).todo


def test_a_damaged_result_is_made_again_from_its_checkpoint(data: Path, here: TrainingJob, tmp_path: Path) -> None:
    one = training(data, tmp_path, only=["00"])
    train(one)
    file = tmp_path / one.trainings[0].result
    whole = file.read_bytes()
    for damaged in (whole[:-1] + bytes([whole[-1] ^ 1]), whole[:-20]):
        file.write_bytes(damaged)
        found = one.read_progress(overwrite=False)
        assert (len(found.todo), found.damaged) == (1, 1)
        train(one)
        assert file.read_bytes() == whole == results(here)["00"]


def test_other_settings_are_refused_or_train_anew(data: Path, here: TrainingJob, tmp_path: Path) -> None:
    one = training(data, tmp_path, only=["00"])
    train(one)
    other = training(data, tmp_path, changes={"rank": 3}, only=["00"])
    with pytest.raises(InputError, match=r"00': it was trained with rank = 2, not 3; --overwrite trains it anew"):
        other.read_progress(overwrite=False)
    before = results(one)
    assert before == {"00": results(here)["00"]}
    train(other, overwrite=True)
    assert results(other) != before and steps(tmp_path / "00") == [1, 2]
    states = [record.read_state(job.trainings[0], tmp_path) for job in (one, other)]
    assert states == ["other", "finished"]


def test_a_finished_style_is_made_longer(data: Path, tmp_path: Path) -> None:
    """It goes on from its checkpoint to the bits of one that was as long at once, and is known by the new identity."""
    short, long = (training(data, tmp_path / "a", changes={"loop": {"steps": n}}, only=["00"]) for n in (2, 4))
    train(short)
    progress = long.read_progress(overwrite=False)
    ((_, ahead),) = long.plan_work(progress.todo)
    assert progress.describe(ahead).endswith("0 finished before, 1 to train (1 to make longer), 2 training steps")
    assert [type(event) for event in train(long)] == [StyleTaught] and steps(tmp_path / "a" / "00") == [1, 2, 3, 4]
    at_once = training(data, tmp_path / "b", changes={"loop": {"steps": 4}}, only=["00"])
    train(at_once)
    assert results(long) == results(at_once) and long.trainings[0].identity == at_once.trainings[0].identity
    assert not long.read_progress(overwrite=False).todo
    with pytest.raises(InputError, match="it was trained with loop.steps = 4, not 2; --overwrite"):
        short.read_progress(overwrite=False)


@pytest.mark.parametrize(("method", "drawn"), [("lora", 0), ("dreambooth", 1)])
def test_what_is_planned_is_what_a_training_then_does(method: str, drawn: int, data: Path, tmp_path: Path) -> None:
    """Validation sheets and the class's pictures among it; what was drawn before is not ahead."""
    sheets = {"validation_prompts": ["a house", "a boat"], "validation_every": 1, "validation_steps": 3}
    one = training(data, tmp_path, method=method, changes=sheets, only=["00"])
    work = one.plan_work(one.trainings)
    events = list(one.run(Engine(), one.trainings))
    counts = [sum(event.count for event in only(events, kind)) for kind in (Updated, Evaluated)]
    assert counts == [2, work[0][1].evaluations] and counts[1] >= 2 * 2 * 3 * 2 + drawn * 2 * 2
    assert events[0] == Planned(updates=2, evaluations=counts[1])
    assert all(event.count > 0 for event in only(events, Evaluated))
    ((_, nothing),) = one.plan_work(one.trainings)
    assert (nothing.updates, nothing.evaluations) == (0, 0)
    (time,) = (TrainingTimes(0).estimate(work),)
    assert time is not None and time > 0


def test_a_style_of_another_schedule_or_rank_is_not_made_longer(data: Path, tmp_path: Path) -> None:
    loops = [{"steps": n, "schedule": "cosine"} for n in (2, 4)]
    first, longer = (training(data, tmp_path / "a", changes={"loop": loop}, only=["00"]) for loop in loops)
    train(first)
    with pytest.raises(InputError, match=r"loop.steps = 2, not 4 \(a cosine schedule depends on them.*--overwrite"):
        longer.read_progress(overwrite=False)
    train(training(data, tmp_path / "b", only=["00"]))
    other = training(data, tmp_path / "b", changes={"rank": 3, "loop": {"steps": 4}}, only=["00"])
    with pytest.raises(InputError, match="it was trained with "):
        other.read_progress(overwrite=False)


@pytest.mark.parametrize("method", [name for name in list_attachable() if name != "lora"])
def test_every_method_gives_what_its_loader_puts_on_a_model_and_takes_off(
    method: str, data: Path, tmp_path: Path
) -> None:
    changes = {"image_encoder": str(write_model(tmp_path / "sees"))} if method == "inst" else {}
    one = training(data, tmp_path, method=method, changes=changes, only=["00"])
    (event,) = train(one)
    assert isinstance(event, StyleTaught), event
    pipe = StableDiffusionPipeline.from_pretrained(str(MODEL))
    prompt = "a house in <s-00>"

    def latents() -> np.ndarray:
        return pipe(prompt, 32, 32, num_inference_steps=2, output_type="latent", seed=1).images

    before, (run,) = latents(), one.trainings
    adapter, files = AdapterSpec(method, run.identity), {run.identity: tmp_path / run.result}
    with attach_all(pipe, [adapter], files):
        assert np.abs(latents() - before).max() > 1e-5
    assert (latents() == before).all()
    for wrong, said in (
        (replace(adapter, weight=0.5), r"the weight of a .* must be 1, not 0\.5"),
        (replace(adapter, kind="magic"), r"no kind of adapter 'magic' \(there are: textual_inversion, inst, lora"),
    ):
        with pytest.raises(InputError, match=said), attach_all(pipe, [wrong], files):
            pass


def test_a_trained_text_encoder_comes_with_its_unet(tmp_path: Path) -> None:
    pipe = StableDiffusionPipeline.from_pretrained(str(MODEL))
    before = pipe.encode_texts("a house").numpy()
    with jt.no_grad():
        for parameter in pipe.text_encoder.parameters():
            parameter.assign(parameter + 0.1)
    taught = pipe.encode_texts("a house").numpy()
    pipe.save_pretrained(tmp_path / "model")
    pipe = StableDiffusionPipeline.from_pretrained(str(MODEL))
    file = tmp_path / "model" / "unet" / "diffusion_pytorch_model.safetensors"
    with attach_all(pipe, [AdapterSpec("fine_tuning", "it")], {"it": file}):
        assert (pipe.encode_texts("a house").numpy() == taught).all() and (taught != before).any()
    assert (pipe.encode_texts("a house").numpy() == before).all()


def test_a_run_tells_what_failed_draws_the_rest_and_goes_on(data: Path, tmp_path: Path) -> None:
    text = RECIPE.replace("steps: 40", "steps: 3")
    recipe = write(tmp_path, text + '  "00": {prompt: "a {nmae}"}\n')
    out = tmp_path / "out"
    events = teach(data=data, recipe=recipe, output=out)
    (failure,) = only(events, Failure)
    log = out / "00" / "train.log"
    assert failure.subject == "00" and failure.reason.startswith("the prompt 'a {nmae}' cannot be filled in")
    assert failure.reason.endswith(f"see {log}") and "cannot be filled in" in log.read_text()
    assert only(events, StyleTaught) == [StyleTaught("02", out / "02" / "pytorch_lora_weights.safetensors")]
    assert only(events, Remark)[-1].text == f"1 of 2 styles are in {out}"
    sheets = out / "sheets"
    assert [path.name for path in sheets.iterdir()] == ["02.png"]
    written = [out / "02" / side / "00.png" for side in ("before", "after")]
    assert only(events, PictureWritten) == [PictureWritten(path) for path in (*written, sheets / "02.png")]
    before, after = (images.open_image(out / "02" / side / "00.png") for side in ("before", "after"))
    assert before.size == after.size == (32, 32) and before.tobytes() != after.tobytes()
    kept = {path: path.stat().st_mtime_ns for path in (out / "02").rglob("*.*")}
    write(tmp_path, text)
    half = name_part(sheets / "a")  # as a killed process leaves it
    half.write_bytes(b"half a picture")
    events = teach(data=data, recipe=recipe, output=out)
    assert not only(events, Failure) and "1 finished before, 1 to train" in only(events, Remark)[0].text
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert sorted(path.name for path in sheets.iterdir()) == ["00.png", "02.png"]
    assert_bars_are_filled(events)


def test_in_this_process_each_update_is_told(data: Path, here: TrainingJob, tmp_path: Path) -> None:
    one = training(data, tmp_path, only=["00"])
    events = list(one.run(Engine(), one.read_progress(overwrite=False).todo))
    losses = [record["loss"] for record in read_log(tmp_path / "00")]
    sheet = PictureWritten(tmp_path / "00" / "validation-000002.png")
    updates = [Updated("00", 1, loss) for loss in losses]
    result = StyleTaught("00", tmp_path / one.trainings[0].result)
    assert len(losses) == 2 and [event for event in events if event != sheet] == [
        Planned(updates=2), *updates, Updated("00", 0), result
    ]  # fmt: skip


def test_what_is_recorded_names_no_folder(here: TrainingJob) -> None:
    for each in here.trainings:
        text = (here.root / each.place / record.RECORD).read_text("utf-8")
        assert str(here.root.parent) not in text and str(MODEL) not in text
        names = sorted(path.name for path in each.settings.data)
        assert sorted((record.read_record(here.root / each.place) or {})["pictures"]) == names


def assert_bars_are_filled(events: list[Event]) -> None:
    """What each plan has announced has been done when the next one comes, or the end."""
    ahead = 0
    for event in events:
        if isinstance(event, Planned):
            assert ahead == 0
            ahead = event.evaluations + event.updates
        elif isinstance(event, (Evaluated, Updated)):
            ahead -= event.count
    assert ahead == 0


def test_a_run_plans(data: Path, tmp_path: Path) -> None:
    inputs = {"data": data, "recipe": write(tmp_path), "output": tmp_path / "out", "plan": True}
    said = [event.text for event in only(teach(**inputs, styles=("00-27",), set=("loop.warmup=1",)), Remark)]
    assert said[0] == "2 styles to teach: 0 finished before, 2 to train, 42 training steps"
    assert said[1] == "4 pictures to draw for sheets, 16 UNet evaluations"  # before and after, guided, 2 steps
    assert "measured" in said[2] and len(said) == 3
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="there is no method 'magic'"):
        teach(**inputs, method="magic")
    with pytest.raises(InputError, match="there is no style '03'"):
        teach(**inputs, styles=("03",))


@pytest.mark.parametrize("method", ["lora", "dreambooth", "inst"])
def test_a_model_that_is_not_here_is_planned_with_and_nothing_is_fetched(
    method: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finished style of another model is in the place, of which it is not known whether it is this one."""
    recipe = write(tmp_path, RECIPE.replace("inst: {", "inst: {image_encoder: nobody/sees-nothing, "))
    monkeypatch.setattr(socket, "socket", lambda *_, **__: pytest.fail("the network was asked"))
    inputs = {"data": data, "recipe": recipe, "method": method, "output": tmp_path / "out", "styles": ("00",)}
    if method == "lora":
        teach(**inputs)
    said = [event.text for event in only(teach(**inputs, model="nobody/has-this", plan=True), Remark)]
    assert said[0].startswith("nobody/has-this is not wholly on this machine, and a plan fetches nothing: its digests")
    assert said[1].startswith("1 styles to teach: 0 finished before, 1 to train, 2 training steps")
    assert ("6 UNet evaluations" in said[1]) == (method == "dreambooth")  # PNDM's third call, guided


def test_without_data_the_samples_are_styles(tmp_path: Path) -> None:
    event = teach(recipe=write(tmp_path), output=tmp_path / "out", plan=True)[0]
    assert event.text.startswith(f"{len(list((ROOT / 'samples' / 'style').glob('*.png')))} styles to teach")  # type: ignore[union-attr]


def test_a_failure_is_told(data: Path, tmp_path: Path) -> None:
    one = training(data, tmp_path, changes={"prompt": "{x}"}, only=["00"])
    (event,) = train(one)
    assert isinstance(event, Failure)
    assert record.read_state(one.trainings[0], tmp_path) in ("missing", "begun")
