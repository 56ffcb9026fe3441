"""Files that are whole or absent, and locks that end with their process."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from jstyle.errors import InputError
from jstyle.files import (
    check_output,
    check_output_file,
    fit_name,
    identify_host,
    locked,
    make_folder,
    name_part,
    replacing,
    scratch_folder,
    sweep_all,
    sweep_dead,
    write_text,
)


def test_a_file_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["a.txt"]


def test_a_folder_takes_the_place_of_an_empty_one_alone(tmp_path: Path) -> None:
    for inside, refused in (([], False), (["kept"], True)):
        path = tmp_path / str(refused)
        path.mkdir()
        for name in inside:
            (path / name).touch()
        try:
            with replacing(path) as part:
                part.mkdir()
                (part / "made").touch()
        except InputError as error:
            assert refused and str(path) in str(error)
        assert os.listdir(path) == (["kept"] if refused else ["made"])
    assert len(os.listdir(tmp_path)) == 2


@pytest.mark.parametrize("folder", [True, False])
def test_after_a_failure_nothing_is_left(tmp_path: Path, folder: bool) -> None:
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "a") as part:
        part.mkdir() if folder else part.touch()
        raise KeyboardInterrupt
    assert not os.listdir(tmp_path)


def test_a_name_that_just_fits_can_be_written(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / ("n" * 255), "é")
    assert (tmp_path / "new" / ("n" * 255)).read_bytes() == "é".encode()


def test_what_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot make the folder '.*/file': File exists; choose another output"):
        write_text(tmp_path / "file" / "a", "x")


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    for place in (tmp_path / "file", tmp_path / "file" / "a", tmp_path / "link", tmp_path / ("n" * 300)):
        with pytest.raises(InputError, match="^cannot make the folder '.*': .*; choose another output$"):
            make_folder(place)


@pytest.mark.parametrize("check", [check_output, check_output_file])
@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31mb", "a\x7f", "a\u2028b", "a\x85b"])
def test_no_output_gets_a_name_that_no_terminal_shows(check: Any, name: str, tmp_path: Path) -> None:
    for path in (tmp_path / name, tmp_path / name / "inside.png"):
        with pytest.raises(InputError, match="has line ends or control characters; choose another output") as caught:
            check(path)
        assert str(caught.value).isprintable()
    (tmp_path / name).mkdir()  # what is there is its owner's business
    check(tmp_path / name / "inside.png")
    for usual in ("straße", "画 1", "a\u00a0b", "e\u0301", "\udcff"):
        check(tmp_path / usual)


def test_a_device_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="is neither a file nor a folder"), replacing(pipe) as part:
        part.touch()
    with pytest.raises(InputError, match="is neither a file nor a folder"):
        check_output_file(pipe)
    assert pipe.is_fifo() and len(os.listdir(tmp_path)) == 1


def taken(lock: Path) -> bool:
    """Whether another process has to wait for the lock."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(1)  # ends it
        with locked(lock):
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def test_a_lock_keeps_others_out_until_it_is_let_go(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"):
        assert taken(tmp_path / "lock")
    assert not taken(tmp_path / "lock")


@pytest.mark.parametrize("ending", ["returns", "is killed"])
def test_a_process_that_was_forked_inside_does_not_keep_the_lock(tmp_path: Path, ending: str) -> None:
    reader, writer = os.pipe()
    holder = os.fork()
    if holder == 0:
        with locked(tmp_path / "lock"):
            child = os.fork()
            if child == 0:
                time.sleep(60)  # as Jittor's compilers wait for work
                os._exit(0)
            os.write(writer, f"{child}\n".encode())
            if ending == "is killed":
                os.kill(os.getpid(), signal.SIGKILL)
        os._exit(0)
    child = int(os.read(reader, 20))
    os.waitpid(holder, 0)
    try:
        os.kill(child, 0)
        assert not taken(tmp_path / "lock")
    finally:
        os.kill(child, signal.SIGKILL)
        os.close(reader)
        os.close(writer)


def test_where_results_cannot_lie_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path, tmp_path / "new" / "newer"):
        check_output(folder)
    assert os.listdir(tmp_path) == ["file"]
    for name, said in (
        ("file", "file' is a file, not a folder"),
        ("file/new", "file' is a file, not a folder"),
        ("n" * 300, "File name too long"),
    ):
        with pytest.raises(InputError, match=f"{said}.*choose another output"):
            check_output(tmp_path / name)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="link' is a link to nothing"):
        check_output(tmp_path / "link" / "new")


def test_what_the_dead_have_left_goes_and_what_others_write_stays(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        name_part(tmp_path / "a").touch()
        os._exit(0)
    os.waitpid(child, 0)
    (left,) = tmp_path.iterdir()
    assert f"-{child}-" in left.name
    days = {f".00000000-{child}-{'0' * 16}.part": 0.9, f".00000000-{child}-{'1' * 16}.part": 1.1}
    for name, age in days.items():  # of another machine
        (tmp_path / name).mkdir()
        changed = time.time() - age * 86400
        os.utime(tmp_path / name, (changed, changed))
    mine, parents = name_part(tmp_path / "a"), f".{identify_host()}-{os.getppid()}-{'0' * 16}.part"
    kept = {mine.name, parents, ".a.part", ".part", f".{identify_host()}-{child}-x.part", min(days)}
    for name in kept - set(days):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / left.name).touch()
    sweep_dead(tmp_path)
    assert set(os.listdir(tmp_path)) == kept | {"below"} and os.listdir(tmp_path / "below")
    sweep_all(tmp_path)
    assert set(os.listdir(tmp_path)) == kept - {mine.name, parents, min(days)} | {"below"}
    assert not os.listdir(tmp_path / "below")
    sweep_dead(tmp_path / "no such folder")


def test_a_name_is_cut_where_no_file_could_have_it_and_two_stay_two(tmp_path: Path) -> None:
    for stem in ("a" * 251, "é" * 125, "a"):
        assert fit_name(stem, ".png") == f"{stem}.png"
    long = [f"{'a' * 148}_stylized_{'b' * 144}{end}" for end in ("", "2", "3")]
    long += ["é" * 150, "龍" * 100, "\udcff" * 256]
    names = [fit_name(stem, ".png") for stem in long]
    assert len(set(names)) == len(long) and names == [fit_name(stem, ".png") for stem in long]
    for stem, name in zip(long, names):
        (tmp_path / name).touch()
        assert name.endswith(".png") and (stem.startswith("\udcff") or name.startswith(stem[:70]))
    assert sorted(os.listdir(tmp_path)) == sorted(names)


def test_a_scratch_folder_goes_whatever_happens(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), scratch_folder(tmp_path / "a") as folder:
        (folder / "b").touch()
        raise KeyboardInterrupt
    assert not os.listdir(tmp_path)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="a folder that even root cannot write to, on Linux")
@pytest.mark.parametrize("check", [check_output, check_output_file])
def test_whether_results_can_be_written_is_tried(check: Any) -> None:
    for place in (Path("/proc/x"), Path("/proc/x/y.png")):
        with pytest.raises(InputError, match="^(cannot|there is no permission to) write to '/proc'.*another output$"):
            check(place)
