"""The file of a learnt style: written, read, refused; and its word on a pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

from jstyle import StableDiffusionPipeline
from jstyle.errors import InputError
from jstyle.methods.inst import files as inst_files
from jstyle.methods.inst.files import LearntStyle
from jstyle.methods.inst.network import Sizes, StyleAttention
from jstyle.networks.initial import initialise
from jstyle.weights.tensors import write_tensors
from tests.parity.networks import GOLDEN

SIZES = Sizes(24, 16, 2, 4)
Content = tuple[dict[str, np.ndarray], dict[str, Any]]


def style(sizes: Sizes = SIZES) -> LearntStyle:
    network = StyleAttention(sizes)
    initialise(network, 5)
    embedding = np.random.default_rng(0).standard_normal((1, sizes.hidden_size)).astype(np.float32)
    return LearntStyle("<ink>", embedding, network, {"picture": "abc", "steps": 7})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    own = style()
    file = inst_files.write(own, tmp_path / "a")
    assert file == tmp_path / "a" / "inst.safetensors"
    for source in (file, file.parent):
        read = inst_files.read(source)
        assert (read.token, dict(read.about), read.network.sizes) == ("<ink>", dict(own.about), SIZES)
        assert np.array_equal(read.embedding, own.embedding)
        for (name, a), (_, b) in zip(own.network.named_parameters(), read.network.named_parameters()):
            assert np.array_equal(a.numpy(), b.numpy()), name
    assert inst_files.write(read, tmp_path / "b").read_bytes() == file.read_bytes()
    assert [path.name for path in file.parent.iterdir()] == ["inst.safetensors"]


def changed(folder: Path, change: Callable[[dict[str, np.ndarray], dict[str, Any]], None]) -> Path:
    """A good file's content after a change of its arrays and of what is said of them."""
    file = inst_files.write(style(), folder)
    with safe_open(file, framework="np") as opened:
        told = json.loads(opened.metadata()["inst"])
        arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    change(arrays, told)
    write_tensors(arrays, file, {"inst": json.dumps(told)})
    return file


CHANGES: dict[str, tuple[Callable[[dict[str, np.ndarray], dict[str, Any]], Any], str]] = {
    "no token": (lambda arrays, told: told.pop("token"), "'token' is missing"),
    "a token that is none": (lambda arrays, told: told.update(token=5), "token is 5"),
    "no sizes": (lambda arrays, told: told.pop("sizes"), "'sizes' is missing"),
    "half of the sizes": (lambda arrays, told: told["sizes"].pop("heads"), "'heads' is missing"),
    "a size that is no number": (lambda arrays, told: told["sizes"].update(width="24"), "width is '24'"),
    "no heads": (lambda arrays, told: told["sizes"].update(heads=0), "heads is 0"),
    "a size beyond all memory": (lambda arrays, told: told["sizes"].update(width=10**9), "width is 1000000000"),
    "other sizes": (lambda arrays, told: told["sizes"].update(heads=3), r"do not fit the sizes beside them: keys 8 of"),
    "another width": (
        lambda arrays, told: told["sizes"].update(hidden_size=20),
        r"embedding is \[1, 16\], not \[1, 20\]",
    ),
    "no embedding": (lambda arrays, told: arrays.pop("embedding"), "embedding is missing"),
    "a weight too few": (lambda arrays, told: arrays.pop("network.net.1.bias"), r"1 missing \(net.1.bias\)"),
    "a weight too many": (lambda arrays, told: arrays.update(more=np.zeros(1)), r"1 unexpected \(more\)"),
    "a number that is none": (lambda arrays, told: arrays["embedding"].fill(np.nan), "not finite"),
}


@pytest.mark.parametrize("name", list(CHANGES))
def test_a_file_that_does_not_fit_itself(name: str, tmp_path: Path) -> None:
    change, said = CHANGES[name]
    file = changed(tmp_path, change)
    with pytest.raises(InputError, match=said) as caught:
        inst_files.read(file)
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_are_something_else(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file.*finished training"):
        inst_files.read(tmp_path)
    write_tensors({"<ink>": np.zeros((1, 16), np.float32)}, tmp_path / "word.safetensors")
    with pytest.raises(InputError, match="no style of InST"):
        inst_files.read(tmp_path / "word.safetensors")
    file = inst_files.write(style(), tmp_path)
    write_tensors({"embedding": style().embedding}, file, {"inst": "{"})
    with pytest.raises(InputError, match="is damaged"):
        inst_files.read(file)
    file = inst_files.write(style(), tmp_path)
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(InputError, match="not a whole safetensors file"):
        inst_files.read(file)


def test_its_word_on_a_pipeline(tmp_path: Path) -> None:
    pipe = StableDiffusionPipeline.from_pretrained(str(GOLDEN / "diffusers_folder"))
    before, text = pipe.model_hash, np.array(pipe.encode_texts("a <ink> river").numpy())
    file = inst_files.write(style(), tmp_path)
    assert pipe.load_inst(file.parent) == "<ink>"
    assert np.array_equal(pipe.vocabulary.vectors["<ink>"].numpy(), style().embedding)
    assert not np.allclose(pipe.encode_texts("a <ink> river").numpy(), text) and pipe.model_hash != before
    assert pipe.load_inst(file, "<pen>") == "<pen>"
    pipe.unload_textual_inversion()
    assert np.array_equal(pipe.encode_texts("a <ink> river").numpy(), text) and pipe.model_hash == before
    wide = inst_files.write(style(Sizes(24, 20, 2, 4)), tmp_path / "wide")
    with pytest.raises(InputError, match=r"\[1, 20\], this text encoder's words \[any number, 16\]"):
        pipe.load_inst(wide)
    assert not pipe.vocabulary.vectors
