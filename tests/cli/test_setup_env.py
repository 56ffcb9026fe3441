"""scripts/setup_env.sh: an environment that was copied along with the checkout is not this one's."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "setup_env.sh"


def is_made_elsewhere(folder: Path) -> bool:
    command = f"source {SCRIPT}; if made_elsewhere; then echo yes; else echo no; fi"
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=True)
    return {"yes\n": True, "no\n": False}[done.stdout]


def write_pip(folder: Path, head: str = "#!{}/.venv/bin/python3.11\n") -> None:
    (folder / ".venv" / "bin" / "pip").write_text(head.format(folder))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with a .venv as venv makes it."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", ".venv"], cwd=folder, check=True)
    write_pip(folder)
    return folder


def test_an_environment_in_its_place(checkout: Path, tmp_path: Path) -> None:
    assert not is_made_elsewhere(checkout)
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / ".venv").symlink_to(checkout / ".venv")
    assert not is_made_elsewhere(tmp_path / "link")  # shared, not copied
    assert not is_made_elsewhere(tmp_path)  # none yet


@pytest.mark.parametrize(
    "head",
    [
        "#!{}/.venv/bin/python3.11\n",
        # where the path has a space, or is too long for the system
        "#!/bin/sh\n'''exec' \"{}/.venv/bin/python\" \"$0\" \"$@\"\n' '''\n",
        "#!/bin/sh\n'''exec' {}/.venv/bin/python \"$0\" \"$@\"\n' '''\n",
    ],
)
def test_a_copy_and_a_move_are_noticed(checkout: Path, tmp_path: Path, head: str) -> None:
    write_pip(checkout, head)
    assert not is_made_elsewhere(checkout)
    shutil.copytree(checkout, tmp_path / "copy", symlinks=True)
    assert is_made_elsewhere(tmp_path / "copy")
    checkout.rename(tmp_path / "moved")
    assert is_made_elsewhere(tmp_path / "moved")
