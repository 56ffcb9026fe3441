#!/usr/bin/env bash
# diffusers 0.42.1, torch 2.13.0
#
# Guess: a scheduler that was just made noises a clean sample to the training time that it is given: hardly at time 0,
# almost wholly at time 999; and get_velocity mixes signal and noise by that time. So a training loop may take any class.
#
# Seen: add_noise of DPMSolverMultistep, DPMSolverSinglestep, DEIS and UniPC, before set_timesteps, takes the level of the
# mirrored time: at time 0 it leaves 0.068 of the sample, at 999 0.9996, as if 999 - t had been given. After set_timesteps
# it is right. EulerDiscrete's add_noise is right, but its get_velocity is mirrored so, before set_timesteps and after it
# (where it takes the place in the list of steps for a time). DDIM and DDPM are right in both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet diffusers==0.42.1 torch==2.13.0
"$folder/venv/bin/python" - <<'PYTHON'
import diffusers
import torch

SD = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
ONE, NOTHING = torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
right = diffusers.DDPMScheduler(**SD)


def signal(scheduler, time):
    """How much of a sample is left at a time, of 1."""
    return round(float(scheduler.add_noise(ONE, NOTHING, torch.tensor([time]))), 4)


def noise_in_velocity(scheduler, time):
    """The share of the noise in the velocity: the root of alpha_bar."""
    return round(float(scheduler.get_velocity(NOTHING, ONE, torch.tensor([time]))), 4)


wanted = [signal(right, time) for time in (0, 999)]
print("DDPM leaves", wanted, "at times 0 and 999")
for name in ("DPMSolverMultistep", "DPMSolverSinglestep", "DEISMultistep", "UniPCMultistep"):
    scheduler = getattr(diffusers, f"{name}Scheduler")(**SD)
    found = [signal(scheduler, time) for time in (0, 999)]
    print(name, "leaves", found)
    assert found == wanted[::-1]
    scheduler.set_timesteps(10)
    first = int(scheduler.timesteps[0])
    assert signal(scheduler, first) == signal(right, first)

velocities = [noise_in_velocity(right, time) for time in (0, 999)]
euler = diffusers.EulerDiscreteScheduler(**SD)
found = [noise_in_velocity(euler, float(time)) for time in (0, 999)]
print("the noise's share in the velocity at 0 and 999: DDPM", velocities, "Euler", found)
assert found == velocities[::-1]
euler.set_timesteps(10)
found = noise_in_velocity(euler, float(euler.timesteps[0]))
print("and at the first of ten timesteps, 999: Euler", found)
assert found == velocities[0]
PYTHON
