"""Style transfer and style training with Stable Diffusion in Jittor.

Importing this starts nothing: what is asked for is imported then, and Jittor comes up with the first network.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jstyle.diffusion import samplers
    from jstyle.errors import InputError
    from jstyle.methods.inst.run import InST
    from jstyle.networks.editing import attached, swapped
    from jstyle.pipelines.image_to_image import StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline
    from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
    from jstyle.pipelines.wrapping import accelerate, wrap
    from jstyle.training.teaching.table import train
    from style_align.run import StyleAligned
    from styleid.run import StyleID

__all__ = [
    "InST",
    "InputError",
    "StableDiffusionImg2ImgPipeline",
    "StableDiffusionInpaintPipeline",
    "StableDiffusionPipeline",
    "StyleID",
    "StyleAligned",
    "accelerate",
    "attached",
    "samplers",
    "swapped",
    "train",
    "wrap",
]
__version__ = "0.2.0"

_HOMES = {
    "InST": "jstyle.methods.inst.run",
    "InputError": "jstyle.errors",
    "StableDiffusionImg2ImgPipeline": "jstyle.pipelines.image_to_image",
    "StableDiffusionInpaintPipeline": "jstyle.pipelines.image_to_image",
    "StableDiffusionPipeline": "jstyle.pipelines.stable_diffusion",
    "StyleID": "styleid.run",
    "StyleAligned": "style_align.run",
    "accelerate": "jstyle.pipelines.wrapping",
    "attached": "jstyle.networks.editing",
    "samplers": "jstyle.diffusion.samplers",
    "swapped": "jstyle.networks.editing",
    "train": "jstyle.training.teaching.table",
    "wrap": "jstyle.pipelines.wrapping",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(_HOMES[name])
    return home if home.__name__.endswith(f".{name}") else getattr(home, name)
