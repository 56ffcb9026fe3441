"""The same tasks give the same results whatever runs them, also when workers die."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from jstyle.errors import InputError
from jstyle.jobs.compiled_once import compiled_once
from jstyle.jobs.engine import Engine
from jstyle.jobs.local import Share, run_in_processes, share_cores
from jstyle.jobs.task import ATTEMPTS, Done, Failed, Outcome, Task, WorkerSpec
from jstyle.runtime import cache
from jstyle.runtime.start_error import StartError

ROOT = Path(__file__).resolve().parents[2]
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")
HERE, TWO, RAY = Engine(), Engine(workers=2), Engine("ray", workers=2)
ENGINES = [
    pytest.param(HERE, id="here"),
    pytest.param(TWO, id="processes"),
    pytest.param(RAY, id="ray", marks=needs_ray),
]


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    """Marks of compiled kinds stay here."""
    if "[ray]" in request.node.name:  # Ray's workers start Jittor, which a new home would compile anew
        request.getfixturevalue("cluster")
        yield
        return
    monkeypatch.setenv("JSTYLE_CACHE", str(tmp_path / "cache"))
    yield
    name = tmp_path / "cache" / "jittor" / "name"
    if name.exists():  # the name by which the cache is called, which nobody else uses
        shutil.rmtree(cache.NAMES / f"jstyle-{name.read_text()}", ignore_errors=True)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """One Ray for all tests that want it; starting one takes seconds."""
    import ray

    ray.init("local", num_cpus=2, include_dashboard=False)
    yield
    ray.shutdown()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shared").mkdir()
    return tmp_path / "shared"


def squares(count: int, **data: Any) -> list[Task]:
    return [Task(f"square {number}", {"number": number, **data}) for number in range(count)]


def squarer(folder: Path) -> WorkerSpec:
    return WorkerSpec("tests.jobs.workers:Squarer", {"folder": str(folder), "plus": 1})


def results(outcomes: Iterator[Outcome]) -> dict[str, Any]:
    """Task name -> square, or the error."""
    found = {}
    for one in outcomes:
        assert one.task.name not in found
        found[one.task.name] = one.result["square"] if isinstance(one, Done) else one.error
    return found


def names(folder: Path, start: str) -> list[str]:
    return sorted(path.name for path in folder.glob(f"{start}_*"))


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_gives_every_result_once(engine: Engine, folder: Path) -> None:
    tasks = squares(7, sleep=0.05)
    outcomes = list(engine.run(squarer(folder), tasks))
    assert {one.task.name for one in outcomes} == {task.name for task in tasks}
    assert all(isinstance(one, Done) and one.seconds >= 0.05 for one in outcomes)
    assert results(iter(outcomes)) == {f"square {number}": number**2 + 1 for number in range(7)}
    workers = max(1, engine.workers)
    assert len(names(folder, "built")) == workers  # weights are loaded once a worker, not once a task
    assert len(names(folder, "begun")) == 7


@pytest.mark.parametrize("engine", ENGINES[1:])
def test_workers_run_the_code_of_their_parent(
    engine: Engine, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever copy of the project lies in the current folder, or is found first by a new Python."""
    (tmp_path / "other" / "jstyle").mkdir(parents=True)
    (tmp_path / "other" / "jstyle" / "__init__.py").write_text("raise SystemExit('another copy')")
    monkeypatch.chdir(tmp_path / "other")
    others = [str(tmp_path / "other"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(others))
    assert results(engine.run(squarer(folder), squares(2))) == {"square 0": 1, "square 1": 2}


@pytest.mark.parametrize("engine", ENGINES)
def test_an_exception_fails_its_task_alone_and_is_not_tried_again(engine: Engine, folder: Path) -> None:
    tasks = [
        *squares(2),
        Task("input", {"number": 8, "wrong": "input"}),
        Task("defect", {"number": 9, "wrong": "defect"}),
    ]
    assert results(engine.run(squarer(folder), tasks)) == {
        "square 0": 1,
        "square 1": 2,
        "input": "the task's data is wrong",
        "defect": "RuntimeError: a defect in two lines",
    }
    assert len(names(folder, "begun")) == 4


@pytest.mark.parametrize("engine", ENGINES[1:])
def test_the_task_of_a_worker_that_died_is_run_again(engine: Engine, folder: Path) -> None:
    tasks = squares(6, sleep=0.05)
    tasks[2] = Task("square 2", {"number": 2, "die": "once"})
    assert results(engine.run(squarer(folder), tasks)) == {f"square {number}": number**2 + 1 for number in range(6)}
    assert len(names(folder, "begun_2")) == 2
    assert len(names(folder, "built")) == 3  # the two and the dead one's successor


@pytest.mark.parametrize("engine", ENGINES[1:])
def test_a_task_that_kills_every_worker_fails_in_the_end(engine: Engine, folder: Path) -> None:
    tasks = [*squares(3), Task("poison", {"number": 7, "die": "always"})]
    outcomes = list(engine.run(squarer(folder), tasks))
    failed = [one for one in outcomes if isinstance(one, Failed)]
    assert [(one.task.name, one.attempts) for one in failed] == [("poison", ATTEMPTS)]
    assert "its worker died each time" in failed[0].error
    assert len(outcomes) == 4
    assert len(names(folder, "begun_7")) == ATTEMPTS


@pytest.mark.parametrize("engine", ENGINES)
def test_a_worker_that_cannot_be_built_is_one_line(engine: Engine) -> None:
    with pytest.raises(InputError, match="no model 'nowhere'"):
        list(engine.run(WorkerSpec("tests.jobs.workers:Unbuildable"), squares(3)))
    for path in ("tests.jobs.workers:Missing", "no.such.module:Worker", "tests.jobs.workers"):
        with pytest.raises(InputError, match="there is no worker"):
            list(engine.run(WorkerSpec(path), squares(1)))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_machine_on_which_jittor_cannot_start_is_told_as_that(engine: Engine, folder: Path) -> None:
    for spec in (WorkerSpec("tests.jobs.unstartable:Worker"), WorkerSpec("tests.jobs.workers:Unstartable")):
        with pytest.raises(StartError, match=r"^there is no compiler$"):
            list(engine.run(spec, squares(1)))
    with pytest.raises(StartError, match=r"^there is no compiler$"):
        list(engine.run(squarer(folder), squares(1, wrong="start")))


@pytest.mark.parametrize("engine", ENGINES[1:])
def test_workers_that_die_while_they_are_built(engine: Engine) -> None:
    with pytest.raises(InputError, match=r"die[ds]? before"):
        list(engine.run(WorkerSpec("tests.jobs.workers:Stillborn"), squares(30)))


def test_leaving_early_ends_the_workers(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    list(HERE.run(squarer(tmp_path_factory.mktemp("first")), squares(1)))  # a kind's first task would run alone
    tasks = [Task(str(number), {"number": number, "sleep": 3600 * bool(number)}) for number in range(9)]
    outcomes = run_in_processes(squarer(folder), tasks, share_cores(2))
    assert isinstance(next(outcomes), Done)
    outcomes.close()  # type: ignore[attr-defined]  (it would wait an hour for the others)
    for name in names(folder, "built"):
        with pytest.raises(ProcessLookupError):
            os.kill(int(name.split("_")[1]), 0)


def test_a_worker_that_is_told_to_end_may_save_what_it_has(folder: Path, capfd: pytest.CaptureFixture) -> None:
    spec = WorkerSpec("tests.jobs.workers:Patient", {"folder": str(folder)})
    outcomes = run_in_processes(spec, [Task(str(number), {"number": number}) for number in range(2)], share_cores(1))
    assert isinstance(next(outcomes), Done)
    while not (folder / "begun_1").exists():
        time.sleep(0.01)
    outcomes.close()  # type: ignore[attr-defined]
    assert len(names(folder, "saved")) == 1
    assert "Traceback" not in capfd.readouterr().err


def test_workers_end_when_the_process_that_started_them_is_killed(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    list(HERE.run(squarer(tmp_path_factory.mktemp("first")), squares(1)))  # a kind's first task would run alone
    program = (
        "import sys; sys.argv = ['-m'];"  # so that importing jstyle does not start Jittor, as for `python -m jstyle...`
        "from jstyle.jobs.engine import Engine; from jstyle.jobs.task import *;"
        f"spec = WorkerSpec('tests.jobs.workers:Squarer', {{'folder': {str(folder)!r}}});"
        "tasks = [Task(str(n), {'number': n, 'sleep': 99 * bool(n)}) for n in range(9)];"
        "[print(one.task.name, flush=True) for one in Engine(workers=2).run(spec, tasks)]"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    parent.stdout.readline()
    parent.kill()
    parent.wait()
    alive = [int(name.split("_")[1]) for name in names(folder, "built")]
    deadline = time.monotonic() + 120
    while alive and time.monotonic() < deadline:
        alive = [process for process in alive if Path(f"/proc/{process}").exists() and _is_running(process)]
        time.sleep(0.1)
    assert alive == []


def test_a_worker_whose_parent_is_gone_before_it_listens_ends(folder: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    how = {"path": "tests.jobs.workers:Squarer", "arguments": {"folder": str(folder)}, "cores": [], "parent": gone.pid}
    task = {"name": "0", "data": {"number": 0, "sleep": 60}, "kind": ""}
    command = [sys.executable, "-c", "from jstyle.jobs.server import main; main()"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
    process.communicate(f"{json.dumps(how)}\n{json.dumps(task)}\n")
    assert process.returncode == -signal.SIGTERM


def _is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split(") ")[1][0] != "Z"
    except OSError:
        return False


def test_workers_share_the_cores(folder: Path) -> None:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("one core cannot be shared")
    outcomes = [one for one in TWO.run(squarer(folder), squares(6, sleep=0.1)) if isinstance(one, Done)]
    seen = {tuple(one.result["cores"]) for one in outcomes}
    assert len(seen) == 2
    assert sorted(core for one in seen for core in one) == cores
    assert all(int(one.result["threads"]) == len(one.result["cores"]) for one in outcomes)


def test_shares() -> None:
    cores = sorted(os.sched_getaffinity(0))
    assert share_cores(1) == [Share(tuple(cores))]
    assert share_cores(0, ("0", "3")) == [Share(device="0"), Share(device="3")]
    with pytest.raises(InputError, match="processor cores"):
        share_cores(len(cores) + 1)


def test_the_first_task_of_a_kind_runs_alone(folder: Path) -> None:
    spec = WorkerSpec("tests.jobs.workers:Overlap", {"folder": str(folder)})
    tasks = [Task(str(number), {}, kind="new") for number in range(2)]
    first = [one.result["overlap"] for one in TWO.run(spec, tasks) if isinstance(one, Done)]
    assert first == [False, False]
    tasks = [Task(str(number), {}, kind="new") for number in range(6)]
    second = [one.result["overlap"] for one in TWO.run(spec, tasks) if isinstance(one, Done)]
    assert any(second)  # the kind is known by now


def test_a_rehearsal_runs_alone_and_its_tasks_do_not(folder: Path) -> None:
    spec = WorkerSpec("tests.jobs.workers:Rehearsing", {"folder": str(folder)})
    tasks = [Task(str(number), {}, kind="new") for number in range(2)]
    others = [one.result["others"] for one in TWO.run(spec, tasks) if isinstance(one, Done)]
    assert [name.split("_")[2] for name in names(folder, "rehearsed")] == ["False"]
    assert len(others) == 2 and any(others)
    failing = [Task("wrong", {"wrong": True}, kind="other"), Task("right", {}, kind="other")]
    outcomes = list(HERE.run(spec, failing))
    assert isinstance(outcomes[0], Failed) and outcomes[0].error == "the rehearsal went wrong"
    assert isinstance(outcomes[1], Done)
    assert len(names(folder, "rehearsed")) == 2  # the last two in this process, under one name


def test_a_failure_leaves_the_kind_unmarked() -> None:
    with pytest.raises(RuntimeError), compiled_once("kind"):
        raise RuntimeError("interrupted")
    for kind, is_first in (("kind", True), ("kind", False), ("other", True)):
        with compiled_once(kind) as first:
            assert first == is_first


def test_a_mark_is_of_what_one_compiler_has_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "another").write_text("#!/bin/sh\necho another compiler\n")
    (tmp_path / "another").chmod(0o755)
    ours = shutil.which("g++") or "g++"
    for compiler, is_first in ((ours, True), (str(tmp_path / "another"), True), (ours, False)):
        monkeypatch.setenv("cc_path", compiler)
        with compiled_once("kind") as first:
            assert first == is_first


def test_no_tasks_start_no_workers(folder: Path) -> None:
    for engine in (HERE, TWO, RAY):
        assert list(engine.run(squarer(folder), [])) == []
    assert names(folder, "built") == []


def test_tasks_are_plain_data() -> None:
    task = Task("name", {"a": [1, 2.5, None], "b": {"c": "d"}}, "kind")
    assert Task(**json.loads(json.dumps({"name": task.name, "data": task.data, "kind": task.kind}))) == task


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_it_says_what_to_install(folder: Path) -> None:
    with pytest.raises(InputError, match=r"pip install 'jstyle\[ray\]'"):
        list(RAY.run(squarer(folder), squares(1)))
