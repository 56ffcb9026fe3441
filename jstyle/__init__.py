"""Style transfer and style training with Stable Diffusion in Jittor. Importing it starts Jittor."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jstyle.backends.wrap import accelerate, wrap
    from jstyle.editing import attached, swapped
    from jstyle.errors import InputError
    from jstyle.image_to_image import StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline
    from jstyle.pipeline import StableDiffusionPipeline

__all__ = [
    "InputError",
    "StableDiffusionImg2ImgPipeline",
    "StableDiffusionInpaintPipeline",
    "StableDiffusionPipeline",
    "accelerate",
    "attached",
    "swapped",
    "wrap",
]
__version__ = "0.1.0"

_HOMES = {
    "InputError": "jstyle.errors",
    "StableDiffusionImg2ImgPipeline": "jstyle.image_to_image",
    "StableDiffusionInpaintPipeline": "jstyle.image_to_image",
    "StableDiffusionPipeline": "jstyle.pipeline",
    "accelerate": "jstyle.backends.wrap",
    "attached": "jstyle.editing",
    "swapped": "jstyle.editing",
    "wrap": "jstyle.backends.wrap",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


# "-m" stands here while Python looks for the module to run: `python -m jstyle doctor` must come up
# where Jittor cannot, and everything else that is run this way starts Jittor when it first needs it
if sys.argv[:1] != ["-m"]:
    from jstyle.runtime import jt as _jt  # noqa: F401
