"""How Jittor's operators are compiled once it has been started."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from jstyle.runtime import jt, operators

pytestmark = pytest.mark.skipif(jt.compiler.cc_type != "g++" or sys.platform != "linux", reason="needs g++ on Linux")


def called(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What stands where Jittor calls Python."""
    return subprocess.run([*shlex.split(jt.flags.python_path), *arguments], capture_output=True, text=True)


def test_an_operator_is_compiled_with_the_header_read_beforehand(tmp_path: Path) -> None:
    source, made = tmp_path / "x_op.cc", tmp_path / "x_op.o"
    source.write_text('#define JIT 1\n#include "var.h"\nint length(jittor::Var* x) { return x->shape.size(); }\n')
    flags = [*shlex.split(jt.flags.cc_flags), "-Winvalid-pch", "-Werror=invalid-pch", "-H", "-c"]
    ran = called("/jittor/utils/asm_tuner.py", f"--cc_path={jt.flags.cc_path}", str(source), *flags, "-o", str(made))
    assert ran.returncode == 0, ran.stderr
    assert set(tmp_path.iterdir()) == {source, made}
    assert ran.stderr.startswith("! ") and "operator.h.gch" in ran.stderr.splitlines()[0]
    assert "var.h" not in ran.stderr, "it was in the compiled header already"


def test_jittors_other_scripts_are_run_by_python() -> None:
    assert called("-c", "import sys; print(sys.argv[1:])", "a b").stdout == "['a b']\n"


def test_operators_come_out_of_it() -> None:
    x = jt.array([0.0, 0.25, -2.0])
    assert (jt.tanh(x * 2 + 1) - x).numpy() == pytest.approx([0.761594, 0.655148, 1.004945], abs=1e-6)


@pytest.mark.parametrize("jittor", [{"cc_path": "false"}, {"cache_path": "/proc/nowhere"}])
def test_where_it_cannot_be_prepared_jittors_own_way_is_kept(jittor: dict[str, str], tmp_path: Path) -> None:
    flags = SimpleNamespace(**{"cc_path": "g++", "cc_flags": "", "python_path": "python", "cache_path": str(tmp_path)})
    vars(flags).update(jittor)
    operators.compile_directly(SimpleNamespace(flags=flags, compiler=jt.compiler), jt.compiler.jit_utils)
    assert flags.python_path == "python"


def test_numpy_knows_its_limits_though_operators_flush_subnormal_numbers() -> None:
    code = """
import warnings
warnings.simplefilter("error")
from jstyle.runtime import jt
jt.randn(3).numpy()
import numpy as np
assert np.float32(1e-40) * np.float32(1) == 0, "subnormal numbers are kept: there is nothing to look after"
print(np.finfo(np.float32).bits, np.finfo(np.float64).bits)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stdout == "32 64\n", ran.stderr


def test_environments_share_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JSTYLE_PYTHON", "")
    names = ("cc_path", "cc_flags", "cache_path")
    flags = SimpleNamespace(python_path="/another/bin/python", **{name: getattr(jt.flags, name) for name in names})
    operators.compile_directly(SimpleNamespace(flags=flags, compiler=jt.compiler), jt.compiler.jit_utils)
    assert flags.python_path == jt.flags.python_path


def test_checkouts_share_an_operator_with_equal_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operators, "jittor_folder", lambda: tmp_path)
    asked: list[list[str]] = []
    jittor = SimpleNamespace(compile_custom_ops=asked.append)
    for name, text in (("one", "int x;"), ("two", "int x;"), ("three", "int y;")):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "x_op.h").write_text("#include <string>")
        (tmp_path / name / "deep/common.h").write_text(text)
        operators.compile_operators(jittor, tmp_path / name, ["x_op.h"], included=["deep/common.h"])
    assert asked[0] == asked[1] != asked[2]
    assert [Path(paths[0]).parent.joinpath("deep/common.h").read_text() for paths in asked[1:]] == ["int x;", "int y;"]
