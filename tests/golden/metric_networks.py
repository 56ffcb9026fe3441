"""Random weights and pictures for the comparisons, from names and shapes alone.

`python tests/golden/metric_networks.py FOLDER` writes the networks' weights, in an environment of PyTorch's.
"""

from __future__ import annotations

import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

NETWORKS = ("alexnet", "vgg16", "vgg19", "squeezenet1_1", "art_inception")
CONTENTS, STYLES = ("bridge", "cat"), ("ink", "oil")
SIZE = (136, 160)  # 34 x 40 positions of relu3_1, more than one block of rows


def draw_weights(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """float32: kernels that keep the size of what passes, biases, and moments of batch norms."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
        return rng.uniform(0.8, 1.2, shape).astype(np.float32)
    if len(shape) == 1:
        return rng.normal(0, 0.1, shape).astype(np.float32)
    gain = 1.5 if name.startswith("vgg19") else 1.0  # positions differ enough for CFSD to be more than rounding
    return rng.normal(0, gain * np.sqrt(2 / np.prod(shape[1:])), shape).astype(np.float32)


def draw_picture(seed: int) -> Image.Image:
    """Soft random colours."""
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(SIZE, Image.Resampling.BICUBIC)


def write_pictures(root: Path) -> None:
    """content/C.png, style/S.png, and pictures/C_stylized_S.png: the content with something of the style."""
    for kind in ("content", "style", "pictures"):
        (root / kind).mkdir(parents=True)
    contents = {name: draw_picture(index) for index, name in enumerate(CONTENTS)}
    styles = {name: draw_picture(10 + index) for index, name in enumerate(STYLES)}
    for kind, drawn in (("content", contents), ("style", styles)):
        for name, picture in drawn.items():
            picture.save(root / kind / f"{name}.png")
    for share, (content, style) in enumerate((c, s) for c in CONTENTS for s in STYLES):
        blend = Image.blend(contents[content], styles[style], 0.2 + 0.15 * share)
        blend.save(root / "pictures" / f"{content}_stylized_{style}.png")


def write_weights(folder: Path) -> None:
    """NAME.safetensors of each network."""
    from safetensors.numpy import save_file

    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "jstyle" / "metrics"))
    from torch_backbones import MAKERS  # pyright: ignore[reportMissingImports]

    folder.mkdir(parents=True, exist_ok=True)
    for name in NETWORKS:
        state = MAKERS[name]().state_dict()
        shapes = {key: tuple(x.shape) for key, x in state.items() if not key.endswith("num_batches_tracked")}
        weights = {key: draw_weights(f"{name}.{key}", shape) for key, shape in shapes.items()}
        save_file(weights, folder / f"{name}.safetensors")


if __name__ == "__main__":
    write_weights(Path(sys.argv[1]))
