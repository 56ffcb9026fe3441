"""scripts/*.py: their names and options stay, they run this checkout's code, and reach little of it before they run."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"
OPTIONS: dict[str, str] = json.loads(Path(__file__).with_name("options.json").read_text())
"""The options that each script had when the command `jstyle` came: people call them."""

WITHDRAWN = {"--training.backend", "--training.precision"}
"""Of run_inst.py: a style is learnt in what the run itself computes in, --backend and --precision."""

MOST_MODULES = 80


@pytest.fixture(scope="module")
def helps() -> dict[str, str]:
    """What each script answers to --help, from one process."""
    program = """
import contextlib, io, json, runpy, sys
answers = {}
sys.path.insert(0, sys.argv[2].rpartition("/")[0])  # as for a script that is run
for script in sys.argv[2:]:
    shown = io.StringIO()
    sys.argv = [script, "--help"]
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        runpy.run_path(script, run_name="__main__")
    answers[script] = shown.getvalue()
json.dump({"answers": answers, "started": "jittor" in sys.modules}, sys.stdout)
"""
    scripts = [str(SCRIPTS / f"{name}.py") for name in OPTIONS]
    command = [sys.executable, "-c", program, "", *scripts]
    done = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert not done["started"]
    return {Path(script).stem: shown for script, shown in done["answers"].items()}


@pytest.mark.parametrize("name", list(OPTIONS))
def test_no_option_of_old_is_missing(name: str, helps: dict[str, str]) -> None:
    words = helps[name].replace(",", " ").replace("[", " ").replace("]", " ").split()
    assert f"usage: {name}.py" in helps[name]
    assert sorted(set(OPTIONS[name].split()) - set(words) - WITHDRAWN) == []


def test_every_script_is_looked_at() -> None:
    assert {file.stem for file in SCRIPTS.glob("*.py")} == {*OPTIONS, "checkout"}


@pytest.mark.parametrize("file", sorted(SCRIPTS.glob("*.py")), ids=lambda file: file.name)
def test_scripts_are_a_few_lines(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 30


def test_a_copied_checkout_runs_its_own_code(tmp_path: Path) -> None:
    """Though another one is installed, and stands first on the path."""
    copy = tmp_path / "copy"
    shutil.copytree(SCRIPTS, copy / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "jstyle" / "cli").mkdir(parents=True)
    for name, code in (
        ("__init__", ""),
        ("cli/__init__", ""),
        ("cli/main", "def main(argv, prog):\n    print('the copy', argv, prog)\n    return 3\n"),
        ("cli/exit_codes", "import sys\ndef exit_with(main):\n    sys.exit(main())\n"),
    ):
        (copy / "jstyle" / f"{name}.py").write_text(code)
    command = [sys.executable, str(copy / "scripts" / "train_style.py"), "--plan"]
    done = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("the copy ['train', 'styles', '--plan'] train_style.py\n", 3), done.stderr


def test_little_code_is_reached_by_imports() -> None:
    """From the script, from the command that it names, and from the run which that loads."""
    files = ("scripts/train_style.py", "jstyle/cli/train_styles.py", "jstyle/training/many_styles/run.py")
    reached = {name for file in files for name in reachable(ROOT / file)}
    assert {"jstyle.cli.main", "jstyle.methods.table", "jstyle.training.many_styles.job"} <= reached
    assert len(reached) <= MOST_MODULES, sorted(reached)


def reachable(start: Path) -> set[str]:
    """The project's modules that import statements lead to, wherever in a file they stand."""
    seen: dict[str, Path] = {}
    todo = [start]
    while todo:
        file = todo.pop()
        for imported in imports(file):
            path = find_module(imported)
            if path is not None and imported not in seen:
                seen[imported] = path
                todo.append(path)
    return set(seen)


def imports(file: Path) -> Iterator[str]:
    """Every module that a file may import, and the packages around it."""
    for node in walk_executed(ast.parse(file.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for imported in names:
            parts = imported.split(".")
            yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def walk_executed(node: ast.AST) -> Iterator[ast.AST]:
    """As ast.walk, without what only type checkers read."""
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from walk_executed(child)


def find_module(name: str) -> Optional[Path]:
    """The file of a module of the project."""
    for folder in (ROOT, SCRIPTS):
        path = folder.joinpath(*name.split("."))
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return file
    return None
