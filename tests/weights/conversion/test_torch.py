"""The real PyTorch on its own pickles: `JSTYLE_TORCH_PYTHON` names a Python that has torch and safetensors."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from jstyle.errors import InputError
from jstyle.weights.conversion.run import ConvertInputs, run_conversion
from jstyle.weights.tensors import FileTensors

PYTHON = os.environ.get("JSTYLE_TORCH_PYTHON")
pytestmark = pytest.mark.skipif(PYTHON is None, reason="JSTYLE_TORCH_PYTHON names no Python with PyTorch")

WRITES = """
import datetime, sys, types
from pathlib import Path
import torch

folder = Path(sys.argv[1])
whole = torch.arange(12.0).reshape(3, 4)
weights = {"whole": whole, "turned": whole.t(), "tied": whole, "row": whole[1], "half": whole.bfloat16()}
weights["one"] = torch.tensor(3)
torch.save({"state_dict": weights, "epoch": 3}, folder / "model.ckpt")
lightning = types.ModuleType("pytorch_lightning.callbacks.model_checkpoint")
lightning.ModelCheckpoint = type("ModelCheckpoint", (), {"__module__": lightning.__name__})
for name in ("pytorch_lightning", "pytorch_lightning.callbacks", lightning.__name__):
    sys.modules[name] = lightning
torch.save({"callbacks": {lightning.ModelCheckpoint: {}}, "state_dict": weights}, folder / "lightning.ckpt")
torch.save(weights, folder / "lora.bin")
torch.save(weights, folder / "old.pt", _use_new_zipfile_serialization=False)
word = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3))
param = {"string_to_token": {"*": 265}, "string_to_param": {"*": word}}
for file, name in (("word", {"name": "<w>", "step": 3}), ("two words", {"name": "my style"}), ("nameless", {})):
    torch.save({**param, **name}, folder / f"{file}.pt")
torch.save([whole], folder / "list.pt")
averaged = {"model.diffusion_model.a.b.weight": -whole, "model_ema.diffusion_modelabweight": whole}
averaged.update({"null_style_vector.weight": -whole, "null_style_vector_ema.weight": whole})
averaged.update({"model_ema.decay": torch.tensor(0.5), "betas": whole, "vgg_scaling_layer.shift": whole})
averaged.update({"vgg.slice1.0.bias": whole, "first_stage_model.a": whole, "shift_values": whole})
torch.save({"state_dict": averaged, "epoch": 3}, folder / "artfusion.ckpt")
torch.save({"a": datetime.timedelta(3)}, folder / "object.pt")
torch.save({"string_to_param": {"*": word, "+": word}}, folder / "words.pt")
"""


@pytest.fixture(scope="module")
def pickles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pickles")
    subprocess.run([str(PYTHON), "-c", WRITES, str(folder)], check=True)
    return folder


def convert(file: Path) -> FileTensors:
    for _ in run_conversion(ConvertInputs((file,), python=Path(str(PYTHON)), overwrite=True)):
        pass
    return FileTensors([file.with_suffix(".safetensors")])


@pytest.mark.parametrize("name", ["model.ckpt", "lightning.ckpt", "lora.bin", "old.pt"])
def test_every_tensor_has_its_numbers(name: str, pickles: Path) -> None:
    made = convert(pickles / name)
    whole = np.arange(12.0).reshape(3, 4)
    wanted = {"whole": whole, "turned": whole.T, "tied": whole, "row": whole[1], "half": whole, "one": np.array(3)}
    assert set(made.shapes()) == set(wanted)
    for key, array in wanted.items():
        np.testing.assert_array_equal(made.read(key).astype(np.float64), array)


@pytest.mark.parametrize(
    ("name", "key"), [("word.pt", "<w>"), ("two words.pt", "emb_params"), ("nameless.pt", "emb_params")]
)
def test_a_word_of_the_web_page_keeps_its_name(name: str, key: str, pickles: Path) -> None:
    """A name that cannot stand in a prompt as one word is asked for when the file is used."""
    made = convert(pickles / name)
    assert list(made.shapes()) == [key]
    np.testing.assert_array_equal(made.read(key), np.arange(6.0).reshape(2, 3))


def test_artfusions_averaged_weights_are_kept(pickles: Path) -> None:
    made = convert(pickles / "artfusion.ckpt")
    names = ("model.diffusion_model.a.b.weight", "null_style_vector.weight")
    assert set(made.shapes()) == {*names, "vgg.slice1.0.bias", "first_stage_model.a", "shift_values"}
    for name in names:
        np.testing.assert_array_equal(made.read(name), np.arange(12.0).reshape(3, 4))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("list.pt", "it holds a list, and no tensors by their names"),
        ("object.pt", "it holds an object of datetime.timedelta, which only code of its own could read"),
        ("words.pt", "it holds 2 words, and a file of one is needed"),
    ],
)
def test_what_holds_something_else(name: str, message: str, pickles: Path) -> None:
    with pytest.raises(InputError, match=message):
        convert(pickles / name)
    assert not (pickles / name).with_suffix(".safetensors").exists()
