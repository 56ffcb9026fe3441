"""Files that are whole or absent, and locks that end with their process."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from jstyle.errors import InputError
from jstyle.files import check_output, locked, replacing, write_text


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
    with pytest.raises(InputError, match=r"cannot write '.*/file/a': (File exists|Not a directory); free some space"):
        write_text(tmp_path / "file" / "a", "x")


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
