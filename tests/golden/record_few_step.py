"""Records diffusers' LCM and TCD step by step: `python tests/golden/record_few_step.py`, to tests/golden/few_step.npz.

Needs what record_samplers.py needs; the "network", the start and the noises are its own. ``cases``, ``times`` and
``samples`` are as in samplers.npz; the rest as in schedulers.npz, and `{class}_asked`: the timesteps of four steps with
``original_inference_steps=100``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import record_schedulers
import torch
from diffusers.schedulers import scheduling_lcm, scheduling_tcd
from record_samplers import INITIAL, NOISES, SD, TYPES, network

CLASSES = {"lcm": diffusers.LCMScheduler, "tcd": diffusers.TCDScheduler}
record_schedulers.DRAWING += (scheduling_lcm, scheduling_tcd)


def run(scheduler: Any, steps: int, start: int, **own: Any) -> Iterator[tuple[float, np.ndarray]]:
    """(time fed, sample after the step) of every call."""
    scheduler.set_timesteps(steps)
    scheduler.set_begin_index(start)
    x = torch.from_numpy(INITIAL)
    for call, t in enumerate(scheduler.timesteps[start:], start):
        noise = torch.from_numpy(NOISES[call % len(NOISES)])
        for module in (scheduling_lcm, scheduling_tcd):
            module.randn_tensor = lambda *args, noise=noise, **settings: noise
        x = scheduler.step(network(x, t), t, x, **own).prev_sample
        yield float(t), x.numpy()


def cases() -> Iterator[dict[str, Any]]:
    for name in CLASSES:
        for kind in TYPES:
            settings = dict(SD, prediction_type=kind)
            for eta in (0.0,) if name == "lcm" else (0.0, 0.3, 1.0):
                for steps, start in ((1, 0), (4, 0), (7, 0), (8, 3)):
                    yield dict(name=name, settings=settings, steps=steps, start=start, eta=eta)
        for change in (
            dict(original_inference_steps=30),
            dict(timestep_scaling=0.01),
            dict(clip_sample=True),
            dict(timestep_spacing="trailing", steps_offset=1, set_alpha_to_one=False),
            dict(rescale_betas_zero_snr=True, prediction_type="v_prediction"),
        ):
            yield dict(name=name, settings={**SD, **change}, steps=4, start=0, eta=0.0 if name == "lcm" else 0.3)


def main() -> None:
    listed, times, samples = [], [], []
    for case in cases():
        scheduler = CLASSES[case["name"]](**case.pop("settings"))
        own = {} if case["name"] == "lcm" else {"eta": case["eta"]}
        first = len(times)
        for t, x in run(scheduler, case["steps"], case["start"], **own):
            times.append(t)
            samples.append(x)
        config = json.loads(scheduler.to_json_string())
        listed.append(dict(case, config=config, init_noise_sigma=1.0, first=first, calls=len(times) - first))
    arrays: dict[str, Any] = {}
    for name, kind in CLASSES.items():
        arrays |= record_schedulers.record_class(name, kind, {})
        scheduler = kind(**SD)
        scheduler.set_timesteps(4, original_inference_steps=100)
        arrays[f"{kind.__name__}_asked"] = scheduler.timesteps.numpy()
        scheduler = kind(**record_schedulers.SETTINGS)
        arrays[f"{kind.__name__}_listed"] = record_schedulers.run(name, scheduler, timesteps=record_schedulers.LISTED)
    np.savez_compressed(
        Path(__file__).with_name("few_step.npz"),
        cases=json.dumps(listed),
        times=np.float64(times),
        samples=np.float32(samples),
        **arrays,
    )


if __name__ == "__main__":
    main()
