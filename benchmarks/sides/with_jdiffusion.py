"""JDiffusion on plain Jittor, and with this project's kernels in its calls."""

# pyright: reportMissingImports=false
from __future__ import annotations

import importlib
import json
import os
import platform
from collections.abc import Sequence
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.sides import Call, Case, Job, inputs

# what keeps Jittor on the CPU, and from downloading or looking for what is not needed there
PLAIN_JITTOR = {
    "nvcc_path": "",
    "use_mpi": "0",
    "use_nccl": "0",
    "use_cutt": "0",
    "use_cutlass": "0",
    "OMP_WAIT_POLICY": "passive",
    "log_silent": "1",
}


class NoCuDNN:
    """JDiffusion limits cuDNN's workspace when it is imported; without CUDA Jittor has no cuDNN to ask that of."""

    def set_max_workspace_ratio(self, ratio: float) -> None:
        """Nothing has a workspace here."""


class JDiffusionSide:
    """Its UNet, filled with the model's weights."""

    def __init__(self, job: Job) -> None:
        if job["precision"] != "fp32":
            raise ValueError("JDiffusion runs in fp32 on a CPU")
        os.environ.update({name: value for name, value in PLAIN_JITTOR.items() if name not in os.environ})
        jt: Any = importlib.import_module("jittor")
        if jt.cudnn is None:
            jt.cudnn = NoCuDNN()
        from JDiffusion.models import UNet2DConditionModel
        from safetensors import safe_open

        self._jt: Any = jt
        folder = Path(job["model"]) / "unet"
        config = json.loads((folder / "config.json").read_text())
        self._unet = UNet2DConditionModel(**{key: value for key, value in config.items() if not key.startswith("_")})
        with safe_open(folder / "diffusion_pytorch_model.safetensors", framework="np") as stored:
            parameters = dict(self._unet.named_parameters())
            if set(parameters) != set(stored.keys()):
                raise ValueError(f"its UNet has other parameters: {sorted(set(parameters) ^ set(stored.keys()))[:3]}")
            for name, parameter in parameters.items():
                parameter.assign(jt.array(stored.get_tensor(name)))
                parameter.sync()
        self._unet.eval()
        self._accelerated = ExitStack()

    def describe(self) -> dict[str, str]:
        """Versions, and the settings that decide about speed."""
        names = ("JDiffusion", "jittor", "diffusers", "transformers", "numpy")
        return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}

    def variants(self, case: Case) -> Sequence[str]:
        """The settings worth trying for a case."""
        return [""]

    def prepare(self, case: Case, variant: str) -> Call:
        """What will be timed, made ready."""
        given, jt = inputs(case), self._jt
        self._accelerated.close()
        if case.get("accelerated"):
            from jstyle.weights.backends.hosted import HostedUNet, accelerate_networks

            self._accelerated.enter_context(accelerate_networks(HostedUNet(self._unet)))

        def call() -> dict[str, Any]:
            with jt.no_grad():
                time = jt.array(np.array([case["time"]], np.float32))
                out = self._unet(jt.array(given["sample"]), time, jt.array(given["text"]), return_dict=False)[0]
                out.sync()
            return {"output": out}

        return call

    def arrays(self, result: dict[str, Any]) -> dict[str, np.ndarray]:
        """A call's result as NumPy arrays."""
        return {name: np.array(one.numpy()) for name, one in result.items()}


def open_side(job: Job) -> JDiffusionSide:
    """Load what the job names."""
    return JDiffusionSide(job)
