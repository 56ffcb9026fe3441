"""How a command ends: expected failures are one line and a code, a defect keeps its traceback."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from jstyle.cli.exit_codes import exit_with
from jstyle.errors import InputError
from jstyle.runtime.start_error import StartError


def exit_of(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    def main() -> int:
        raise error

    with pytest.raises(SystemExit) as caught:
        exit_with(main)
    return caught.value.code, capsys.readouterr().err


def test_expected_failures_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    no_compiler = type("NoCompiler", (StartError,), {})
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a.png")
    quota = OSError(errno.EDQUOT, "Quota exceeded")
    assert exit_of(InputError("a.png is\nempty"), capsys) == (2, "error: a.png is empty\n")
    assert exit_of(StartError("no compiler"), capsys) == (1, "error: no compiler\n")
    assert exit_of(no_compiler("no compiler"), capsys) == (1, "error: no compiler\n")
    assert exit_of(KeyboardInterrupt(), capsys) == (
        130,
        "error: interrupted; the same command goes on from what is finished\n",
    )
    assert exit_of(full, capsys) == (1, "error: No space left on device (a.png): free some space\n")
    assert exit_of(quota, capsys) == (1, "error: Quota exceeded (while writing): free some space\n")


def test_what_is_not_allowed_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    forbidden = PermissionError(errno.EACCES, "Permission denied", "data/00")
    said = "error: there is no permission for 'data/00': allow it, or name another place\n"
    assert exit_of(forbidden, capsys) == (2, said)


@pytest.mark.parametrize("error", [ValueError("a defect"), OSError(errno.EIO, "input/output"), KeyError("x")])
def test_a_defect_keeps_its_traceback(error: Exception) -> None:
    def main() -> int:
        raise error

    with pytest.raises(type(error)) as caught:
        exit_with(main)
    assert caught.value is error


@pytest.mark.parametrize("code", [0, 1])
def test_the_exit_code_is_mains(code: int) -> None:
    with pytest.raises(SystemExit) as caught:
        exit_with(lambda: code)
    assert caught.value.code == code


def test_a_closed_pipe_is_silent() -> None:
    code = "from jstyle.cli.exit_codes import exit_with; exit_with(lambda: print('line\\n' * 100_000) or 0)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout and process.stderr
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141


def test_what_the_terminal_has_no_letters_for_is_written_out() -> None:
    code = "from jstyle.cli.exit_codes import exit_with; exit_with(lambda: print('caf\\xe9 \\udcff') or 0)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}, check=False
    )
    assert (done.returncode, done.stdout) == (0, rb"caf\xe9 \udcff" + b"\n"), done.stderr
