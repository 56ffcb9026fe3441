"""Models of random weights in diffusers' layout, so that every side of a benchmark loads the same numbers.

    python -m benchmarks.random_models [--weights FOLDER] [sd21 | sd21-unet | sd21-vae | mini]

``sd21`` is Stable Diffusion 2.1 (768 px, v-prediction), 5.2 GB; ``sd21-unet`` and ``sd21-vae`` have only that
network whole and small ones beside it; ``mini`` has the same structure throughout, small, to try the benchmarks
themselves. Each network is written once and shared by links. Prints the folder.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import zlib
from pathlib import Path
from typing import Any, Dict, Mapping, Tuple

import numpy as np

from benchmarks.options import default_weights
from jstyle.config import CLIPTextConfig, UNetConfig, VAEConfig, to_dict
from jstyle.files import replacing
from jstyle.models import AutoencoderKL, CLIPTextModel, UNet2DConditionModel
from jstyle.schedule import ScheduleConfig

RECIPE = "1"  # part of the folder's name; to be raised when the numbers or the shapes change
EMBEDDED = Path(__file__).resolve().parents[1] / "jstyle" / "embedded" / "tiny"

UNETS: Dict[str, UNetConfig] = {
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


def _vae(widths: Tuple[int, ...], layers: int, size: int) -> VAEConfig:
    return VAEConfig(
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        block_out_channels=widths,
        layers_per_block=layers,
        sample_size=size,
    )


VAES: Dict[str, VAEConfig] = {"sd21": _vae((128, 256, 512, 512), 2, 768), "mini": _vae((32, 32, 64, 64), 1, 128)}
TEXTS: Dict[str, CLIPTextConfig] = {
    "sd21": CLIPTextConfig(49408, 1024, 4096, 512, 23, 16, 77, "gelu"),
    "wide": CLIPTextConfig(576, 1024, 64, 512, 1, 16, 77, "gelu", 1e-5, 574, 575, 0),
    "mini": CLIPTextConfig(576, 64, 128, 64, 2, 4, 77, "gelu", 1e-5, 574, 575, 0),
}
SCHEDULE = ScheduleConfig(
    "ddim", 1000, 0.00085, 0.012, "scaled_linear", None, "v_prediction", "leading", 1, set_alpha_to_one=False
)
MODELS: Dict[str, Tuple[str, str, str]] = {  # the UNet, VAE and text encoder of each
    "sd21": ("sd21", "sd21", "sd21"),
    "sd21-unet": ("sd21", "mini", "wide"),
    "sd21-vae": ("mini", "sd21", "mini"),
    "mini": ("mini", "mini", "mini"),
}


def main() -> None:
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
    parts = dict(zip(("unet", "vae", "text_encoder"), MODELS[model]))
    for part, size in parts.items():
        _link(_network(folder.parent, part, size), folder / part)
    _link(EMBEDDED / "tokenizer", folder / "tokenizer")
    _write_json(folder / "scheduler" / "scheduler_config.json", SCHEDULE.to_dict())
    shutil.copyfile(EMBEDDED / "model_index.json", folder / "model_index.json")
    return folder


def fill(name: str, shape: Tuple[int, ...]) -> np.ndarray:
    """A parameter's numbers, by its name alone: deviation 1 / sqrt(fan in); norms and biases are the identity."""
    if len(shape) == 1:
        return np.full(shape, name.endswith("weight"), np.float32)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return rng.standard_normal(shape, np.float32) / np.float32(math.prod(shape[1:]) ** 0.5)


def network(part: str, size: str) -> Any:
    """The module of one part, its weights still to be filled."""
    if part == "unet":
        return UNet2DConditionModel(UNETS[size])
    return AutoencoderKL(VAES[size]) if part == "vae" else CLIPTextModel(TEXTS[size])


def _network(root: Path, part: str, size: str) -> Path:
    """The folder of one network's config and weights."""
    folder = root / "networks" / f"{part}-{size}"
    stem = "model" if part == "text_encoder" else "diffusion_pytorch_model"
    file = folder / f"{stem}.safetensors"
    if not file.is_file():
        module = network(part, size)
        config = to_dict(module.config, type(module).__name__)
        if part == "text_encoder":
            config = {"architectures": ["CLIPTextModel"], "model_type": "clip_text_model", **config}
        _write_json(folder / "config.json", config)
        _write_weights({name: tuple(one.shape) for name, one in module.named_parameters()}, file)
    return folder


def _write_weights(shapes: Mapping[str, Tuple[int, ...]], file: Path) -> None:
    """Write a safetensors file one tensor at a time; it gets its name when it is whole."""
    size = 4 * sum(math.prod(shape) for shape in shapes.values())
    free = shutil.disk_usage(file.parent).free
    if free < size * 1.05:
        sys.exit(
            f"error: {file.parent} has {free / 1e9:.1f} GB free and {size / 1e9:.1f} GB are needed: "
            "name another folder by --weights"
        )
    header: Dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with replacing(file) as part, open(part, "wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for name, shape in shapes.items():
            stream.write(fill(name, shape).tobytes())


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
