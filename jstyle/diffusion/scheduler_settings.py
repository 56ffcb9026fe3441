"""The settings of diffusers' scheduler classes, each with its default, in the order of their constructors (0.42.1)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Settings = Mapping[str, Any]

_TIMES: Settings = {"num_train_timesteps": 1000}
_USUAL_BETAS: Settings = {"beta_start": 0.0001, "beta_end": 0.02}
_BETAS_OF_STABLE_DIFFUSION: Settings = {"beta_start": 0.00085, "beta_end": 0.012}
_SHAPE: Settings = {"beta_schedule": "linear", "trained_betas": None}
_USUAL: Settings = {**_TIMES, **_USUAL_BETAS, **_SHAPE}
_OF_STABLE_DIFFUSION: Settings = {**_TIMES, **_BETAS_OF_STABLE_DIFFUSION, **_SHAPE}
_EPSILON: Settings = {"prediction_type": "epsilon"}
_CURVES: Settings = {"use_karras_sigmas": False, "use_exponential_sigmas": False, "use_beta_sigmas": False}
_LEADING: Settings = {"timestep_spacing": "leading", "steps_offset": 0}
_LINSPACE: Settings = {"timestep_spacing": "linspace", "steps_offset": 0}
_THRESHOLDING: Settings = {"thresholding": False, "dynamic_thresholding_ratio": 0.995}
_SOLVER: Settings = {"solver_order": 2, **_EPSILON, **_THRESHOLDING, "sample_max_value": 1.0}
_FLOW: Settings = {"use_flow_sigmas": False, "flow_shift": 1.0}
_SHIFTING: Settings = {"use_dynamic_shifting": False, "time_shift_type": "exponential"}
_ZERO_SNR: Settings = {"rescale_betas_zero_snr": False}
_CLIPPED: Settings = {"clip_sample_range": 1.0, "sample_max_value": 1.0, "timestep_spacing": "leading"}
_DISTILLED: Settings = {
    **_OF_STABLE_DIFFUSION, "beta_schedule": "scaled_linear", "original_inference_steps": 50, "clip_sample": False,
    "clip_sample_range": 1.0, "set_alpha_to_one": True, "steps_offset": 0, **_EPSILON, **_THRESHOLDING,
    "sample_max_value": 1.0, "timestep_spacing": "leading", "timestep_scaling": 10.0, **_ZERO_SNR,
}  # fmt: skip
_FINAL: Settings = {"final_sigmas_type": "zero", "lambda_min_clipped": -math.inf, "variance_type": None}

SCHEDULER_SETTINGS: Mapping[str, Settings] = {
    "DDIMScheduler": {
        **_USUAL, "clip_sample": True, "set_alpha_to_one": True, "steps_offset": 0, **_EPSILON, **_THRESHOLDING,
        **_CLIPPED, **_ZERO_SNR,
    },
    "DDIMInverseScheduler": {
        **_USUAL, "clip_sample": True, "set_alpha_to_one": True, "steps_offset": 0, **_EPSILON,
        "clip_sample_range": 1.0, "timestep_spacing": "leading", **_ZERO_SNR,
    },
    "DDPMScheduler": {
        **_USUAL, "variance_type": "fixed_small", "clip_sample": True, **_EPSILON, **_THRESHOLDING, **_CLIPPED,
        "steps_offset": 0, **_ZERO_SNR,
    },
    "PNDMScheduler": {**_USUAL, "skip_prk_steps": False, "set_alpha_to_one": False, **_EPSILON, **_LEADING},
    "LMSDiscreteScheduler": {**_USUAL, **_CURVES, **_EPSILON, **_LINSPACE},
    "EulerDiscreteScheduler": {
        **_USUAL, **_EPSILON, "interpolation_type": "linear", **_CURVES, "sigma_min": None, "sigma_max": None,
        "timestep_spacing": "linspace", "timestep_type": "discrete", "steps_offset": 0, **_ZERO_SNR,
        "final_sigmas_type": "zero",
    },
    "EulerAncestralDiscreteScheduler": {**_USUAL, **_EPSILON, **_LINSPACE, **_ZERO_SNR},
    "HeunDiscreteScheduler": {
        **_OF_STABLE_DIFFUSION, **_EPSILON, **_CURVES, "clip_sample": False, "clip_sample_range": 1.0, **_LINSPACE,
    },
    "KDPM2DiscreteScheduler": {**_OF_STABLE_DIFFUSION, **_CURVES, **_EPSILON, **_LINSPACE},
    "KDPM2AncestralDiscreteScheduler": {**_OF_STABLE_DIFFUSION, **_CURVES, **_EPSILON, **_LINSPACE},
    "DPMSolverMultistepScheduler": {
        **_USUAL, **_SOLVER, "algorithm_type": "dpmsolver++", "solver_type": "midpoint", "lower_order_final": True,
        "euler_at_final": False, **_CURVES, "use_lu_lambdas": False, **_FLOW, **_FINAL, **_LINSPACE, **_ZERO_SNR,
        **_SHIFTING,
    },
    "DPMSolverSinglestepScheduler": {
        **_USUAL, **_SOLVER, "algorithm_type": "dpmsolver++", "solver_type": "midpoint", "lower_order_final": False,
        **_CURVES, **_FLOW, **_FINAL, **_SHIFTING,
    },
    "DPMSolverSDEScheduler": {
        **_OF_STABLE_DIFFUSION, **_EPSILON, **_CURVES, "noise_sampler_seed": None, **_LINSPACE,
    },
    "DEISMultistepScheduler": {
        **_USUAL, **_SOLVER, "algorithm_type": "deis", "solver_type": "logrho", "lower_order_final": True, **_CURVES,
        **_FLOW, **_LINSPACE, **_SHIFTING,
    },
    "UniPCMultistepScheduler": {
        **_USUAL, **_SOLVER, "predict_x0": True, "solver_type": "bh2", "lower_order_final": True,
        "disable_corrector": [], "solver_p": None, **_CURVES, **_FLOW, **_LINSPACE, "final_sigmas_type": "zero",
        **_ZERO_SNR, **_SHIFTING, "sigma_min": None, "sigma_max": None, "shift_terminal": None,
    },
    "LCMScheduler": _DISTILLED,
    "TCDScheduler": _DISTILLED,
}  # fmt: skip
