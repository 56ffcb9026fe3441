"""Imports run one way, and no room reaches over another."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Dict, Set

import pytest

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN: Dict[str, Set[str]] = {
    "jstyle": {"styleid", "style_align", "recipes", "scripts", "tests", "benchmarks"},
    "styleid": {"style_align", "recipes", "scripts", "tests", "benchmarks"},
    "style_align": {"styleid", "recipes", "scripts", "tests", "benchmarks"},
}


def imports(file: Path) -> Set[str]:
    """Every module that a file imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{name.name}" for name in node.names}
    return found


def files(place: str) -> list:
    path = ROOT / place
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


@pytest.mark.parametrize("place", list(FORBIDDEN))
def test_imports_run_one_way(place: str) -> None:
    for file in files(place):
        for name in imports(file):
            wrong = [bad for bad in FORBIDDEN[place] if name == bad or name.startswith(f"{bad}.")]
            assert not wrong, f"{file.relative_to(ROOT)} imports {name}"


def test_training_stands_on_top_of_the_engine() -> None:
    for file in files("jstyle"):
        if not {"training", "tiny", "finetuning"} & set(file.parts):
            wrong = {name for name in imports(file) if name == "jstyle.training" or name.startswith("jstyle.training.")}
            assert not wrong, f"{file.relative_to(ROOT)} imports {wrong}"


def test_nothing_asks_which_provider_it_has() -> None:
    for place in ("jstyle", "styleid", "style_align", "jstyle/workers"):
        for file in files(place):
            found = {name for name in imports(file) if name.startswith("jstyle.weights.backends.")}
            known = "backends" in file.parts or file.name in ("__init__.py", "doctor.py")
            assert not found or known, f"{file.relative_to(ROOT)} imports {found}"


def test_methods_stand_on_top_of_the_engine() -> None:
    for file in files("jstyle"):
        if "inst" not in file.parts:
            wrong = {
                name
                for name in imports(file)
                if name == "jstyle.methods.inst" or name.startswith("jstyle.methods.inst.")
            }
            assert not wrong, f"{file.relative_to(ROOT)} imports {wrong}"


def test_jittor_is_imported_in_one_place() -> None:
    for place in ("jstyle", "styleid", "style_align", "jstyle/workers", "scripts"):
        for file in files(place):
            direct = {name for name in imports(file) if name == "jittor" or name.startswith("jittor.")}
            assert not direct or "runtime" in file.parts, f"{file.relative_to(ROOT)} imports Jittor by itself"


@pytest.mark.parametrize("file", files("scripts"), ids=lambda file: file.name)
def test_scripts_that_users_run_are_thin(file: Path) -> None:
    if file.parent.name == "scripts" and file.name not in ("command_line.py", "draw_samples.py"):
        assert len(file.read_text().splitlines()) <= 180
