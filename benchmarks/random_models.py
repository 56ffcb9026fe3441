"""Models of random weights in diffusers' layout, so that every side of a benchmark loads the same numbers.

    python -m benchmarks.random_models [--weights FOLDER] [sd21 | sd21-vision | sd21-unet | sd21-vae | mini]

``sd21`` is Stable Diffusion 2.1 (768 px, v-prediction), 5.2 GB; ``sd21-vision`` has its text encoder's image encoder
(OpenCLIP's ViT-H, 2.5 GB) beside it; ``sd21-unet`` and ``sd21-vae`` have only that network whole and small ones beside
it; ``mini`` has the same structure throughout, small, to try the benchmarks themselves. Each network is written once
and shared by links. Prints the folder.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.options import default_weights
from jstyle.diffusion.schedule_config import ScheduleConfig
from jstyle.files import replacing
from jstyle.networks import AutoencoderKL, CLIPTextModel, CLIPVisionModelWithProjection, UNet2DConditionModel
from jstyle.networks.config import CLIPTextConfig, CLIPVisionConfig, UNetConfig, VAEConfig
from jstyle.networks.network import Network
from jstyle.weights import streamed

RECIPE = "2"  # part of the folder's name; to be raised when the numbers or the shapes change
EMBEDDED = Path(__file__).resolve().parents[1] / "jstyle" / "embedded" / "tiny"

UNETS: dict[str, UNetConfig] = {
    "sd21": UNetConfig(
        sample_size=96,
        cross_attention_dim=1024,
        attention_head_dim=(5, 10, 20, 20),
        use_linear_projection=True,
        upcast_attention=True,
    ),
    "mini": UNetConfig(
        sample_size=16,
        block_out_channels=(64, 128, 128, 128),
        cross_attention_dim=64,
        attention_head_dim=(1, 2, 2, 2),
        use_linear_projection=True,
        upcast_attention=True,
    ),
}


def _vae(widths: tuple[int, ...], layers: int, size: int) -> VAEConfig:
    return VAEConfig(
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        block_out_channels=widths,
        layers_per_block=layers,
        sample_size=size,
    )


VAES: dict[str, VAEConfig] = {"sd21": _vae((128, 256, 512, 512), 2, 768), "mini": _vae((32, 32, 64, 64), 1, 128)}
TEXTS: dict[str, CLIPTextConfig] = {
    "sd21": CLIPTextConfig(49408, 1024, 4096, 512, 23, 16, 77, "gelu"),
    "wide": CLIPTextConfig(743, 1024, 64, 512, 1, 16, 77, "gelu", 1e-5, 741, 742, 0),
    "mini": CLIPTextConfig(743, 64, 128, 64, 2, 4, 77, "gelu", 1e-5, 741, 742, 0),
}
VISIONS: dict[str, CLIPVisionConfig] = {"sd21": CLIPVisionConfig(1280, 5120, 1024, 32, 16, 3, 224, 14, "gelu")}
SCHEDULE = ScheduleConfig(
    "ddim", 1000, 0.00085, 0.012, "scaled_linear", None, "v_prediction", "leading", 1, set_alpha_to_one=False
)
MODELS: dict[str, dict[str, str]] = {  # the size of each part
    "sd21": {"unet": "sd21", "vae": "sd21", "text_encoder": "sd21"},
    "sd21-vision": {"unet": "sd21", "vae": "sd21", "text_encoder": "sd21", "image_encoder": "sd21"},
    "sd21-unet": {"unet": "sd21", "vae": "mini", "text_encoder": "wide"},
    "sd21-vae": {"unet": "mini", "vae": "sd21", "text_encoder": "mini"},
    "mini": {"unet": "mini", "vae": "mini", "text_encoder": "mini"},
}
_PARTS: dict[str, tuple[type[Network], Mapping[str, Any]]] = {
    "unet": (UNet2DConditionModel, UNETS),
    "vae": (AutoencoderKL, VAES),
    "text_encoder": (CLIPTextModel, TEXTS),
    "image_encoder": (CLIPVisionModelWithProjection, VISIONS),
}


def main() -> None:
    """Write the model that is named, where it is not there, and print its folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("model", nargs="?", choices=list(MODELS), default="sd21")
    parser.add_argument("--weights", type=Path, default=default_weights())
    options = parser.parse_args()
    print(ensure(options.weights, options.model))


def ensure(weights: Path, model: str) -> Path:
    """The folder of a model under ``weights``, written if it is not there. Ends the program where it cannot be."""
    folder = weights / f"recipe-{RECIPE}" / model
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        sys.exit(f"error: cannot write to {weights} ({error.strerror}): name another folder by --weights")
    for part, size in MODELS[model].items():
        _link(_network(folder.parent, part, size), folder / part)
    _link(EMBEDDED / "tokenizer", folder / "tokenizer")
    _write_json(folder / "scheduler" / "scheduler_config.json", SCHEDULE.to_dict())
    index = json.loads((EMBEDDED / "model_index.json").read_text(encoding="utf-8"))
    absent = {name: [None, None] for name in set(_PARTS) - set(MODELS[model])}
    _write_json(folder / "model_index.json", {**index, **absent})
    return folder


def fill(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A parameter's numbers, by its name alone: deviation 1 / sqrt(fan in); norms and biases are the identity."""
    if len(shape) == 1:
        return np.full(shape, name.endswith("weight"), np.float32)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return rng.standard_normal(shape, np.float32) / np.float32(math.prod(shape[1:]) ** 0.5)


def network(part: str, size: str) -> Any:
    """The module of one part, its weights still to be filled."""
    module, sizes = _PARTS[part]
    return module(sizes[size])


def _network(root: Path, part: str, size: str) -> Path:
    """The folder of one network's config and weights."""
    folder = root / "networks" / f"{part}-{size}"
    file = folder / f"{_PARTS[part][0].kind.stem}.safetensors"
    if not file.is_file():
        module = network(part, size)
        _write_json(folder / "config.json", module.describe())
        _write_weights({name: tuple(parameter.shape) for name, parameter in module.named_parameters()}, file)
    return folder


def _write_weights(shapes: Mapping[str, tuple[int, ...]], file: Path) -> None:
    """Write a safetensors file one tensor at a time; it gets its name when it is whole."""
    size = 4 * sum(math.prod(shape) for shape in shapes.values())
    free = shutil.disk_usage(file.parent).free
    if free < size * 1.05:
        sys.exit(
            f"error: {file.parent} has {free / 1e9:.1f} GB free and {size / 1e9:.1f} GB are needed: "
            "name another folder by --weights"
        )
    with replacing(file) as part, open(part, "wb") as stream:
        streamed.write(stream, shapes, lambda name: fill(name, shapes[name]), metadata={"format": "pt"})


def _link(target: Path, link: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink():
        link.unlink()
    link.symlink_to(target.resolve(), target_is_directory=True)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
