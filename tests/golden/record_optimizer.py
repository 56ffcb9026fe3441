"""Records PyTorch's AdamW with clipped gradients: tests/golden/optimizer.npz.

Needs PyTorch 2.13, which the project itself does not:

    python tests/golden/record_optimizer.py

Each case holds the parameters before, the gradients of each step, and after each step the parameters, both moments and
the gradients' global norm before clipping. One parameter is 203 long: no multiple of a vector.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

SHAPES = {"matrix": (5, 7), "vector": (203,), "scalar": (1,)}
STEPS = 6
CASES = (
    dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2, clip=1.0),
    dict(lr=0.03, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.3, clip=1e9),
)


def record(case: dict[str, Any], rng: np.random.Generator) -> dict[str, np.ndarray]:
    arrays = {}
    parameters = {}
    for name, shape in SHAPES.items():
        before = rng.standard_normal(shape).astype(np.float32)
        arrays[f"before_{name}"] = before
        parameters[name] = torch.nn.Parameter(torch.from_numpy(before.copy()))
    settings = {key: value for key, value in case.items() if key != "clip"}
    optimizer = torch.optim.AdamW(parameters.values(), **settings)
    for step in range(STEPS):
        for name, parameter in parameters.items():
            gradient = (rng.standard_normal(SHAPES[name]) * 10.0 ** rng.uniform(-3, 0)).astype(np.float32)
            arrays[f"gradient{step}_{name}"] = gradient
            parameter.grad = torch.from_numpy(gradient.copy())
        arrays[f"norm{step}"] = torch.nn.utils.clip_grad_norm_(parameters.values(), case["clip"]).numpy()
        optimizer.step()
        for name, parameter in parameters.items():
            state = optimizer.state[parameter]
            arrays[f"after{step}_{name}"] = parameter.detach().numpy().copy()
            arrays[f"m{step}_{name}"] = state["exp_avg"].numpy().copy()
            arrays[f"v{step}_{name}"] = state["exp_avg_sq"].numpy().copy()
    return arrays


def main() -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(11)
    arrays = {}
    for number, case in enumerate(CASES):
        arrays[f"case{number}_settings"] = json.dumps(case)
        arrays.update({f"case{number}_{name}": array for name, array in record(case, rng).items()})
    path = Path(__file__).with_name("optimizer.npz")
    np.savez_compressed(path, versions=json.dumps({"torch": torch.__version__}), **arrays)


if __name__ == "__main__":
    main()
