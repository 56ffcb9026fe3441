"""Records diffusers' other schedulers, and curves of sigmas, step by step: tests/golden/solvers.npz and
solvers_zero_snr.npz.

Needs what record_samplers.py needs, and torchsde. The "network", the start and the noises are those of
record_samplers.py, so this file keeps cases, times and samples alone. DPMSolverSDE's noise is made a Brownian path
through the recorded noises; every sample is stored in variance-preserving scale.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import record_samplers
import torch
from diffusers.schedulers import scheduling_euler_ancestral_discrete, scheduling_k_dpm_2_ancestral_discrete
from record_samplers import INITIAL, NOISES, SD, SPACINGS, START, network

SDE = dict(algorithm_type="sde-dpmsolver++")
CLASSES = {
    "euler_a": (diffusers.EulerAncestralDiscreteScheduler, {}),
    "heun": (diffusers.HeunDiscreteScheduler, {}),
    "kdpm2": (diffusers.KDPM2DiscreteScheduler, {}),
    "kdpm2_a": (diffusers.KDPM2AncestralDiscreteScheduler, {}),
    "dpmpp_sde": (diffusers.DPMSolverSDEScheduler, {}),
    "dpmpp_3m": (diffusers.DPMSolverMultistepScheduler, dict(solver_order=3)),
    "dpmpp_2m_sde": (diffusers.DPMSolverMultistepScheduler, SDE),
    "dpmpp_2s": (diffusers.DPMSolverSinglestepScheduler, {}),
    "deis": (diffusers.DEISMultistepScheduler, {}),
    "unipc": (diffusers.UniPCMultistepScheduler, {}),
}
BENT = {
    **{name: CLASSES[name] for name in ("heun", "kdpm2", "kdpm2_a", "dpmpp_sde", "dpmpp_3m", "deis", "unipc")},
    **{name: record_samplers.CLASSES[name] for name in ("lms", "euler", "dpmpp_2m")},
}
CURVES = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas")
IN_SIGMA = ("lms", "euler", "euler_a", "heun", "kdpm2", "kdpm2_a", "dpmpp_sde")
TWICE = ("heun", "kdpm2", "kdpm2_a", "dpmpp_sde")


def sigma_of(name: str, scheduler: Any) -> float:
    """The sigma at which the sample stands now."""
    index = scheduler.step_index
    if name in TWICE and not scheduler.state_in_first_order:
        if name == "kdpm2":
            return scheduler.sigmas_interpol[index]
        if name == "kdpm2_a":
            return scheduler.sigmas_interpol[index - 1]
        if name == "dpmpp_sde":
            return scheduler.mid_point_sigma
    return scheduler.sigmas[index]


def brownian(call: int, scheduler: Any) -> Callable[[Any, Any], torch.Tensor]:
    """Unit noise between two sigmas; from the second call on, that of the whole step, made of its two halves."""
    noises = [torch.from_numpy(NOISES[i % len(NOISES)]) for i in (call - 1, call)]

    def draw(here: Any, there: Any) -> torch.Tensor:
        if scheduler.state_in_first_order:
            return noises[1]
        first = (here - scheduler.mid_point_sigma) / (here - there)
        return first**0.5 * noises[0] + (1 - first) ** 0.5 * noises[1]

    return draw


def run(name: str, scheduler: Any, steps: int, start: int) -> Iterator[tuple[float, np.ndarray]]:
    """(time fed, sample after the step) of every call."""
    scheduler.set_timesteps(steps)
    first = start * (2 if name in TWICE else 1)
    if name != "lms":
        scheduler.set_begin_index(first)
    x = torch.from_numpy(INITIAL) * scheduler.init_noise_sigma
    if start and name in IN_SIGMA:
        x = torch.from_numpy(INITIAL) * (1 + scheduler.sigmas[first] ** 2) ** 0.5
    for call, t in enumerate(scheduler.timesteps[first:], start):
        noise = torch.from_numpy(NOISES[call % len(NOISES)])
        for module in (scheduling_euler_ancestral_discrete, scheduling_k_dpm_2_ancestral_discrete):
            module.randn_tensor = lambda *args, noise=noise, **settings: noise
        output = network(scheduler.scale_model_input(x, t), t)
        if name == "dpmpp_sde":
            scheduler.noise_sampler = brownian(call, scheduler)
        extra = dict(variance_noise=noise) if name == "dpmpp_2m_sde" else {}
        x = scheduler.step(output, t, x, **extra).prev_sample
        scale = (1 + sigma_of(name, scheduler) ** 2) ** 0.5 if name in IN_SIGMA else 1.0
        yield float(t), (x / scale).numpy()


def cases() -> Iterator[dict[str, Any]]:
    for name, (_, own) in CLASSES.items():
        for spacing, offset in SPACINGS:
            if name == "dpmpp_2s" and spacing != "linspace":
                continue
            spaced = {} if name == "dpmpp_2s" else dict(timestep_spacing=spacing, steps_offset=offset)
            for steps in (10, 17):
                yield dict(name=name, settings=dict(SD, **own, **spaced), steps=steps, start=0)
        for kind in ("epsilon", "v_prediction"):
            spaced = {} if name == "dpmpp_2s" else dict(timestep_spacing="leading", steps_offset=1)
            settings = dict(SD, **own, **spaced, prediction_type=kind)
            yield dict(name=name, settings=settings, steps=10, start=START)
            yield dict(name=name, settings=settings, steps=11, start=START - 1)
    for name, (_, own) in BENT.items():
        for curve in CURVES:
            yield dict(name=name, settings=dict(SD, **own, **{curve: True}), steps=12, start=0)


ZERO_SNR = ("euler_a", "dpmpp_3m", "dpmpp_2m_sde", "unipc")  # diffusers' other classes here do not have the setting


def zero_snr_cases() -> Iterator[dict[str, Any]]:
    """From a last level of pure noise, which trailing and linspace spacing feed."""
    for name in ZERO_SNR:
        for spacing in ("trailing", "linspace", "leading"):
            for kind in ("v_prediction",) if name == "euler_a" else ("v_prediction", "sample"):
                settings = dict(SD, **CLASSES[name][1], timestep_spacing=spacing, prediction_type=kind)
                yield dict(name=name, settings=dict(settings, rescale_betas_zero_snr=True), steps=10, start=0)


def main() -> None:
    record("solvers.npz", cases())
    record("solvers_zero_snr.npz", zero_snr_cases())


def record(file: str, cases: Iterator[dict[str, Any]]) -> None:
    """Write the times and samples of every call of the cases."""
    listed, times, samples = [], [], []
    for case in cases:
        scheduler = (CLASSES | BENT)[case["name"]][0](**case.pop("settings"))
        first = len(times)
        for t, x in run(case["name"], scheduler, case["steps"], case["start"]):
            times.append(t)
            samples.append(x)
        config = json.loads(scheduler.to_json_string())
        scale = float(scheduler.init_noise_sigma)
        listed.append(dict(case, eta=0.0, config=config, init_noise_sigma=scale, first=first, calls=len(times) - first))
    np.savez_compressed(
        Path(__file__).with_name(file),
        cases=json.dumps(listed),
        times=np.float64(times),
        samples=np.float32(samples),
    )


if __name__ == "__main__":
    main()
