"""Records what a script sees of diffusers' schedulers: `python tests/golden/record_schedulers.py`, to schedulers.npz.

Needs what record_solvers.py needs. The "network" and the noises are those of record_samplers.py. For each class, with
SETTINGS and velocities, `{class}_`
* `timesteps`, `sigmas` where there are any, and `init` (init_noise_sigma) of seven steps;
* `noisy` (INITIAL with DRIFT as noise), and `velocity` for DDIM and DDPM, at training times 0 and 640 before the steps
  were set; `noisy_later`, at the third and the fifth of the timesteps;
* `changed`: every sample of a run whose caller moves x to 0.9 x + 0.1 DRIFT after each step, in diffusers' scale;
* `later`: the samples of a run that begins at the fourth step's time; `listed`: of one over LISTED times.
`spacings` is a JSON list of (class, target class, how, spacing): what from_config makes of configs with a spacing and
without one.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import record_samplers
import record_solvers
import torch
from diffusers.schedulers import (
    scheduling_ddpm,
    scheduling_euler_ancestral_discrete,
    scheduling_k_dpm_2_ancestral_discrete,
)
from record_samplers import DRIFT, INITIAL, NOISES, SD, network

STEPS, LATER, LISTED = 7, 3, [900, 600, 300, 100]
CLASSES = {**record_samplers.CLASSES, **record_solvers.CLASSES}
del CLASSES["inverse"], CLASSES["dpmpp_3m"], CLASSES["dpmpp_2m_sde"]
SETTINGS = dict(SD, prediction_type="v_prediction")
DRAWING = (scheduling_ddpm, scheduling_euler_ancestral_discrete, scheduling_k_dpm_2_ancestral_discrete)


def run(name: str, scheduler: Any, first: int = 0, move: bool = False, **times: Any) -> np.ndarray:
    """The samples of a run from the timestep ``first`` on, which is told by its time alone."""
    scheduler.set_timesteps(**times or {"num_inference_steps": STEPS})
    x = torch.from_numpy(INITIAL) * scheduler.init_noise_sigma
    samples = []
    for call, t in enumerate(scheduler.timesteps[first:]):
        noise = torch.from_numpy(NOISES[call % len(NOISES)])
        for module in DRAWING:
            module.randn_tensor = lambda *args, noise=noise, **settings: noise
        if name == "dpmpp_sde":
            scheduler.noise_sampler = record_solvers.brownian(call, scheduler)
        output = network(scheduler.scale_model_input(x, t), t)
        x = scheduler.step(output, t, x).prev_sample
        samples.append(x.numpy())
        if move:
            x = 0.9 * x + 0.1 * torch.from_numpy(DRIFT)
    return np.stack(samples)


def record_class(name: str, kind: Any, own: dict[str, Any]) -> dict[str, np.ndarray]:
    settings = {**SETTINGS, **own}
    scheduler = kind(**settings)
    pair, times = (torch.from_numpy(INITIAL), torch.from_numpy(DRIFT).expand(2, 1, 3, 3)), torch.tensor([0, 640])
    arrays = {"noisy": scheduler.add_noise(*pair, times).numpy()}
    if name in ("ddim", "ddpm"):  # Euler's takes the level of another time
        arrays["velocity"] = scheduler.get_velocity(*pair, times).numpy()
    arrays["changed"] = run(name, kind(**settings), move=True)
    if name not in ("pndm", "lms"):  # these go wrong from the middle
        arrays["later"] = run(name, kind(**settings), LATER * kind.order)
    if name in ("ddpm", "euler", "heun", "dpmpp_2m", "dpmpp_2s"):
        arrays["listed"] = run(name, kind(**settings), timesteps=LISTED)
    scheduler.set_timesteps(STEPS)
    arrays["noisy_later"] = scheduler.add_noise(*pair, scheduler.timesteps[[2, 4]]).numpy()
    arrays["timesteps"], arrays["init"] = scheduler.timesteps.numpy(), np.float64(scheduler.init_noise_sigma)
    if hasattr(scheduler, "sigmas"):
        arrays["sigmas"] = scheduler.sigmas.numpy()
    return {f"{kind.__name__}_{key}": array for key, array in arrays.items()}


def list_spacings() -> list[list[Any]]:
    """What becomes of a spacing from a class to another: made in Python or read from a file, named or not."""
    targets = (diffusers.DDIMScheduler, diffusers.EulerDiscreteScheduler)
    found = []
    for source in (diffusers.PNDMScheduler, diffusers.DPMSolverMultistepScheduler):
        for named in ({}, {"timestep_spacing": "trailing"}):
            own = {"skip_prk_steps": True} if source is diffusers.PNDMScheduler else {}
            scheduler = source(**own, **named)
            with tempfile.TemporaryDirectory() as folder:
                scheduler.save_pretrained(folder)
                read = source.from_pretrained(folder)
                plain = {"_class_name": source.__name__, **own, **named}
                (Path(folder) / "scheduler_config.json").write_text(json.dumps(plain))
                bare = source.from_pretrained(folder)
            for target in targets:
                for how, config in (("made", scheduler.config), ("saved", read.config), ("bare", bare.config)):
                    spacing = target.from_config(config).config.timestep_spacing
                    found.append([source.__name__, target.__name__, how, named, spacing])
    return found


def main() -> None:
    arrays: dict[str, Any] = {"spacings": json.dumps(list_spacings())}
    for name, (kind, own) in CLASSES.items():
        arrays |= record_class(name, kind, own)
    np.savez_compressed(Path(__file__).with_name("schedulers.npz"), **arrays)


if __name__ == "__main__":
    main()
