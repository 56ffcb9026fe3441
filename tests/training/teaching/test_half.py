"""Training in fp16: near that in fp32, in which the trained numbers stay. Without a GPU Jittor computes it slowly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jstyle.errors import InputError
from jstyle.ops import precision
from jstyle.training import LoopSettings
from jstyle.training.report import read_log
from jstyle.weights.tensors import FileTensors
from tests.training.teaching.small import WHOLE, interrupt, pictures, run

LOOP = LoopSettings(steps=2, rate=1e-3)


def trained(method: str, folder: Path, chosen: str, **changes: Any) -> Path:
    data = pictures(folder.parent / "data")
    return run(method, data, folder, precision=chosen, loop=LOOP, **changes)


def read_tensors(result: Path) -> FileTensors:
    return FileTensors([result / "unet/diffusion_pytorch_model.safetensors" if result.is_dir() else result])


@pytest.mark.skipif(precision.on_gpu(), reason="there is one")
def test_it_needs_a_gpu(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fp16 needs a GPU"):
        trained("lora", tmp_path / "run", "fp16")


@pytest.mark.parametrize(
    ("method", "changes"),
    [("textual_inversion", {}), ("lora", {"recompute": True}), ("fine_tuning", {})],
    ids=["textual_inversion", "lora", "fine_tuning"],
)
def test_it_is_near_fp32(method: str, changes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "on_gpu", lambda: True)
    results = [trained(method, tmp_path / chosen, chosen, **changes) for chosen in ("fp32", "fp16")]
    logs = [read_log(tmp_path / chosen) for chosen in ("fp32", "fp16")]
    for exact, half in zip(*logs):
        assert half["loss"] == pytest.approx(exact["loss"], rel=2e-3)
        assert half["grad_norm"] == pytest.approx(exact["grad_norm"], rel=3e-2)
        assert half["loss"] != exact["loss"]
    exact, half = map(read_tensors, results)
    moved = []
    for name in exact.shapes():
        a, b = exact.read(name), half.read(name)
        assert b.dtype == np.float32 and np.abs(a - b).max() < 2.5 * LOOP.steps * LOOP.rate, name
        moved += [(a != b).mean()] * (method not in WHOLE or a.size > 64)
    assert np.mean(moved) > 0.5  # the masters take steps finer than fp16


def test_it_resumes_to_the_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "on_gpu", lambda: True)
    whole = trained("textual_inversion", tmp_path / "whole", "fp16").read_bytes()
    with monkeypatch.context() as stopped:
        interrupt(stopped, after=1)
        with pytest.raises(KeyboardInterrupt):
            trained("textual_inversion", tmp_path / "parts", "fp16")
    assert trained("textual_inversion", tmp_path / "parts", "fp16").read_bytes() == whole
