"""Pickles become safetensors whole or not at all, under the names that libraries give them, and nothing is replaced.

What reads the pickles is PyTorch, in a process of its own; here a stand-in reads JSON. The real one is in
`test_torch.py`.
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from jstyle.cli.main import main
from jstyle.errors import InputError
from jstyle.events import Remark
from jstyle.weights.conversion import run as conversion
from jstyle.weights.conversion.plan import rename
from jstyle.weights.conversion.run import ConvertInputs, run_conversion
from jstyle.weights.tensors import FileTensors

STAND_IN = """
import json, sys
import numpy as np
from safetensors.numpy import save_file

answers = []
for source, target in json.load(sys.stdin):
    content = json.load(open(source))
    if "error" in content:
        answers.append(content)
        continue
    save_file({name: np.array(values, np.float32) for name, values in content.items()}, target)
    answers.append({"left_out": ["epoch"] if "left" in source else []})
json.dump(answers, sys.stdout)
"""


@pytest.fixture(autouse=True)
def stand_in(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path_factory.mktemp("program") / "stand_in.py"
    program.write_text(STAND_IN)
    monkeypatch.setattr(conversion, "_PROGRAM", program)
    return program


def write(file: Path, content: Any = None) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"a": [1.0, 2.0]} if content is None else content))
    return file


def convert(*files: Path, **options: Any) -> list[str]:
    events = run_conversion(ConvertInputs(files, python=options.pop("python", Path(sys.executable)), **options))
    return [event.text for event in events if isinstance(event, Remark)]


def list_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("model.ckpt", "model.safetensors"),
        ("v1.5 pruned.pt", "v1.5 pruned.safetensors"),
        ("pytorch_lora_weights.bin", "pytorch_lora_weights.safetensors"),
        ("pytorch_model.bin", "model.safetensors"),
        ("pytorch_model.fp16.bin", "model.fp16.safetensors"),
        ("pytorch_model-00001-of-00002.bin", "model-00001-of-00002.safetensors"),
        ("diffusion_pytorch_model.bin", "diffusion_pytorch_model.safetensors"),
    ],
)
def test_a_file_stands_beside_its_source_under_its_librarys_name(name: str, wanted: str, tmp_path: Path) -> None:
    assert rename(name) == wanted
    [line] = convert(write(tmp_path / name))
    assert line == f"{tmp_path / wanted} holds 1 tensor of {tmp_path / name}"
    assert list_below(tmp_path) == sorted([name, wanted])
    assert FileTensors([tmp_path / wanted]).shapes() == {"a": (2,)}


def test_a_folder_becomes_another(tmp_path: Path) -> None:
    model = tmp_path / "model"
    for name in (
        "unet/diffusion_pytorch_model-00001-of-00002.bin",
        "unet/diffusion_pytorch_model-00002-of-00002.bin",
        "text_encoder/pytorch_model.bin",
        "vae/diffusion_pytorch_model.bin",
        "vae/diffusion_pytorch_model.safetensors",
        "optimizer.bin",
        "unet/diffusion_pytorch_model.onnx",
    ):
        write(model / name)
    shards = {"weight_map": {"a": "diffusion_pytorch_model-00001-of-00002.bin"}}
    write(model / "unet" / "diffusion_pytorch_model.bin.index.json", shards)
    for name in ("model_index.json", "unet/config.json", "tokenizer/merges.txt", ".git/config.json"):
        write(model / name)
    [line] = convert(model)
    made = tmp_path / "model-safetensors"
    assert list_below(made) == [
        "model_index.json",
        "text_encoder/model.safetensors",
        "tokenizer/merges.txt",
        "unet/config.json",
        "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
        "unet/diffusion_pytorch_model-00002-of-00002.safetensors",
        "unet/diffusion_pytorch_model.safetensors.index.json",
        "vae/diffusion_pytorch_model.safetensors",
    ]
    index = json.loads((made / "unet" / "diffusion_pytorch_model.safetensors.index.json").read_text())
    assert index["weight_map"] == {"a": "diffusion_pytorch_model-00001-of-00002.safetensors"}
    assert line.endswith("left out: optimizer.bin, unet/diffusion_pytorch_model.onnx, vae/diffusion_pytorch_model.bin")
    with pytest.raises(InputError, match="model-safetensors already holds something; choose another --output"):
        convert(model)
    convert(model, output=tmp_path / "new" / "folder")
    assert list_below(tmp_path / "new" / "folder") == list_below(made)


def test_a_pickle_under_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is refused with this command, the command takes it."""
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"PK\x03\x04" + bytes(60))
    with pytest.raises(InputError, match=f"is a pickle, .*convert it: jstyle convert {file}"):
        FileTensors([file])
    for overwrite in (False, True):
        with pytest.raises(InputError, match="model.safetensors is the pickle itself, and stays; choose another --ou"):
            convert(file, overwrite=overwrite)


def test_what_was_left_out_is_told(tmp_path: Path) -> None:
    assert convert(write(tmp_path / "left.ckpt"))[0].endswith("left.ckpt; left out: epoch")


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    file = write(tmp_path / "model.ckpt")
    (tmp_path / "model.safetensors").write_text("mine")
    with pytest.raises(InputError, match="model.safetensors is there already; choose another --output, or --overwrite"):
        convert(file)
    assert (tmp_path / "model.safetensors").read_text() == "mine"
    convert(file, overwrite=True)
    assert FileTensors([tmp_path / "model.safetensors"]).shapes() == {"a": (2,)}


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    model = tmp_path / "model"
    write(model / "unet" / "diffusion_pytorch_model.bin")
    write(model / "vae" / "diffusion_pytorch_model.bin", {"error": "it holds a list"})
    with pytest.raises(InputError, match="vae/diffusion_pytorch_model.bin cannot be converted: it holds a list"):
        convert(model)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (["a.safetensors"], {}, "a.safetensors' is no pickle of PyTorch's"),
        (["a.pt", "a.bin"], {}, r"a.pt and .*a.bin would both become .*a.safetensors"),
        (["a.pt", "b.pt"], {"output": Path("c")}, "one output is given for 2 files"),
        (["a.pt"], {"output": Path("/tmp")}, "/tmp. is a folder, and the name of a file is needed"),
        (["a.pt"], {"python": Path("/no/python")}, "cannot run '/no/python': .*; name a Python with PyTorch"),
        (["a.pt"], {"python": Path("/bin/false")}, "'/bin/false' cannot convert .*needs `pip install 'torch"),
        (["a.pt"], {"python": Path("/bin/true")}, "the answer of '/bin/true' cannot be read"),
        (["folder/notes.txt"], {}, "folder holds no weights as pickles"),
    ],
)
def test_what_cannot_be_converted(names: list[str], options: dict[str, Any], message: str, tmp_path: Path) -> None:
    files = [write(tmp_path / name) for name in names]
    sources = [file.parent if file.parent != tmp_path else file for file in files]
    with pytest.raises(InputError, match=message) as caught:
        convert(*sources, **options)
    assert "\n" not in str(caught.value)
    assert list_below(tmp_path) == sorted(names)


def test_without_pytorch_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"not installed here: make .*pip install 'torch>=2.6' .*--python"):
        convert(write(tmp_path / "a.pt"), python=None)


def test_the_words_after_the_command_are_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(write(tmp_path / name)) for name in ("a.pt", "b.pt")]
    assert main(["convert", *files, "--python", sys.executable]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    with pytest.raises(InputError, match="cannot read '.*no.ckpt'"):
        main(["convert", str(tmp_path / "no.ckpt")])


def test_an_old_pytorch_reads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "packages" / "safetensors").mkdir(parents=True)
    (tmp_path / "packages" / "torch.py").write_text('__version__ = "2.5.1+cpu"\nTensor = object\n')
    (tmp_path / "packages" / "safetensors" / "__init__.py").touch()
    (tmp_path / "packages" / "safetensors" / "torch.py").write_text("save_file = None\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "packages"))
    monkeypatch.setattr(conversion, "_PROGRAM", Path(conversion.__file__).with_name("torch_program.py"))
    with pytest.raises(InputError, match=r"PyTorch 2.5.1\+cpu could run its code; 2.6 or newer is needed"):
        convert(write(tmp_path / "a.pt"))


def test_the_program_imports_nothing_of_the_project() -> None:
    source = Path(conversion.__file__).with_name("torch_program.py").read_text()
    names = {node.module for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)}
    assert names == {"__future__", "typing", "safetensors.torch"}
