"""What a submission is going to cost, and whether its pictures are made again alike."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from jstyle.competition.plan import Measured, describe_plan
from jstyle.errors import InputError
from jstyle.events import Failure
from jstyle.jobs.engine import Engine
from jstyle.jobs.step_times import StepTimes
from jstyle.pictures import images
from jstyle.pictures.finished import write_picture
from jstyle.workers.pictures import PictureWorker
from tests.competition.submissions import (
    MODEL,
    RECIPE,
    count_at_the_unet,
    make,
    plan,
    run,
    said,
    submission,
    write_recipe,
)

pytestmark = pytest.mark.usefixtures("workers_find_the_project")


def test_what_is_planned_is_what_it_costs(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        RECIPE
        + '      Watch: {sampler: pndm, guidance: 1.0, start: null}\n  "00": {start: {strength: 0.5}, steps: 5}\n'
    )
    text = text.replace(
        "      Watch", "      Tree: {finish: {method: styleid, settings: {steps: 3, features: recompute}}}\n      Watch"
    )
    made = plan(data, tmp_path / "out", text)
    worker = PictureWorker(model=str(MODEL))
    seen = count_at_the_unet(worker, monkeypatch)
    for task in made.tasks:
        seen.clear()
        worker.run(task.to_task().data)
        assert sum(seen) == made.evaluations[task.name], task.name
    assert made.evaluations["02/Watch.png"] == 4
    assert made.evaluations["00/Dolphin.png"] == 4


def test_the_plan_says_what_and_how_long(data: Path, tmp_path: Path) -> None:
    made = plan(data, tmp_path / "out")
    unfinished = submission(data, tmp_path / "out").read_progress(overwrite=False).unfinished
    times = StepTimes("a model", 0, tmp_path / "times.json")
    assert times.read() is None
    assert "no time was measured" in describe_plan(made, unfinished, 0, Measured(times.read(), 0.0, 0))
    for seconds in (300.0, 120.0, 110.0):
        times.add(seconds, 10)
    times.add(5.0, 0)  # a picture that cost nothing more
    times.save()
    known = StepTimes("a model", 0, tmp_path / "times.json").read()
    assert known == 12.0
    assert StepTimes("a model", 2, tmp_path / "times.json").read() is None
    count = sum(made.evaluations.values())
    text = describe_plan(made, unfinished, 0, Measured(known, 0.0, 0))
    assert f"about {count * 12 // 60} min" in text
    with_trainings = describe_plan(made, unfinished, 0, Measured(known, 3600.0, 0))
    assert f"about 1 h {count * 12 // 60:02d} min (12 s an evaluation, as measured here; 1 h 00 min" in with_trainings
    assert "without the trainings" in describe_plan(made, unfinished, 0, Measured(known, None, 0))
    assert "5 pictures of 32x32 in 2 styles" in text
    assert "1 from mean (0.7), then styleid: ddim, 3 steps, guidance 2" in text
    events = run(data, tmp_path / "out", plan=True)
    assert not (tmp_path / "out").exists()
    assert f"{count} UNet evaluations to do, {count} in all" in said(events)


def test_a_model_that_is_not_here_is_planned_with(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is fetched, and pictures that are there are neither in the way nor taken for finished."""
    make(submission(data, tmp_path / "out"))
    monkeypatch.setattr(socket, "socket", lambda *_, **__: pytest.fail("the network was asked"))
    lines = said(run(data, tmp_path / "out", plan=True, model="nobody/has-this"))
    assert lines[0].startswith("nobody/has-this is not wholly on this machine, and a plan fetches nothing")
    count = sum(plan(data, tmp_path / "out").evaluations.values())
    assert "0 finished before, 5 to make (0 of them damaged)" in lines
    assert f"{count} UNet evaluations to do, {count} in all" in lines


def test_verify_makes_pictures_again_and_compares(data: Path, tmp_path: Path) -> None:
    ours = submission(data, tmp_path / "out")
    make(ours)
    events = run(data, tmp_path / "out", verify=3)
    assert not (tmp_path / "out" / "verify").exists()
    lines = said(events)
    assert [line.endswith(": the same") for line in lines] == [True, True, True, False]
    assert lines[-1] == "all are the same"
    name = lines[0].partition(":")[0]
    image = images.open_image(ours.pictures / name)
    red, green, blue = image.getpixel((0, 0))  # type: ignore[misc]
    image.putpixel((0, 0), (red, (green + 100) % 256, blue))
    (task,) = (task for task in plan(data, tmp_path / "out").tasks if task.name == name)
    write_picture(image, task.output, task.spec)  # as another machine might have made it
    (failure,) = [event for event in run(data, tmp_path / "out", verify=3) if isinstance(event, Failure)]
    assert failure.subject == name
    assert failure.reason in ("differs by up to 100 of 255", "differs by up to 156 of 255")


def test_verify_takes_finished_pictures_alone(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    ours = submission(data, folder)
    made = make(ours)
    for name in made[1:]:
        (ours.pictures / name).unlink()
    assert said(run(data, folder, verify=5)) == [f"{made[0]}: the same", "all are the same"]

    def refuse(*_: object) -> None:
        raise AssertionError("the engine is started")

    monkeypatch.setattr(Engine, "run", refuse)
    write_recipe(data, RECIPE.replace("guidance: 2.0", "guidance: 3.0"))
    with pytest.raises(InputError, match=r"was made with guidance = 2\.0, not 3\.0"):
        run(data, folder, verify=1)
    (ours.pictures / made[0]).unlink()
    with pytest.raises(InputError, match="no picture is finished"):
        run(data, folder, verify=1)
