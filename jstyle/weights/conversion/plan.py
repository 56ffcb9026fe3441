"""What a conversion reads and writes: a file of weights, or a folder in diffusers' or peft's layout. Free of Jittor."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from jstyle.errors import InputError
from jstyle.files import check_output, check_output_file
from jstyle.weights.header import is_pickle

# Names of weights that libraries write; beside them lie pickles of optimizers and counters, which no model needs.
_WEIGHTS = re.compile(
    r"(diffusion_pytorch_model|pytorch_model|model|adapter_model|pytorch_lora_weights|learned_embeds)"
    r"[\w.-]*\.(bin|pt|pth|ckpt)"
)
_INDEX = re.compile(r"(?P<stem>[\w-]+)\.bin\.index(?P<variant>\.[\w-]+)?\.json")
_COPIED = (".json", ".txt", ".model", ".md", ".safetensors")


@dataclass(frozen=True)
class Conversion:
    """A file, or a folder, and what it becomes."""

    source: Path
    target: Path

    def list_pickles(self) -> dict[Path, str]:
        """The pickles to convert, and the names, below the target where that is a folder, of what they become.

        Of a folder none that is there as safetensors already. Raises InputError where there are none.
        """
        if not self.source.is_dir():
            return {self.source: ""}
        found = {}
        for file in sorted(self.source.rglob("*")):
            name = rename(file.name)
            if file.is_file() and _WEIGHTS.fullmatch(file.name) and not file.with_name(name).exists():
                found[file] = str(file.relative_to(self.source).with_name(name))
        if not found:
            raise InputError(f"{self.source} holds no weights as pickles, such as diffusion_pytorch_model.bin")
        return found

    def copy_others(self, folder: Path) -> list[str]:
        """Copy to a folder what is no pickle, with the indexes of shards renamed; returns what was left out."""
        left_out = []
        converted = self.list_pickles()
        for file in sorted(self.source.rglob("*")):
            below = file.relative_to(self.source)
            if not file.is_file() or file in converted or any(part.startswith(".") for part in below.parts):
                continue
            index = _INDEX.fullmatch(file.name)
            (folder / below).parent.mkdir(parents=True, exist_ok=True)
            if index is not None:
                name = f"{_rename_stem(index['stem'])}.safetensors.index{index['variant'] or ''}.json"
                (folder / below).with_name(name).write_text(_rename_shards(file), "utf-8")
            elif file.suffix in _COPIED:
                shutil.copyfile(file, folder / below)
            else:
                left_out.append(str(below))
        return left_out


def plan_conversions(sources: tuple[Path, ...], output: Optional[Path], *, overwrite: bool) -> Iterator[Conversion]:
    """Of each source what it becomes, by default beside it.

    Raises InputError for what is no pickle, where two become one, and where something is there already that may not,
    or cannot, be overwritten.
    """
    if output is not None and len(sources) > 1:
        raise InputError(f"one output is given for {len(sources)} files; convert one at a time, or give no output")
    seen: dict[Path, Path] = {}
    for source in sources:
        if not source.is_dir() and not is_pickle(source):
            raise InputError(f"{str(source)!r} is no pickle of PyTorch's (.ckpt, .pt, .pth, .bin): nothing to convert")
        target = output or _name_target(source)
        if target in seen:
            raise InputError(f"{seen[target]} and {source} would both become {target}; convert one at a time")
        seen[target] = source
        if source.is_dir():
            _check_folder(source, target)
        else:
            _check_file(source, target, overwrite=overwrite)
        yield Conversion(source, target)


def _check_folder(source: Path, target: Path) -> None:
    check_output(target)
    if target.exists() and any(target.iterdir()):
        raise InputError(f"{target} already holds something; choose another --output")
    if source.resolve() in target.resolve().parents:
        raise InputError(f"{target} lies in {source}, which is converted into it; choose another --output")


def _check_file(source: Path, target: Path, *, overwrite: bool) -> None:
    check_output_file(target)
    if target.exists() and target.samefile(source):
        raise InputError(f"{target} is the pickle itself, and stays; choose another --output")
    if target.exists() and not overwrite:
        raise InputError(f"{target} is there already; choose another --output, or --overwrite it")


def rename(name: str) -> str:
    """What a file of weights is called as safetensors; transformers drops `pytorch_` then."""
    stem, _, _ = name.rpartition(".")
    return f"{_rename_stem(stem)}.safetensors"


def _rename_stem(stem: str) -> str:
    return stem[len("pytorch_") :] if stem.startswith("pytorch_model") else stem


def _rename_shards(index: Path) -> str:
    """An index with the names that its shards get. Raises InputError where it is damaged."""
    try:
        content = json.loads(index.read_text("utf-8"))
        shards = {name: rename(shard) for name, shard in content["weight_map"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"the index {str(index)!r} is damaged ({error}): fetch it again") from error
    return json.dumps({**content, "weight_map": shards}, indent=2) + "\n"


def _name_target(source: Path) -> Path:
    if source.is_dir():
        return source.resolve().with_name(f"{source.resolve().name}-safetensors")
    return source.with_name(rename(source.name))
