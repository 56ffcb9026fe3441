"""OpenVINO's CPU plugin on diffusers' UNet, converted once and kept beside the weights."""

# pyright: reportMissingImports=false
from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from benchmarks.sides import Call, Case, Job, inputs

PRECISIONS = {"fp32": "f32", "bf16": "bf16"}


class OpenVINOSide:
    """The UNet, compiled for each case's own shapes: OpenVINO is fastest when it knows them."""

    def __init__(self, job: Job) -> None:
        folder = Path(job["model"])
        self._file = (folder / "unet").resolve() / f"openvino-{metadata.version('openvino')}.xml"
        self._settings = {
            "INFERENCE_PRECISION_HINT": PRECISIONS[job["precision"]],
            "INFERENCE_NUM_THREADS": job["threads"],
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
        }
        if not self._file.is_file():  # in a process of its own, so that it does not count as this one's memory
            command = [sys.executable, "-m", "benchmarks.sides.convert_openvino", str(folder), str(self._file)]
            subprocess.run(command, check=True, stdout=sys.stderr)
        self._network: Any = None

    def describe(self) -> dict[str, str]:
        """Versions, and the settings that decide about speed."""
        names = ("openvino", "torch", "diffusers", "numpy")
        return {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in names},
            **{name: str(value) for name, value in self._settings.items()},
        }

    def variants(self, case: Case) -> Sequence[str]:
        """The settings worth trying for a case."""
        return [""]

    def prepare(self, case: Case, variant: str) -> Call:
        """What will be timed, made ready."""
        given = inputs(case)
        self._network = None  # the last case's goes before this one's comes
        core = ov.Core()
        model = core.read_model(self._file)
        sample, time, text = given["sample"], np.array(case["time"], np.float32), given["text"]
        model.reshape(dict(zip(model.inputs, (one.shape for one in (sample, time, text)))))
        self._network = core.compile_model(model, "CPU", self._settings)
        request = self._network.create_infer_request()

        def call() -> dict[str, Any]:
            return {"output": request.infer([sample, time, text])[0]}

        return call

    def arrays(self, result: dict[str, Any]) -> dict[str, np.ndarray]:
        """A call's result as NumPy arrays."""
        return {name: np.array(one, np.float32) for name, one in result.items()}


def open_side(job: Job) -> OpenVINOSide:
    """Load what the job names."""
    os.environ.setdefault("OPENVINO_TELEMETRY", "0")
    return OpenVINOSide(job)
