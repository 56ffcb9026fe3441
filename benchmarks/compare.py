"""Whether the sides computed the same."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import table
from benchmarks.processes import NotMeasured, Worker
from benchmarks.recording import say

Arrays = Mapping[str, np.ndarray]
Case = dict[str, Any]


def compute_in_fp32(options: argparse.Namespace, job: dict[str, Any], cases: list[Case], scratch: Path) -> None:
    """Store PyTorch's fp32 outputs in each case's `exact_file`: the sides of a lower precision are held to them."""
    say(f"{table.EXACT} computes, to compare with")
    try:
        worker = Worker(table.REFERENCE, options, job, scratch / "exact.log")
    except NotMeasured as reason:
        say(f"there is nothing exact to compare with: {reason}")
        return
    try:
        for case in cases:
            case = {**case, "reuse": False}
            worker.ask("prepare", case=case, variant=worker.ask("variants", case=case)["variants"][0])
            worker.ask("call")
            worker.ask("output", file=str(exact_file(case)))
    except NotMeasured as reason:
        say(f"there is nothing exact to compare with: {reason}")
    finally:
        worker.close()


def exact_file(case: Case) -> Path:
    """Where a case's fp32 outputs are, beside its inputs, if they were computed."""
    inputs = Path(case["inputs"])
    return inputs.with_name(f"exact-{inputs.name}")


def differences(workers: Mapping[str, Worker], exact: Path) -> dict[str, dict[str, float]]:
    """How far the last outputs of each side are from every other's and from the exact ones, see `difference`."""
    files = {}
    for side, worker in workers.items():
        files[side] = exact.with_name(f"{side}.npz")
        worker.ask("output", file=str(files[side]))
    if exact.is_file():
        files[table.EXACT] = exact
    outputs = {name: _stored(file) for name, file in files.items()}
    return {
        one: {other: difference(outputs[one], outputs[other]) for other in outputs if other != one} for one in workers
    }


def difference(one: Arrays, other: Arrays) -> float:
    """The norm of the difference over the norm of ``other``, of the worst of several arrays.

    Infinite where they do not hold the same arrays, NaN where one is not finite.
    """
    if set(one) != set(other) or any(one[name].size != other[name].size for name in one):
        return float("inf")
    pairs = [(one[name].ravel().astype(np.float64), other[name].ravel().astype(np.float64)) for name in one]
    return float(np.max([np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-30) for a, b in pairs]))


def _stored(file: Path) -> Arrays:
    with np.load(file) as stored:
        return {name: stored[name] for name in stored.files}
