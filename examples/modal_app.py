"""The commands of `jstyle` that make pictures, on a cloud GPU by Modal (modal.com).

    pip install modal && modal setup
    modal run examples/modal_app.py --words "styleid --content photo.png --style painting.png"

Files and folders that options name go there, what the command writes comes back into a new folder, `--into`, and
weights and compiled kernels stay in a volume for the next time. Outputs in the words are relative paths.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import modal

CACHE = "/cache"
ROOT = Path(__file__).resolve().parents[1]

app = modal.App("jstyle")
volume = modal.Volume.from_name("jstyle-weights", create_if_missing=True)
image = modal.Image.from_registry("nvidia/cuda:12.2.2-cudnn8-devel-ubuntu22.04", add_python="3.11")
if modal.is_local():  # there the checkout is in the image already
    image = image.apt_install("g++").add_local_dir(
        ROOT, "/jstyle", copy=True, ignore=["**/.git", "**/.venv", "**/outputs", "**/__pycache__"]
    )
    image = image.run_commands("pip install /jstyle").env({"HF_HOME": f"{CACHE}/huggingface", "JITTOR_HOME": CACHE})


@app.function(image=image, gpu="L4", volumes={CACHE: volume}, timeout=3600)
def run_command(words: list[str], files: dict[str, bytes]) -> dict[str, bytes]:
    """Run `jstyle WORDS` in a folder of its own that holds these files; returns those that it wrote, by their paths.

    Raises RuntimeError with what the command said last where it fails, or writes nothing there.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        done = subprocess.run([sys.executable, "-m", "jstyle", *words], cwd=folder, stderr=subprocess.PIPE, text=True)
        made = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        results = {path.relative_to(folder).as_posix(): path.read_bytes() for path in made}
        results = {path: content for path, content in results.items() if path not in files}
    if done.returncode != 0 or not results:
        raise RuntimeError(done.stderr.strip().rpartition("\n")[2] or "nothing was written: give relative outputs")
    return results


def pack(words: Sequence[str]) -> tuple[list[str], dict[str, bytes]]:
    """The words with new names for the files and folders that options name, and the files' contents by these names."""
    renamed: list[str] = []
    files: dict[str, bytes] = {}
    option = ""
    for number, word in enumerate(words):
        option = word if word.startswith("--") else option
        path = Path(word).expanduser()
        if option in ("", word, "--output") or not os.path.exists(path):
            renamed.append(word)
            continue
        name = f"given/{number}/{path.name}"
        renamed.append(name)
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in filter(Path.is_file, found):
            files[name if file == path else f"{name}/{file.relative_to(path).as_posix()}"] = file.read_bytes()
    return renamed, files


def unpack(results: dict[str, bytes], into: Path) -> None:
    """Write the results below a folder."""
    for path, content in results.items():
        (into / path).parent.mkdir(parents=True, exist_ok=True)
        (into / path).write_bytes(content)


@app.local_entrypoint()
def main(words: str, into: str = "modal_results") -> None:
    """``words`` are those of a command, as in a shell; ``into`` is the folder for what it makes."""
    folder = Path(into)
    if folder.exists():
        raise SystemExit(f"error: {into!r} exists: name another folder by --into")
    unpack(run_command.remote(*pack(shlex.split(words))), folder)
    print(f"the results are in {folder}")
