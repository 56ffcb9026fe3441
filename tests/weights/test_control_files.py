"""Where a ControlNet lies: files under the original names, folders, and the line that tells what a file is instead."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jstyle.errors import InputError
from jstyle.networks import ControlNetModel
from jstyle.networks.config import ControlNetConfig
from jstyle.runtime import jt
from jstyle.weights.control_files import locate_net, read_net_file
from jstyle.weights.streamed import write
from tests.golden import tiny
from tests.parity.networks import golden, relative_error

CONFIG = tiny.controlnet_config(tiny.SD1["unet"], conditioning_embedding_out_channels=[4, 4, 8, 12])


def write_file(file: Path, shapes: Mapping[str, Sequence[int]]) -> Path:
    with open(file, "wb") as stream:
        whole = {name: tuple(shape) for name, shape in shapes.items()}
        write(stream, whole, lambda name: tiny.seeded_tensor(name, whole[name]), "float32", {"format": "pt"})
    return file


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    return golden("controlnet_file")


@pytest.fixture(scope="module")
def shapes(recorded: dict[str, Any]) -> dict[str, list[int]]:
    """The names and shapes of a file of the original code's."""
    return dict(zip(map(str, recorded["names"]), json.loads(str(recorded["shapes"]))))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The net's folder in diffusers' layout."""
    place = tmp_path_factory.mktemp("net")
    ControlNetModel(ControlNetConfig.from_dict(CONFIG)).save_pretrained(place)
    return place


@pytest.mark.parametrize("prefix", ["control_model.", ""])
def test_a_file_of_the_original_code(
    recorded: dict[str, Any], shapes: dict[str, list[int]], folder: Path, tmp_path: Path, prefix: str
) -> None:
    """diffusers makes the same of it. Stable Diffusion 2's nets have no prefix."""
    arrays = {name.replace("control_model.", prefix): tiny.seeded_tensor(name, shape) for name, shape in shapes.items()}
    file = tmp_path / "control.safetensors"
    with open(file, "wb") as stream:
        write(stream, {n: a.shape for n, a in arrays.items()}, arrays.__getitem__, "float32", {"format": "pt"})
    net = ControlNetModel.from_single_file(file, config=folder)
    inputs = [golden("controlnet")[f"sd1_{key}"] for key in ("sample", "timestep", "context")]
    with jt.no_grad():
        down, middle = net(*inputs, recorded["map"], return_dict=False)
    out = np.concatenate([one.numpy().ravel() for one in (*down, middle)])
    assert relative_error(out, recorded["residuals"]) < 1e-5


@pytest.mark.parametrize(("width", "heads", "linear"), [(768, 8, False), (1024, (5, 10, 20, 20), True)])
def test_nets_of_both_families_are_known_without_a_configuration(
    tmp_path: Path, width: int, heads: Any, linear: bool
) -> None:
    text = {"control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (1, width)}
    first = {"control_model.input_hint_block.0.weight": (1, 1)}
    for name, pools in (("control_v11p_sd15_canny", False), ("control_v11e_sd15_shuffle", True)):
        files = read_net_file(write_file(tmp_path / f"{name}.safetensors", {**text, **first}))
        config = files.config
        assert (config.cross_attention_dim, config.attention_head_dim) == (width, heads)
        assert (config.use_linear_projection, config.global_pool_conditions) == (linear, pools)
        assert config.conditioning_embedding_out_channels == (16, 32, 96, 256)


def test_identity_is_of_weights_and_configuration(folder: Path, tmp_path: Path) -> None:
    same = tmp_path / "same"
    same.mkdir()
    for file in folder.iterdir():
        (same / file.name).write_bytes(file.read_bytes())
    assert locate_net(str(same)).identity == locate_net(str(folder)).identity
    config = json.loads((same / "config.json").read_text())
    (same / "config.json").write_text(json.dumps({**config, "global_pool_conditions": True}))
    assert locate_net(str(same)).identity != locate_net(str(folder)).identity


OTHERS = {
    "lllite_unet_input_blocks_1_1.down.0.weight": "a ControlNet-LLLite",
    "lora_controlnet": "a LoRA or Control-LoRA",
    "input_blocks.1.0.in_layers.2.up": "a LoRA or Control-LoRA",
    "lora_unet_mid_block.lora_down.weight": "a LoRA or Control-LoRA",
    "difference": "a difference of a net's weights",
    "adapter.body.0.block1.weight": "a T2I-Adapter",
    "image_proj.proj.weight": "an IP-Adapter",
    "task_embedding": "a ControlNet-Union",
    "controlnet_x_embedder.weight": "SD 3 or FLUX",
    "transformer_blocks.0.attn.to_q.weight": "SD 3 or FLUX",
    "control_model.label_emb.0.0.weight": "Stable Diffusion XL: give its folder",
    "model.diffusion_model.input_blocks.0.0.weight": "holds no ControlNet, but model.diffusion_model",
    "control_model.input_hint_block.0.weight": "the net reads texts of width 0",
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_files_are_told(tmp_path: Path, name: str) -> None:
    file = write_file(tmp_path / "net.safetensors", {name: (2, 2)})
    with pytest.raises(InputError, match=OTHERS[name]) as caught:
        locate_net(str(file))
    assert "\n" not in str(caught.value) and "net.safetensors" in str(caught.value)


def test_a_part_of_a_net_is_no_net(shapes: dict[str, list[int]], folder: Path, tmp_path: Path) -> None:
    lacking = {name: shape for name, shape in shapes.items() if "zero_convs.3" not in name}
    file = write_file(tmp_path / "net.safetensors", lacking)
    with pytest.raises(InputError, match=r"2 missing \(control_model.zero_convs.3.0.bias, control_model.zero_convs.3"):
        ControlNetModel.from_single_file(file, config=folder)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("no/such/net/here", "there is no ControlNet 'no/such/net/here'"),
        ("owner/name/control_sd15.pth", "is a pickle"),
        ("nothing.safetensors", "there is no ControlNet 'nothing.safetensors'"),
    ],
)
def test_what_is_not_there(name: str, line: str) -> None:
    with pytest.raises(InputError, match=line):
        locate_net(name)


def test_a_folder_without_a_net(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(InputError, match="has no config.json"):
        locate_net(str(tmp_path))
    with pytest.raises(InputError, match="config is for a ControlNet in one file"):
        locate_net(str(folder), config=str(folder))
    (tmp_path / "net.bin").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(InputError, match="pickle"):
        locate_net(str(tmp_path / "net.bin"))
