"""Records how A1111's web UI reads what pictures say of their settings.

Run `python tests/golden/record_parameters.py CHECKOUT` from the repository's root.
CHECKOUT is one of AUTOMATIC1111/stable-diffusion-webui (1.10), whose modules/infotext_utils.py runs as it is; what it
imports is never called. Needs Python and NumPy alone.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np

TEXTS = [
    # as jstyle writes
    "a \\(red\\) boat: big\nNegative prompt: fog, \\[mist\\]\nSteps: 7, Sampler: DPM++ 2M, Schedule type: Karras, "
    'CFG scale: 7.5, Seed: 5, Size: 64x32, Model hash: hhhhhhhhhh, Model: "a, b", Version: jstyle 0.0',
    # as the web UI does, now and before
    "girl with an artist's beret, ((eyeshadow)), detailed\nNegative prompt: ugly, (((deformed))), [blurry]\n"
    "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 965400086, Size: 512x512, Model hash: 45dee52b",
    "two\nlines of\n\ntext\nNegative prompt: more\nthan one\nSteps: 28, Sampler: DPM++ 2M Karras, CFG scale: 6.5, "
    "Seed: 1, Size: 512x768, Model: v1-5-pruned, Denoising strength: 0.5, Hires upscale: 2, "
    "Hires upscaler: Latent, Clip skip: 2",
    'a\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 3, Size: 8x8, Lora hashes: "ink: 1a2b, oil: 3c4d", '
    'TI hashes: "bad: ff", Extra: "a \\"quoted\\" text, and: more", Version: v1.10.1',
    'a\nSteps: 20, Sampler: Euler, Note: "never closed, CFG scale: 7, Seed: 3, Size: 8x8',
    "a prompt alone, with a colon: here",
    "Negative prompt: nothing else\nSteps: 3, Sampler: DDIM, CFG scale: 1, Seed: 0, Size: 8x8",
    "Steps: 3, Sampler: DDIM, CFG scale: 1, Seed: 0, Size: 8x8",
    "a\nSteps: 20, , broken, : 5, x: 1, Sampler: Euler,CFG scale: 7 , Seed: , Size: 8x8x8",
    "",
]


def load_web_ui(checkout: Path) -> ModuleType:
    """The module, from a checkout."""

    class Anything(ModuleType):
        def __getattr__(self, name: str) -> object:
            return lambda *_: None

    package = ModuleType("modules")
    package.__path__ = [str(checkout / "modules")]  # type: ignore[attr-defined]
    sys.modules["modules"] = package
    for name in ("paths", "shared", "ui_tempdir", "script_callbacks", "processing", "infotext_versions"):
        module = Anything(f"modules.{name}")
        sys.modules[module.__name__] = module
        setattr(package, name, module)
    options = SimpleNamespace(infotext_styles="Ignore", infotext_skip_pasting=[], use_old_hires_fix_width_height=False)
    sys.modules["modules.shared"].opts = options  # type: ignore[attr-defined]
    sys.modules["gradio"] = Anything("gradio")
    return import_module("modules.infotext_utils")


def main() -> None:
    web_ui = load_web_ui(Path(sys.argv[1]))
    read = [web_ui.parse_generation_parameters(text) for text in TEXTS]
    path = Path(__file__).with_name("parameters.npz")
    np.savez_compressed(path, texts=np.array(json.dumps(TEXTS)), read=np.array(json.dumps(read)))
    print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main()
