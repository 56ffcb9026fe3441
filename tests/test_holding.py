"""One run at a time in a folder, whatever became of the one before."""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jstyle.errors import InputError
from jstyle.files import identify_host, name_part
from jstyle.holding import LOCK, held

HOLDER = """
import sys
from pathlib import Path
from jstyle.holding import held
with held(Path(sys.argv[1])):
    print("there", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen]:
    """Another process that works in a folder until it is told to end."""
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "there\n"
        yield process
        process.kill()


def test_the_second_run_is_told_who_works_there(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with holder(folder) as process:
        with pytest.raises(InputError) as caught, held(folder):
            pass
        said = f"process {process.pid} on {platform.node()} works in {str(folder)!r}: wait until it has ended"
        assert str(caught.value).startswith(said)
        assert os.listdir(folder) == [LOCK]  # the refused one has taken nothing from it
        with pytest.raises(InputError), held(folder):
            pass
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.wait() == 0
    assert os.listdir(tmp_path) == []
    with held(folder):
        pass


def test_a_killed_run_keeps_nobody_out_and_what_it_left_is_removed(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        (tmp_path / "made").mkdir()
        for part in (name_part(tmp_path / "a"), name_part(tmp_path / "made" / "b")):
            part.mkdir()
            (part / "half").touch()
        (tmp_path / "made" / ".hidden.part").touch()
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert len(os.listdir(tmp_path)) == 3
        with held(tmp_path):
            assert sorted(os.listdir(tmp_path)) == [LOCK, "made"]
    assert os.listdir(tmp_path / "made") == [".hidden.part"]  # not ours
    assert os.listdir(tmp_path) == ["made"]


def test_one_process_cannot_have_it_twice(tmp_path: Path) -> None:
    with held(tmp_path):
        with pytest.raises(InputError, match=f"process {os.getpid()}, this one, works in"), held(tmp_path / "."):
            pass
        with pytest.raises(subprocess.CalledProcessError):  # what was refused has not let go of the lock either
            subprocess.run([sys.executable, "-c", HOLDER, str(tmp_path)], check=True, input="", text=True)
        with held(tmp_path / "within"):
            pass
    with held(tmp_path):
        pass


def test_after_an_error_it_is_free_and_only_what_was_made_stays(tmp_path: Path) -> None:
    for made in ((), ("picture",)):
        with pytest.raises(KeyboardInterrupt), held(tmp_path / "a" / "b"):
            for name in made:
                (tmp_path / "a" / "b" / name).touch()
            raise KeyboardInterrupt
        assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == list(made)
        assert (tmp_path / "a").exists() == bool(made)


@pytest.mark.parametrize(
    ("owner", "is_free"),
    [
        ("", True),
        ("half", True),
        (f"process 999999999 on here\n{identify_host()}\n", True),
        (f"process {os.getppid()} on here\n{identify_host()}\n", False),
        ("process 1 on there\n00000000\n", False),
    ],
)
def test_where_there_are_no_locks_the_owner_in_the_file_counts(
    owner: str, is_free: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", lock)
    (tmp_path / LOCK).write_text(owner)
    if is_free:
        with held(tmp_path):
            assert (tmp_path / LOCK).read_text() == f"process {os.getpid()} on {platform.node()}\n{identify_host()}\n"
        assert os.listdir(tmp_path) == []
    else:
        said = f"process .* works in .*; if it does not, remove '.*{LOCK}'"
        with pytest.raises(InputError, match=said), held(tmp_path):
            pass


def test_where_nothing_can_be_written_it_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder" / LOCK).mkdir(parents=True)
    for name, said in (("file", "is a file, not a folder"), ("folder", "cannot write to '.*folder': Is a directory")):
        with pytest.raises(InputError, match=said), held(tmp_path / name):
            pass
