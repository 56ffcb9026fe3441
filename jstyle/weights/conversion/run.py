"""Converting, as a run: in a process that has PyTorch; what comes of it appears whole or not at all. Free of Jittor."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Optional

from jstyle.errors import InputError
from jstyle.events import Event, Remark
from jstyle.files import make_folder, replacing
from jstyle.settings.fields import require
from jstyle.settings.paths import ReadFile, ReadPath
from jstyle.weights.conversion.plan import Conversion, plan_conversions
from jstyle.weights.header import read_header

_PROGRAM = Path(__file__).with_name("torch_program.py")
_INSTALL = "python -m venv torch_env && torch_env/bin/pip install 'torch>=2.6' safetensors numpy"
_MOST_SHOWN = 5


@dataclass(frozen=True)
class ConvertInputs:
    """What to convert, and where PyTorch is."""

    files: tuple[ReadPath, ...]
    """Checkpoints, VAEs, LoRAs and learnt words as .ckpt, .pt, .pth or .bin; folders in diffusers' layout."""

    output: Optional[Path] = None
    """The file, or folder, to write; by default beside the source, a folder's with -safetensors at its name's end."""

    python: Optional[ReadFile] = None
    """A Python that has torch (2.6 or newer) and safetensors; by default this one."""

    overwrite: bool = False
    """Replace a file that is there."""

    def __post_init__(self) -> None:
        require(bool(self.files), "files must name at least one file or folder")


def run_conversion(inputs: ConvertInputs) -> Iterator[Event]:
    """Convert each; says what was written. Raises InputError for what cannot be converted, and without PyTorch."""
    conversions = list(plan_conversions(inputs.files, inputs.output, overwrite=inputs.overwrite))
    python = Path(sys.executable) if inputs.python is None else inputs.python
    if inputs.python is None and (find_spec("torch") is None or find_spec("safetensors") is None):
        raise InputError(
            f"PyTorch, which alone reads pickles, is not installed here: make an environment that has it ({_INSTALL}) "
            "and give --python torch_env/bin/python"
        )
    for conversion in conversions:
        yield from _convert(conversion, python)


def _convert(conversion: Conversion, python: Path) -> Iterator[Event]:
    pickles = conversion.list_pickles()
    make_folder(conversion.target.parent)
    with replacing(conversion.target) as part:
        others = conversion.copy_others(part) if conversion.source.is_dir() else []
        targets = {pickle: part / name if name else part for pickle, name in pickles.items()}
        for target in targets.values():
            target.parent.mkdir(parents=True, exist_ok=True)
        count = 0
        for (pickle, target), answer in zip(targets.items(), ask_torch(python, targets)):
            if "error" in answer:
                raise InputError(f"{pickle} cannot be converted: {answer['error']}")
            count += len(read_header(target).tensors)
            others += answer["left_out"]
    held = f"{count} tensor{'s' if count != 1 else ''}"
    yield Remark(f"{conversion.target} holds {held} of {conversion.source}{_list_left_out(others)}")


def ask_torch(python: Path, targets: Mapping[Path, Path]) -> Sequence[Mapping[str, Any]]:
    """Let the interpreter ``python`` convert each pickle to its target; what it answers, one after another.

    Raises InputError where the process cannot be run or answers nothing usable.
    """
    request = json.dumps([[str(pickle.resolve()), str(target.resolve())] for pickle, target in targets.items()])
    try:
        done = subprocess.run([str(python), str(_PROGRAM)], input=request, capture_output=True, text=True)
    except OSError as error:
        raise InputError(f"cannot run {str(python)!r}: {error.strerror}; name a Python with PyTorch") from error
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise InputError(
            f"{str(python)!r} cannot convert (exit code {done.returncode}, it said: {said}): its environment needs "
            "`pip install 'torch>=2.6' safetensors numpy`"
        )
    try:
        answers = json.loads(done.stdout)
        if len(answers) != len(targets) or not all("error" in answer or "left_out" in answer for answer in answers):
            raise ValueError("it is not whole")
    except (ValueError, TypeError) as error:
        raise InputError(f"the answer of {str(python)!r} cannot be read ({error})") from error
    return answers


def _list_left_out(names: Sequence[str]) -> str:
    if not names:
        return ""
    return f"; left out: {', '.join(names[:_MOST_SHOWN])}{', ...' if len(names) > _MOST_SHOWN else ''}"
