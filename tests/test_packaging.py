"""What is installed works without the checkout: built from what is committed, in an empty folder, without network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

import jstyle

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("jstyle", "styleid", "style_align", "configs", "docs/pypi.md", "LICENSE", "MANIFEST.in")
SOURCES = (*SOURCES, "pyproject.toml", "setup.py", *(file.name for file in ROOT.glob("requirements*.txt")))
NO_NETWORK = """
import os, socket

def refuse(*arguments, **options):
    with open(os.environ["CALLS"], "a") as file:
        print(arguments[1:] or arguments, file=file)
    raise OSError("a test refuses the network")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse
"""
needs_setuptools = pytest.mark.skipif(
    find_spec("setuptools") is None or int(version("setuptools").split(".")[0]) < 77 or find_spec("pip") is None,
    reason="pip, or a setuptools that knows today's pyproject.toml, is not installed (requirements-dev.txt)",
)


def run(*command: object, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    words = list(map(str, command))
    return subprocess.run(
        words, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=600
    )


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive, built where nothing lies about that is not committed."""
    source, output = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("sdist")
    for name in SOURCES:
        (source / name).parent.mkdir(exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, source / name)
    code = f"from setuptools import build_meta; build_meta.build_sdist({str(output)!r})"
    done = run(sys.executable, "-c", code, folder=source)
    assert done.returncode == 0, done.stderr
    return next(output.glob("*.tar.gz"))


@pytest.fixture(scope="module")
def wheel(sdist: Path) -> Path:
    """The wheel, built from the source archive alone."""
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    done = run(sys.executable, "-m", "pip", "wheel", *options, "-w", sdist.parent, sdist, folder=sdist.parent)
    assert done.returncode == 0, done.stderr
    return next(sdist.parent.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which the wheel is installed."""
    folder = tmp_path_factory.mktemp("installed")
    options = ("--no-deps", "--no-index", "--no-compile", "--disable-pip-version-check")
    done = run(sys.executable, "-m", "pip", "install", *options, "--target", folder, wheel, folder=folder)
    assert done.returncode == 0, done.stderr
    return folder


def run_installed(installed: Path, folder: Path, *words: object, **environment: str) -> str:
    """What the console command prints, run in ``folder`` by the installed code."""
    path = os.pathsep.join(filter(None, [environment.pop("FIRST", ""), str(installed)]))
    done = run(sys.executable, installed / "bin" / "jstyle", *words, folder=folder, PYTHONPATH=path, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_setuptools
def test_the_wheel_holds_what_runs_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    kept = {name for name in names if ".dist-info/" not in name}
    packages = [file for name in ("jstyle", "styleid", "style_align") for file in (ROOT / name).rglob("*")]
    files = {
        file.relative_to(ROOT).as_posix() for file in packages if file.is_file() and "__pycache__" not in file.parts
    }
    configs = {f"jstyle/configs/{file.name}" for file in (ROOT / "configs").iterdir()}
    assert kept == files | configs
    tops = {name.split("/")[0] for name in names}
    assert tops == {"jstyle", "styleid", "style_align", f"jstyle-{jstyle.__version__}.dist-info"}


@needs_setuptools
def test_the_source_archive_holds_the_configs_and_the_pins(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"configs/{file.name}" for file in (ROOT / "configs").iterdir()} <= names
    assert {"requirements.txt", "LICENSE", "setup.py", "docs/pypi.md"} <= names


@needs_setuptools
def test_what_an_index_shows_does_not_point_into_the_repository(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    text = archive.read(next(name for name in archive.namelist() if name.endswith("/METADATA"))).decode()
    assert f"\nVersion: {jstyle.__version__}\n" in text and "\n# jstyle\n" in text
    targets = re.findall(r"\]\(([^)]*)\)", text) + re.findall(r"(?:src|href)=\"([^\"]*)\"", text)
    assert targets and all(target.startswith("https://") for target in targets)


@needs_setuptools
def test_the_installed_command_answers(installed: Path, tmp_path: Path) -> None:
    assert run_installed(installed, tmp_path, "--version") == f"jstyle {jstyle.__version__}\n"
    assert "styleid" in run_installed(installed, tmp_path, "--help")
    code = "import jstyle; from jstyle.settings.configs import find_config; print(jstyle.__file__, find_config('lora'))"
    done = run(sys.executable, "-c", code, folder=tmp_path, PYTHONPATH=str(installed))
    assert done.stdout.split() == [str(installed / "jstyle" / name) for name in ("__init__.py", "configs/lora.yaml")]
    assert list(tmp_path.iterdir()) == []


@needs_setuptools
@pytest.mark.parametrize("network", [True, False], ids=["as it is", "without network"])
def test_the_installed_command_makes_pictures(installed: Path, tmp_path: Path, network: bool) -> None:
    """With the embedded model, which asks nobody for anything."""
    folder, calls = tmp_path / "empty", tmp_path / "calls"
    folder.mkdir()
    environment = {}
    if not network:
        (tmp_path / "sitecustomize.py").write_text(NO_NETWORK)
        environment = {"HF_HUB_OFFLINE": "1", "FIRST": str(tmp_path), "CALLS": str(calls)}
    words = ("--config", "styleid", "--content", ROOT / "samples" / "content" / "still_life.png", "--output", "made")
    words += ("--style", ROOT / "samples" / "style" / "woodcut.png", "--steps", 2, "--width", 64, "--height", 64)
    shown = run_installed(installed, folder, "styleid", *words, **environment)
    assert "1 pair, 0 of them finished before" in shown
    assert [path.name for path in (folder / "made").glob("*stylized*")] == ["still_life_stylized_woodcut.png"]
    assert [path.name for path in folder.iterdir()] == ["made"]
    assert not calls.exists(), calls.read_text()


def test_the_network_can_be_refused(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_NETWORK)
    code = "import urllib.request; urllib.request.urlopen('http://localhost:9')"
    environment = {"PYTHONPATH": str(tmp_path), "CALLS": str(tmp_path / "calls")}
    done = run(sys.executable, "-c", code, folder=tmp_path, **environment)
    assert "a test refuses the network" in done.stderr and (tmp_path / "calls").exists()
