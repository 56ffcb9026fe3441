"""Records diffusers' public names and arguments: `python tests/golden/record_signatures.py`.

Run it from the repository's root, in the environment that README.md describes, with scipy and torchsde besides. As
JSON: for each pipeline its call's and constructor's arguments and its other names; what `from_pretrained` and the
loaders take; for each scheduler its constructor's arguments and its other names.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
from typing import Any

import diffusers
from record import HERE

PIPELINES = (
    *("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline", "StableDiffusionInpaintPipeline"),
    *("StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline", "StableDiffusionXLInpaintPipeline"),
)
LOADERS = (
    "delete_adapters", "fuse_lora", "load_lora_weights", "load_textual_inversion", "save_lora_weights", "set_adapters",
    "unfuse_lora", "unload_textual_inversion",
)  # fmt: skip
SCHEDULERS = {
    "DDIMScheduler": "ddim",
    "DDPMScheduler": "ddpm",
    "DEISMultistepScheduler": "deis_multistep",
    "DPMSolverMultistepScheduler": "dpmsolver_multistep",
    "DPMSolverSDEScheduler": "dpmsolver_sde",
    "DPMSolverSinglestepScheduler": "dpmsolver_singlestep",
    "EulerAncestralDiscreteScheduler": "euler_ancestral_discrete",
    "EulerDiscreteScheduler": "euler_discrete",
    "HeunDiscreteScheduler": "heun_discrete",
    "KDPM2AncestralDiscreteScheduler": "k_dpm_2_ancestral_discrete",
    "KDPM2DiscreteScheduler": "k_dpm_2_discrete",
    "LCMScheduler": "lcm",
    "LMSDiscreteScheduler": "lms_discrete",
    "PNDMScheduler": "pndm",
    "TCDScheduler": "tcd",
    "UniPCMultistepScheduler": "unipc_multistep",
}


def list_arguments(function: Any) -> list[str]:
    """The arguments by name, without self, and those that it takes out of its ``**kwargs``."""
    parameters = inspect.signature(function).parameters.values()
    named = [parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD]
    source = inspect.getsource(inspect.unwrap(getattr(function, "__func__", function)))
    return [name for name in named if name != "self"] + re.findall(r'kwargs\.pop\(\s*"(\w+)"', source)


def list_names(kind: type) -> list[str]:
    """Public names, methods and attributes."""
    return sorted(name for name in dir(kind) if not name.startswith("_"))


def main() -> None:
    recorded: dict[str, Any] = {"diffusers": diffusers.__version__, "pipelines": {}, "schedulers": {}}
    for name in PIPELINES:
        kind = getattr(diffusers, name)
        recorded["pipelines"][name] = {
            "call": list_arguments(kind.__call__),
            "init": list_arguments(kind.__init__),
            "names": list_names(kind),
        }
    recorded["from_pretrained"] = list_arguments(diffusers.DiffusionPipeline.from_pretrained)
    loaders = diffusers.StableDiffusionPipeline
    recorded["loaders"] = {name: list_arguments(getattr(loaders, name)) for name in LOADERS}
    for name, module in SCHEDULERS.items():
        kind = getattr(importlib.import_module(f"diffusers.schedulers.scheduling_{module}"), name)
        recorded["schedulers"][name] = {"init": list_arguments(kind.__init__), "names": list_names(kind)}
    (HERE / "diffusers_signatures.json").write_text(json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    main()
