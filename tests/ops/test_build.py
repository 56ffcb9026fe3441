"""The kernel library: built once, under a lock, for this source, compiler and processor; missed with one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jstyle.ops.kernels import build

ROOT = Path(__file__).parents[2]
SMALL = "small.cpp"


@pytest.fixture
def small_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library that compiles at once, with a cache of its own."""
    sources = tmp_path / "csrc"
    sources.mkdir()
    (sources / SMALL).write_text('extern "C" void jstyle_set_threads(int) {}\n')
    monkeypatch.setattr(build, "SOURCES", sources)
    monkeypatch.setattr(build, "cache_folder", lambda: tmp_path / "cache")
    return sources


def test_it_is_compiled_once(small_source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = build.library()
    written = file.stat().st_mtime_ns
    assert build.library() == file and file.stat().st_mtime_ns == written
    assert capsys.readouterr().err.count("Compiling the kernels") == 1
    assert sorted(path.name for path in file.parent.iterdir()) == ["libjstyle_kernels.so", "lock"]


def test_another_source_compiler_or_processor_gets_a_library_of_its_own(
    small_source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {build.key("g++")}
    monkeypatch.setattr(build, "processor_features", lambda: ("avx2",))
    keys.add(build.key("g++"))
    with open(small_source / SMALL, "a") as stream:
        stream.write("\n")
    keys.add(build.key("g++"))
    other = small_source.parent / "compiler"
    other.write_text("#!/bin/sh\necho another\n")
    other.chmod(0o755)
    keys.add(build.key(str(other)))
    assert len(keys) == 4


def test_two_processes_at_once_build_one_library(small_source: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from jstyle.ops.kernels import build, library\n"
        f"build.SOURCES, folder = Path({str(small_source)!r}), Path({str(tmp_path / 'cache')!r})\n"
        "build.cache_folder = lambda: folder; library.set_threads(1); print('loaded')"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    outcomes = [process.communicate() for process in processes]
    assert [out for out, _ in outcomes] == ["loaded\n"] * 2, outcomes
    assert sum(err.count("Compiling the kernels") for _, err in outcomes) == 1


def test_a_moved_cache_works(small_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = build.library().stat().st_mtime_ns
    (tmp_path / "cache").rename(tmp_path / "moved")
    monkeypatch.setattr(build, "cache_folder", lambda: tmp_path / "moved")
    assert build.library().stat().st_mtime_ns == written


def test_a_failing_compiler_is_one_line_and_leaves_nothing(small_source: Path) -> None:
    (small_source / SMALL).write_text("this is not C++\n")
    with pytest.raises(build.BuildError, match="could not compile the kernels: .*error") as caught:
        build.library()
    assert "\n" not in str(caught.value)
    assert [path.name for path in (build.cache_folder() / build.key(build.find_compiler(os.environ))).iterdir()] == [
        "lock"
    ]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("processor_features", lambda: ("sse2",), "AVX2"),
        ("find_compiler", None, "compiler cc_path=no-such-compiler is not there"),
    ],
)
def test_a_machine_without_what_it_needs(
    name: str, value: object, message: str, small_source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if value is None:
        monkeypatch.setenv("cc_path", "no-such-compiler")
    else:
        monkeypatch.setattr(build, name, value)
    with pytest.raises(build.BuildError, match=message):
        build.library()


def run_python(code: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **environ}, capture_output=True, text=True
    )


SUM = "from jstyle import ops; from jstyle.runtime import jt; print(ops.add(jt.ones((2,)), jt.ones((2,))).numpy())"


def test_where_the_kernels_cannot_be_had_plain_jittor_computes(tmp_path: Path) -> None:
    refused = "from jstyle.ops.kernels import build; build.NEEDED = 'avx9'; "
    ran = run_python(refused + SUM, JSTYLE_OPS="fused")
    assert ran.stdout == "[2. 2.]\n", ran.stderr
    assert ran.stderr.count("jstyle: Plain Jittor computes, slowly: the kernels need a processor with AVX9.") == 1


def test_where_they_cannot_be_kept_plain_jittor_computes() -> None:
    nowhere = "from jstyle.ops.kernels import build; build.key = lambda compiler: '/proc/nowhere'; "
    ran = run_python(nowhere + SUM, JSTYLE_OPS="fused")
    assert ran.stdout == "[2. 2.]\n", ran.stderr
    assert ran.stderr.count("Plain Jittor computes, slowly: cannot write to /proc/nowhere (") == 1
    assert ran.stderr.count("\n") == 1 and "set JSTYLE_CACHE" in ran.stderr


def test_they_can_be_switched_off() -> None:
    ran = run_python(SUM, JSTYLE_OPS="reference")
    assert ran.stdout == "[2. 2.]\n" and ran.stderr == ""


def test_an_empty_choice_is_none() -> None:
    ran = run_python(SUM, JSTYLE_OPS="")
    assert ran.stdout == "[2. 2.]\n" and not ran.returncode, ran.stderr


def test_an_unknown_choice_is_named() -> None:
    ran = run_python(SUM, JSTYLE_OPS="fast")
    assert ran.returncode and "JSTYLE_OPS is 'fast'; set it to fused or reference" in ran.stderr
