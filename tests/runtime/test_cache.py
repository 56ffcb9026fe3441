"""Where what is compiled lies, and what decides that it is compiled anew: nothing that has only another name."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jstyle.runtime import StartError, cache, jt, own_jittor

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Names of made-up caches stay here, and the variables that decisions are left in are as they were afterwards."""
    monkeypatch.setattr(cache, "NAMES", tmp_path / "names")
    for name in ("JSTYLE_CACHE", "JITTOR_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "names").mkdir()
    return tmp_path / "names"


# ---- the place


def test_it_is_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache.cache_folder() == tmp_path / ".cache/jstyle"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.cache_folder() == tmp_path / "xdg/jstyle"
    monkeypatch.setenv("JITTOR_HOME", str(tmp_path / "jittor"))
    assert cache.cache_folder() == tmp_path / "jittor/.cache/jstyle"
    monkeypatch.setenv("JSTYLE_CACHE", str(tmp_path / "said"))
    assert cache.cache_folder() == tmp_path / "said"


def test_where_it_cannot_be_written_the_next_place_is_taken_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JSTYLE_CACHE", "/proc/nowhere")
    assert cache.cache_folder() == cache.cache_folder() == tmp_path / ".cache/jstyle"
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "/proc/nowhere" in said and "set JSTYLE_CACHE" in said
    assert os.environ["JSTYLE_CACHE"] == str(tmp_path / ".cache/jstyle"), "a process started from here says it again"

    for name in ("JSTYLE_CACHE", "HOME"):
        monkeypatch.setenv(name, "/proc/nowhere")
    monkeypatch.setattr(cache.tempfile, "gettempdir", lambda: str(tmp_path))
    assert cache.cache_folder() == tmp_path / f"jstyle-{os.getuid()}"
    assert (tmp_path / f"jstyle-{os.getuid()}").stat().st_mode & 0o777 == 0o700


def test_no_place_at_all_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/proc/nowhere")
    monkeypatch.setattr(cache.tempfile, "gettempdir", lambda: "/proc/nowhere")
    with pytest.raises(StartError, match="set JSTYLE_CACHE to a folder"):
        cache.cache_folder()


def test_a_temporary_folder_that_others_can_write_to_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = tmp_path / f"jstyle-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    assert cache.temporary_folder() is None
    folder.rmdir()
    folder.symlink_to(tmp_path)
    assert cache.temporary_folder() is None


# ---- its name


def test_a_folder_keeps_its_name_under_other_names_and_elsewhere(tmp_path: Path) -> None:
    folder, other = tmp_path / "home", tmp_path / "link"
    folder.mkdir()
    other.symlink_to(folder)
    name = cache.name_for(folder)
    assert name.samefile(folder) and tmp_path / "home" not in name.parents
    assert cache.name_for(other) == name

    moved = folder.rename(tmp_path / "moved")
    before = (moved / "name").stat()
    assert cache.name_for(moved) == name and name.samefile(moved)
    after = (moved / "name").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)  # others may be reading it
    assert sorted(path.name for path in moved.iterdir()) == ["name"]


def test_a_copy_gets_a_name_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    name = cache.name_for(tmp_path / "home")
    copy = Path(shutil.copytree(tmp_path / "home", tmp_path / "copy"))
    assert cache.name_for(copy) != name
    assert cache.name_for(copy).samefile(copy) and name.samefile(tmp_path / "home")
    assert cache.name_for(copy) == cache.name_for(copy)


def test_without_a_safe_name_it_is_called_what_it_is_called(
    names: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "home"
    folder.mkdir()
    cache.name_for(folder).parent.chmod(0o777)  # others might lead it to their own libraries
    assert cache.name_for(folder) == folder
    monkeypatch.setattr(cache, "NAMES", Path("/proc/nowhere"))
    assert cache.name_for(folder) == folder


# ---- what is compiled


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up Jittor in an environment."""
    folder = tmp_path / "environment/jittor"
    (folder / "src").mkdir(parents=True)
    (folder / "src/op.h").write_text("int x;")
    monkeypatch.setattr(own_jittor, "find_package", lambda name: folder)
    return folder


def compiler(path: Path, version: str) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)
    return str(path)


def test_names_of_folders_do_not_decide(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gcc = compiler(tmp_path / "bin/g++", "g++ 12")
    (tmp_path / "links").symlink_to(tmp_path / "bin")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    ours = own_jittor.prepare(cache.name_for(tmp_path / "one"), gcc)
    assert (ours.packages / "jittor/src/op.h").read_text() == "int x;"

    environment = Path(shutil.copytree(package, tmp_path / "another/place/jittor"))
    (environment / "__pycache__").mkdir()
    (environment / "__pycache__/op.pyc").touch()
    monkeypatch.setattr(own_jittor, "find_package", lambda name: environment)
    monkeypatch.setenv("HOME", str(tmp_path / "another"))
    monkeypatch.chdir(tmp_path / "another")
    other = own_jittor.prepare(cache.name_for(tmp_path / "two"), str(tmp_path / "links/g++"))
    assert (other.key, other.packages.name, other.compiler) == (ours.key, ours.packages.name, ours.compiler)
    assert other.headers.name == ours.headers.name and (other.headers / "Python.h").is_file()


def test_the_path_decides_where_there_is_no_lasting_name(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jittor compiles anew what it finds under another path, so two paths would take turns under one key."""
    gcc = compiler(tmp_path / "bin/g++", "g++ 12")
    (tmp_path / "home").mkdir()
    named = own_jittor.prepare(cache.name_for(tmp_path / "home"), gcc)
    plain, other = (own_jittor.prepare(tmp_path / name, gcc) for name in ("home", "elsewhere"))
    assert len({named.key, plain.key, other.key}) == 3
    assert own_jittor.prepare(tmp_path / "home", gcc).key == plain.key


def test_what_changes_the_machine_code_decides(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gcc = compiler(tmp_path / "bin/g++", "g++ 12")

    def key() -> str:
        return own_jittor.prepare(tmp_path / "cache", gcc).key

    keys = [key()]
    compiler(tmp_path / "bin/g++", "g++ 13")
    keys.append(key())
    for name in ("cc_flags", "JT_SYNC"):
        monkeypatch.setenv(name, "1")
        keys.append(key())
    monkeypatch.setattr(own_jittor.toolchain, "processor_features", lambda: ("avx9",))
    keys.append(key())
    monkeypatch.setattr(own_jittor.sys, "version", "3.10")
    keys.append(key())
    (package / "src/op.h").write_text("int y;")
    keys.append(key())
    assert len(set(keys)) == 7


def test_the_import_leaves_the_process_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("cc_path", raising=False)
    monkeypatch.setenv("cache_name", "mine")
    own = own_jittor.OwnJittor(tmp_path, tmp_path / "packages", tmp_path, "/usr/bin/g++", "key")
    before = dict(os.environ), list(sys.path), platform.platform(), platform.node(), os.path.realpath
    with own_jittor.imported_from(own):
        assert os.environ["cache_name"] == "mine/key" and os.environ["HOME"] == str(tmp_path)
        assert platform.node() not in ("", before[3]) and sys.path[0] == str(own.packages)
    assert before == (dict(os.environ), list(sys.path), platform.platform(), platform.node(), os.path.realpath)


def test_paths_below_the_cache_are_not_resolved(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "name").symlink_to(tmp_path / "real")
    (tmp_path / "other").symlink_to(tmp_path / "real")
    (tmp_path / "real/nvcc").symlink_to("/bin/sh")
    with own_jittor.paths_kept(tmp_path / "name"):
        assert os.path.realpath(f"{tmp_path}/name/x.cc") == f"{tmp_path}/name/x.cc"
        assert os.path.realpath(f"{tmp_path}/other/x.cc") == f"{tmp_path}/real/x.cc"
        assert not os.path.islink(os.path.realpath(f"{tmp_path}/name/nvcc"))


# ---- the real thing, from the Jittor that these tests have compiled


COMPUTE = """
import json, os
from jstyle.runtime import jt
from jstyle import ops
doubled = ops.add(jt.ones((3,)), jt.ones((3,))).numpy().tolist()
import jittor
assert jittor is jt
print(json.dumps([doubled, jt.flags.cache_path, jt.flags.python_path, os.environ["HOME"]]))
"""


def compiled_files(folder: Path) -> dict[str, int]:
    """Jittor itself, its oneDNN operators and ours; other processes may compile more small operators meanwhile."""
    files = [*folder.glob("*.so"), *folder.glob("obj_files/*.o"), *folder.glob("custom_ops/*.so")]
    return {str(file): file.stat().st_mtime_ns for file in files}


def test_another_home_name_and_environment_and_checkout_compile_nothing(tmp_path: Path) -> None:
    flags = jt.flags
    own = own_jittor.find_package("jittor").parent
    folder = next(path for path in Path(flags.cache_path).parents if path.name == "jittor" and path.is_symlink())
    (tmp_path / "link").symlink_to(folder.resolve().parent)
    for name in own_jittor.PACKAGES:
        shutil.copytree(own / name, tmp_path / "environment" / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "jstyle", tmp_path / "checkout/jstyle", ignore=shutil.ignore_patterns("__pycache__"))
    before = compiled_files(Path(flags.cache_path))
    environ = {**os.environ, "JSTYLE_CACHE": str(tmp_path / "link"), "PYTHONPATH": str(tmp_path / "environment")}
    command = [sys.executable, "-c", COMPUTE]
    ran = subprocess.run(command, env=environ, cwd=tmp_path / "checkout", capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == [[2.0, 2.0, 2.0], flags.cache_path, flags.python_path, str(tmp_path)]
    assert compiled_files(Path(flags.cache_path)) == before
    assert not (tmp_path / ".cache").exists()


def test_a_jittor_that_the_program_has_imported_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    from jstyle.runtime import start

    monkeypatch.setattr(start, "import_own", lambda _: pytest.fail("imported another"))
    assert start.start() is jt
