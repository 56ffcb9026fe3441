"""Imports run one way, and no room reaches over another."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Dict, Set

import pytest

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN: Dict[str, Set[str]] = {
    "jstyle": {"styleid", "style_align", "makers", "scripts", "tests", "benchmarks"},
    "jstyle/models": {"jstyle.pipeline", "jstyle.samplers", "jstyle.guidance", "jstyle.weights", "jstyle.schedule"},
    "jstyle/backends/library.py": {"jstyle.models", "jstyle.ops", "jstyle.checkpoint"},
    "jstyle/backends/hosted.py": {"jstyle.backends.library", "jstyle.pipeline", "jstyle.adapters", "jstyle.checkpoint"},
    "jstyle/ops": {"jstyle.models", "jstyle.editing", "jstyle.config", "jstyle.schedule"},
    "jstyle/samplers": {"jstyle.models", "jstyle.pipeline", "jstyle.guidance", "jstyle.editing"},
    "jstyle/schedule.py": {"jstyle.samplers", "jstyle.models", "jstyle.pipeline"},
    "jstyle/adapters": {"jstyle.pipeline", "jstyle.checkpoint", "jstyle.samplers", "jstyle.guidance"},
    "jstyle/training": {"jstyle.models", "jstyle.pipeline", "jstyle.adapters", "jstyle.finetuning", "jstyle.tiny"},
    "jstyle/finetuning": {"jstyle.inst", "jstyle.tiny", "jstyle.drawings", "jstyle.competition", "jstyle.jobs"},
    "jstyle/inst": {"jstyle.training", "jstyle.tiny", "jstyle.drawings", "jstyle.competition", "jstyle.jobs"},
    "jstyle/inst/settings.py": {"jstyle", "jittor"},
    "jstyle/runtime": {"jstyle.ops", "jstyle.models", "jstyle.pipeline", "jstyle.errors"},
    "jstyle/training/settings.py": {"jstyle", "jittor"},
    "jstyle/jobs": {"jstyle.competition", "jstyle.pipeline", "jstyle.models", "jstyle.images", "jstyle.weights"},
    "jstyle/competition": {
        "jstyle.pipeline",
        "jstyle.image_to_image",
        "jstyle.models",
        "jstyle.training",
        "jstyle.finetuning",
    },
    "jstyle/competition/trained/runs.py": {"jstyle.competition.recipe", "jstyle.competition.plan"},
    "jstyle/competition/settings.py": {"jstyle", "jittor"},
    "jstyle/competition/score": {"jstyle.jobs", "jstyle.weights", "jstyle.runtime"},
    "jstyle/competition/score/torch_metrics.py": {"jstyle", "jittor"},
    "makers": {"scripts", "tests", "benchmarks"},
    "styleid": {"style_align", "makers", "scripts", "tests", "benchmarks"},
    "styleid/settings.py": {"jstyle", "jittor"},
    "style_align": {"styleid", "makers", "scripts", "tests", "benchmarks"},
    "style_align/settings.py": {"jstyle", "jittor"},
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
    for place in ("jstyle", "styleid", "style_align", "makers"):
        for file in files(place):
            found = {name for name in imports(file) if name.startswith("jstyle.backends.")}
            known = "backends" in file.parts or file.name in ("__init__.py", "doctor.py")
            assert not found or known, f"{file.relative_to(ROOT)} imports {found}"


def test_methods_stand_on_top_of_the_engine() -> None:
    for file in files("jstyle"):
        if "inst" not in file.parts:
            wrong = {name for name in imports(file) if name == "jstyle.inst" or name.startswith("jstyle.inst.")}
            assert not wrong, f"{file.relative_to(ROOT)} imports {wrong}"


def test_jittor_is_imported_in_one_place() -> None:
    for place in ("jstyle", "styleid", "style_align", "makers", "scripts"):
        for file in files(place):
            direct = {name for name in imports(file) if name == "jittor" or name.startswith("jittor.")}
            assert not direct or "runtime" in file.parts, f"{file.relative_to(ROOT)} imports Jittor by itself"


@pytest.mark.parametrize("file", files("scripts"), ids=lambda file: file.name)
def test_scripts_that_users_run_are_thin(file: Path) -> None:
    if file.parent.name == "scripts" and file.name not in ("command_line.py", "draw_samples.py"):
        assert len(file.read_text().splitlines()) <= 180
