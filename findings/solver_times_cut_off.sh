#!/usr/bin/env bash
# diffusers 0.42.1, torch 2.13.0, scipy 1.16.3
#
# Guess: DPMSolverMultistepScheduler feeds the network the time that belongs to each sigma, to the nearest whole number,
# whatever curve the sigmas follow; the first sigma is the schedule's largest, so the first time is 999.
#
# Seen: with Karras sigmas the first time is 999. With exponential and with beta sigmas it is 998, at the same first
# sigma: times found in float32 (998.99997) are cut off to whole ones, not rounded, and so is every later one. DEIS and
# UniPC do the same; Euler and Heun keep the fraction.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet diffusers==0.42.1 torch==2.13.0 scipy==1.16.3
"$folder/venv/bin/python" - <<'PYTHON'
import diffusers

SD = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
SOLVERS = (
    diffusers.DPMSolverMultistepScheduler,
    diffusers.DEISMultistepScheduler,
    diffusers.UniPCMultistepScheduler,
)
seen = {}
for scheduler_class in (*SOLVERS, diffusers.EulerDiscreteScheduler):
    for curve in ("karras", "exponential", "beta"):
        scheduler = scheduler_class(**SD, **{f"use_{curve}_sigmas": True})
        scheduler.set_timesteps(12)
        seen[scheduler_class.__name__, curve] = round(float(scheduler.timesteps[0]), 2), round(float(scheduler.sigmas[0]), 3)
        print(scheduler_class.__name__, curve, *seen[scheduler_class.__name__, curve])
assert len({sigma for _, sigma in seen.values()}) == 1
for scheduler_class in SOLVERS:
    first = [seen[scheduler_class.__name__, curve][0] for curve in ("karras", "exponential", "beta")]
    assert first == [999, 998, 998], first
assert {seen["EulerDiscreteScheduler", curve][0] for curve in ("karras", "exponential", "beta")} == {999}
PYTHON
