"""ControlNets against PyTorch diffusers on the same weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from jstyle.networks import ControlNetModel
from jstyle.networks.config import ControlNetConfig
from jstyle.networks.outputs import ControlNetOutput
from jstyle.runtime import jt
from jstyle.weights.streamed import write
from tests.golden import tiny
from tests.parity.networks import golden, relative_error, seeded

SCALE = 0.7
NETS = {
    "sd1": tiny.controlnet_config(tiny.SD1["unet"]),
    "sd2": tiny.controlnet_config(tiny.SD2["unet"], controlnet_conditioning_channel_order="bgr"),
    "sdxl": tiny.controlnet_config(tiny.SDXL["unet"]),
    "pool": tiny.controlnet_config(tiny.FOLDER["unet"], global_pool_conditions=True),
}


def join(residuals: ControlNetOutput) -> np.ndarray:
    """All residuals end to end, the middle's last."""
    maps = [*residuals.down_block_res_samples, residuals.mid_block_res_sample]
    return np.concatenate([one.numpy().ravel() for one in maps])


@pytest.mark.parametrize("name", NETS)
def test_residuals(name: str) -> None:
    recorded = golden("controlnet")
    net = seeded(ControlNetModel, ControlNetConfig.from_dict(NETS[name]))
    inputs = [recorded[f"{name}_{key}"] for key in ("sample", "timestep", "context", "map")]
    added = {key: recorded[f"sdxl_{key}"] for key in ("text_embeds", "time_ids")} if name == "sdxl" else None
    for mode in ("", "guess_"):
        with jt.no_grad():
            residuals = net(*inputs, SCALE, guess_mode=bool(mode), added_cond_kwargs=added)
        assert relative_error(join(residuals), recorded[f"{name}_{mode}residuals"]) < 1e-5


def test_a_folder_of_diffusers(tmp_path: Path) -> None:
    """Its configuration has dozens of keys that leave the network as it is."""
    recorded = golden("controlnet")
    (tmp_path / "config.json").write_text(str(recorded["config"]))
    config = ControlNetConfig.from_dict(json.loads(str(recorded["config"])))
    assert config == ControlNetConfig.from_dict(NETS["sd1"])
    parameters = {name: tuple(p.shape) for name, p in ControlNetModel(config).named_parameters()}
    with open(tmp_path / "diffusion_pytorch_model.safetensors", "wb") as stream:
        write(stream, parameters, lambda name: tiny.seeded_tensor(name, parameters[name]), "float32", {"format": "pt"})
    net = ControlNetModel.from_pretrained(tmp_path)
    inputs = [recorded[f"sd1_{key}"] for key in ("sample", "timestep", "context", "map")]
    with jt.no_grad():
        assert relative_error(join(net(*inputs, SCALE)), recorded["sd1_residuals"]) < 1e-5
