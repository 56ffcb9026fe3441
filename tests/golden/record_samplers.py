"""Records diffusers' schedulers step by step: tests/golden/samplers.npz, samplers_zero_snr.npz and
samplers_runge_kutta.npz.

Needs PyTorch 2.13, diffusers 0.42.1 and scipy, which the project itself does not:

    python tests/golden/record_samplers.py

The "network" is tanh(0.7 x + drift sin(t / 150)), read as eps, v or x0. Every sample is stored in
variance-preserving scale. Two image-to-image starts are driven by hand, because diffusers' own go wrong:
PNDM does not repeat its second time, so that every later call is fed one level too low, and LMS takes the
weights of four slopes while it remembers fewer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from diffusers.schedulers import scheduling_ddpm

SHAPE = (2, 1, 3, 3)
SD = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
SPACINGS = (("leading", 0), ("leading", 1), ("linspace", 0), ("trailing", 0))
TYPES = ("epsilon", "v_prediction", "sample")
CLASSES = {
    "ddim": (diffusers.DDIMScheduler, dict(clip_sample=False, set_alpha_to_one=False)),
    "ddpm": (diffusers.DDPMScheduler, dict(clip_sample=False)),
    "pndm": (diffusers.PNDMScheduler, dict(skip_prk_steps=True)),
    "lms": (diffusers.LMSDiscreteScheduler, {}),
    "euler": (diffusers.EulerDiscreteScheduler, {}),
    "dpmpp_2m": (diffusers.DPMSolverMultistepScheduler, {}),
    "inverse": (diffusers.schedulers.DDIMInverseScheduler, dict(clip_sample=False, set_alpha_to_one=False)),
}
RUNGE_KUTTA = {"pndm_rk": (diffusers.PNDMScheduler, dict(skip_prk_steps=False))}
ZERO_SNR = ("ddim", "ddpm", "euler", "dpmpp_2m")  # the others' schedulers do not know it
START = 4

rng = np.random.default_rng(7)
INITIAL, DRIFT = (rng.standard_normal(SHAPE).astype(np.float32) for _ in range(2))
NOISES = rng.standard_normal((20, *SHAPE)).astype(np.float32)


def network(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    return torch.tanh(0.7 * x + torch.from_numpy(DRIFT) * float(np.sin(float(t) / 150)))


def prepared(name: str, scheduler: Any, steps: int, start: int) -> list[Any]:
    """The times to feed, from `start` on, with the scheduler made ready for them."""
    scheduler.set_timesteps(steps)
    times = scheduler.timesteps
    if start == 0:
        return list(times)
    if name == "pndm":
        levels = [times[0], *times[2:]][start:]
        return [*levels[:2], *levels[1:]]
    if name == "lms":
        scheduler.timesteps, scheduler.sigmas = times[start:], scheduler.sigmas[start:]
    elif hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(start)
    return list(times[start:])


def run(name: str, scheduler: Any, steps: int, start: int, eta: float) -> Iterator[tuple[float, np.ndarray]]:
    """(time fed, sample after the step) of every call."""
    times = prepared(name, scheduler, steps, start)
    in_sigma = name in ("lms", "euler")
    x = torch.from_numpy(INITIAL) * scheduler.init_noise_sigma
    if in_sigma and start:
        x = torch.from_numpy(INITIAL) * (1 + scheduler.sigmas[0 if name == "lms" else start] ** 2) ** 0.5
    for call, t in enumerate(times):
        noise = torch.from_numpy(NOISES[(start + call) % len(NOISES)])
        scheduling_ddpm.randn_tensor = lambda *args, noise=noise, **settings: noise
        output = network(scheduler.scale_model_input(x, t), t)
        extra = dict(eta=eta, variance_noise=noise) if eta else {}
        x = scheduler.step(output, t, x, **extra).prev_sample
        sigma = scheduler.sigmas[scheduler.step_index] if in_sigma else 0.0
        yield float(t), (x / (1 + sigma**2) ** 0.5).numpy()


def cases() -> Iterator[dict[str, Any]]:
    for name, (_, own) in CLASSES.items():
        for spacing, offset in SPACINGS:
            for kind in TYPES:
                if (name == "pndm" and kind == "sample") or (name == "inverse" and kind != "epsilon"):
                    continue
                if name == "inverse" and spacing == "linspace":
                    continue
                settings = dict(SD, **own, timestep_spacing=spacing, steps_offset=offset, prediction_type=kind)
                for steps in (10, 20):
                    yield dict(name=name, settings=settings, steps=steps, start=0, eta=0.0)
                    if name == "ddim":
                        yield dict(name=name, settings=settings, steps=steps, start=0, eta=1.0)
        if name != "inverse":
            for kind in TYPES[:2]:
                settings = dict(SD, **own, timestep_spacing="leading", steps_offset=1, prediction_type=kind)
                yield dict(name=name, settings=settings, steps=10, start=START, eta=0.0)
    for name, change in (("ddim", "clip_sample"), ("ddpm", "clip_sample"), ("ddim", "set_alpha_to_one")):
        settings = dict(SD, **{**CLASSES[name][1], change: True})
        yield dict(name=name, settings=settings, steps=10, start=0, eta=0.0)


def zero_snr_cases() -> Iterator[dict[str, Any]]:
    """From a last level of pure noise, which trailing and linspace spacing feed."""
    for name in ZERO_SNR:
        for spacing in ("trailing", "linspace", "leading"):
            for kind in TYPES[1:]:
                settings = dict(SD, **CLASSES[name][1], timestep_spacing=spacing, prediction_type=kind)
                settings["rescale_betas_zero_snr"] = True
                yield dict(name=name, settings=settings, steps=10, start=0, eta=0.0)
                if name == "ddim":
                    yield dict(name=name, settings=settings, steps=10, start=0, eta=1.0)


def runge_kutta_cases() -> Iterator[dict[str, Any]]:
    """PNDM as its paper begins it."""
    for spacing, offset in SPACINGS:
        for kind in TYPES[:2]:
            settings = dict(SD, timestep_spacing=spacing, steps_offset=offset, prediction_type=kind)
            for steps in (4, 10, 30):
                yield dict(name="pndm_rk", settings=settings, steps=steps, start=0, eta=0.0)


def record(file: str, cases: Iterator[dict[str, Any]], **more: Any) -> None:
    """Write the times and samples of every call of the cases."""
    listed, times, samples = [], [], []
    for case in cases:
        scheduler = (CLASSES | RUNGE_KUTTA)[case["name"]][0](**case.pop("settings"))
        first = len(times)
        for t, x in run(case["name"], scheduler, case["steps"], case["start"], case["eta"]):
            times.append(t)
            samples.append(x)
        scale = float(scheduler.init_noise_sigma)
        config = json.loads(scheduler.to_json_string())
        listed.append(dict(case, config=config, init_noise_sigma=scale, first=first, calls=len(times) - first))
    np.savez_compressed(
        Path(__file__).with_name(file),
        cases=json.dumps(listed),
        times=np.float64(times),
        samples=np.float32(samples),
        initial=INITIAL,
        drift=DRIFT,
        noises=NOISES,
        **more,
    )


def main() -> None:
    alpha_bars = {
        f"alpha_bars_{name}": diffusers.DDIMScheduler(beta_schedule=name).alphas_cumprod.numpy()[::37]
        for name in ("linear", "scaled_linear", "squaredcos_cap_v2")
    }
    record("samplers.npz", cases(), **alpha_bars)
    zero = diffusers.DDIMScheduler(**SD, rescale_betas_zero_snr=True).alphas_cumprod.numpy()
    record("samplers_zero_snr.npz", zero_snr_cases(), alpha_bars=zero)
    record("samplers_runge_kutta.npz", runge_kutta_cases())


if __name__ == "__main__":
    main()
