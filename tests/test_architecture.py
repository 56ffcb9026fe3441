"""Imports run one way, nothing starts Jittor that need not, and the house keeps its manners."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("jstyle", "styleid", "style_align", "recipes", "scripts")
FLOORS = [
    {
        "jstyle/errors.py",
        "jstyle/events.py",
        "jstyle/files.py",
        "jstyle/holding.py",
        "jstyle/lazy.py",
        "jstyle/pace.py",
        "jstyle/table.py",
        "jstyle/__init__.py",
    },
    {"jstyle/settings"},
    {"jstyle/runtime"},
    {"jstyle/ops", "jstyle/pictures"},
    {
        "jstyle/weights/fetching.py",
        "jstyle/weights/header.py",
        "jstyle/weights/hub.py",
        "jstyle/weights/loading.py",
        "jstyle/weights/saving.py",
        "jstyle/weights/stored.py",
        "jstyle/weights/streamed.py",
        "jstyle/weights/telling.py",
        "jstyle/weights/tensors.py",
    },
    {"jstyle/networks"},
    {"jstyle/weights", "jstyle/diffusion"},
    {"jstyle/adapters"},
    {"jstyle/jobs"},
    {"jstyle/pipelines"},
    {"jstyle/metrics"},
    {"jstyle/training"},
    {"jstyle/drop_in"},
    {"jstyle/training/teaching"},
    {"jstyle/methods", "styleid", "style_align"},
    {"jstyle/training/many_styles"},
    {"jstyle/competition"},
    {"jstyle/workers"},
    {"jstyle/doctor.py"},
    {"jstyle/cli", "jstyle/web", "jstyle/__main__.py", "recipes"},
    {"scripts"},
]
"""From the ground up: a file imports from its own room and from floors below it."""

APART = (
    "styleid",
    "style_align",
    "jstyle/methods/artfusion",
    "jstyle/methods/imagic",
    "jstyle/methods/attention_distillation",
    "jstyle/methods/inst",
    "jstyle/methods/prompt_to_prompt",
    "jstyle/methods/text_to_image",
    "jstyle/methods/z_star",
)
"""Methods, none of which imports another."""

WITHOUT_JITTOR = ("jstyle/settings", "jstyle/pictures", "jstyle/competition/score", "jstyle/metrics")
DECLARATIONS = ("__init__.py", "settings.py")


def list_files(place: str) -> list[Path]:
    """The Python files of a room."""
    path = ROOT / place
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def find_imports(file: Path) -> set[str]:
    """The project's own modules that a file imports anywhere, as paths below the root; type checkers' imports too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{name.name}" for name in node.names}
    return {place for name in found if (place := find_place(name))}


def find_place(module: str) -> str:
    """The file or folder of a module of the project, below the root; nothing for others."""
    path = module.replace(".", "/")
    if path.split("/")[0] not in (*PACKAGES, "tests", "benchmarks"):
        return ""
    if (ROOT / f"{path}.py").is_file():
        return f"{path}.py"
    return path if (ROOT / path / "__init__.py").is_file() else ""


def find_floor(place: str) -> int:
    """The floor of the innermost room that a file lies in."""
    rooms = [(len(room), floor) for floor, rooms in enumerate(FLOORS) for room in rooms if is_in(place, room)]
    assert rooms, f"{place} is in no room"
    return max(rooms)[1]


def is_in(place: str, room: str) -> bool:
    """Whether a file or folder is a room or lies in it."""
    return place == room or place.startswith(f"{room}/")


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_run_one_way(package: str) -> None:
    for file in list_files(package):
        here = file.relative_to(ROOT).as_posix()
        for place in find_imports(file):
            if here == "jstyle/__init__.py" or place == "jstyle":
                continue  # it names the public objects, each imported when it is asked for
            assert find_floor(place) <= find_floor(here), f"{here} imports {place}, which is above it"


def test_methods_do_not_import_each_other() -> None:
    for method in APART:
        for file in list_files(method):
            others = [
                place for place in find_imports(file) for other in APART if other != method and is_in(place, other)
            ]
            assert not others, f"{file.relative_to(ROOT)} imports {others}"


def test_nothing_asks_which_provider_it_has() -> None:
    for package in PACKAGES:
        for file in list_files(package):
            here = file.relative_to(ROOT).as_posix()
            asked = [place for place in find_imports(file) if is_in(place, "jstyle/weights/backends/")]
            known = is_in(here, "jstyle/weights/backends") or here in (
                "jstyle/pipelines/wrapping.py",
                "jstyle/doctor.py",
            )
            assert known or not asked, f"{here} imports {asked}"


def test_jittor_is_imported_in_one_place() -> None:
    for package in PACKAGES:
        for file in list_files(package):
            tree = ast.parse(file.read_text())
            names = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
            names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
            direct = {name for name in names if name.split(".")[0] in ("jittor", "jittor_utils")}
            assert not direct or "runtime" in file.parts, f"{file.relative_to(ROOT)} imports Jittor by itself"


def test_declarations_and_readers_start_nothing() -> None:
    """What is looked at before any work: the tables' packages, settings, pictures, metrics."""
    files = [file for place in WITHOUT_JITTOR for file in list_files(place)]
    for place in ("jstyle/methods", "jstyle/training/teaching", "styleid", "style_align", "jstyle/competition"):
        files += [file for file in list_files(place) if file.name in DECLARATIONS]
    files += list_files("jstyle/cli") + list_files("jstyle/jobs/task.py") + list_files("jstyle/weights/tensors.py")
    modules = [file.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for file in files]
    modules = [
        module[: -len(".__init__")] if module.endswith(".__init__") else module
        for module in modules
        if not module.endswith(("torch_metrics", "torch_backbones", "torch_comparison", "torch_program"))
    ]
    program = (
        "import sys\nfrom importlib import import_module\n"
        f"for name in {modules!r}:\n"
        "    import_module(name)\n"
        "    assert 'jittor' not in sys.modules and 'jittor_utils' not in sys.modules, name\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_public_function_has_a_docstring() -> None:
    bare = []
    for package in (*PACKAGES, "benchmarks"):
        for file in list_files(package):
            tree = ast.parse(file.read_text())
            bare += [f"{file.relative_to(ROOT)}:{node.lineno} {node.name}" for node in list_public(tree)]
    assert not bare


def list_public(node: ast.AST) -> list[ast.FunctionDef]:
    """The functions and methods under public names, at any depth of classes, that have no docstring."""
    bare = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if not child.name.startswith("_") and not ast.get_docstring(child):
                bare.append(child)
        elif not (isinstance(child, ast.ClassDef) and child.name.startswith("_")):
            bare += list_public(child)
    return bare
