"""Records hist.npz: what the organisers' Hist makes of small pictures, computed with OpenCV in uint8.

    pip install opencv-python-headless==5.0.0.93 numpy==2.4.6
    python tests/golden/record_hist.py
    python tests/golden/record_hist.py DATASET   # also each style's references against one another, printed and stored

The formula is written down here a second time, with OpenCV's own functions and overflowing arrays. Keys:
`picture{0..}` uint8 RGB; `colours{i}`, `shades{i}` their histograms; `scores[i, j]` Hist of picture i where picture j
is the only reference; `several` Hist of picture 0 against all others together; `hsv_rgb`, `hsv` the conversion of every
colour with channels in steps of 17; `hsv_digest` the SHA-256 of the conversion of all 2^24 colours, red slowest.
With DATASET: `style_NN[i, j]` as `scores`, of the style's references in the order of their names.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import cv2
import numpy as np

OUT = Path(__file__).parent


def colour_histogram(bgr: np.ndarray) -> np.ndarray:
    parts = [bgr[..., channel] // np.uint8(16) for channel in range(3)]
    with np.errstate(over="ignore"):
        index = parts[0] * np.uint8(16) * np.uint8(16) + parts[1] * np.uint8(16) + parts[2]
    assert index.dtype == np.uint8
    return cv2.calcHist([np.ascontiguousarray(index)], [0], None, [4096], [0, 4096]).ravel()


def shade_histogram(bgr: np.ndarray) -> np.ndarray:
    hue, saturation, value = cv2.split(cv2.cvtColor(bgr, cv2.COLOR_BGR2HSV))
    doubled = hue * np.uint8(2)  # wraps
    classes = np.zeros_like(hue)
    for number, (low, high) in enumerate(
        [(20, 40), (40, 75), (75, 155), (155, 190), (190, 270), (270, 295), (295, 315)]
    ):
        classes[(doubled.astype(int) > low) & (doubled.astype(int) <= high)] = number + 1
    levels = [(part > 51).astype(np.uint8) + (part > 178).astype(np.uint8) for part in (saturation, value)]
    index = np.uint8(9) * classes + np.uint8(3) * levels[0] + levels[1]
    assert index.dtype == np.uint8
    return cv2.calcHist([index], [0], None, [72], [0, 71]).ravel()


def hist(picture: tuple, references: list) -> float:
    scores = []
    for kind in range(2):
        reference = sum((one[kind] for one in references), np.zeros_like(picture[kind])) / len(references)
        scores.append(cv2.compareHist(reference.astype(np.float32), picture[kind], cv2.HISTCMP_CORREL))
    return sum(scores) / 2


def pictures() -> list:
    """Noise, smooth colour fields that cover blue, violet and the upper reds (where the sums wrap), and flat ones."""
    random = np.random.default_rng(7)
    ramp = np.linspace(0, 255, 40).astype(np.uint8)
    across, down = np.meshgrid(ramp, ramp)
    flat = np.full_like(across, 230)
    return [
        random.integers(0, 256, (40, 40, 3), dtype=np.uint8),
        np.stack([across, down, flat], axis=-1),
        np.stack([flat, across // 2, down], axis=-1),
        np.stack([across // 3, down // 3, flat], axis=-1),
        np.full((40, 40, 3), (20, 30, 240), np.uint8),
        np.full((40, 40, 3), (240, 30, 20), np.uint8),
        np.zeros((40, 40, 3), np.uint8),
        (random.integers(0, 256, (5, 5, 3), dtype=np.uint8)).repeat(8, axis=0).repeat(8, axis=1),
    ]


def table(rgb: list) -> tuple:
    both = [(colour_histogram(bgr), shade_histogram(bgr)) for bgr in (one[..., ::-1].copy() for one in rgb)]
    return both, np.array([[hist(one, [other]) for other in both] for one in both])


def main() -> None:
    rgb = pictures()
    both, scores = table(rgb)
    steps = np.arange(0, 256, 17, dtype=np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(1, -1, 3)
    every = np.arange(256, dtype=np.uint8)
    all_colours = np.stack(np.meshgrid(every, every, every, indexing="ij"), axis=-1).reshape(4096, 4096, 3)
    arrays = {
        "versions": np.array(f"opencv {cv2.__version__}, numpy {np.__version__}"),
        "scores": scores,
        "several": np.array(hist(both[0], both[1:])),
        "hsv_rgb": colours,
        "hsv": cv2.cvtColor(colours, cv2.COLOR_RGB2HSV),
        "hsv_digest": np.array(hashlib.sha256(cv2.cvtColor(all_colours, cv2.COLOR_RGB2HSV).tobytes()).hexdigest()),
    }
    for number, (picture, (colour, shade)) in enumerate(zip(rgb, both)):
        arrays.update({f"picture{number}": picture, f"colours{number}": colour, f"shades{number}": shade})
    for style in sorted(Path(sys.argv[1]).iterdir()) if len(sys.argv) > 1 else []:
        if (style / "images").is_dir():
            files = sorted((style / "images").iterdir())
            arrays[f"style_{style.name}"] = table([cv2.imread(str(file))[..., ::-1] for file in files])[1]
            print(style.name, arrays[f"style_{style.name}"].round(4).tolist())
    np.savez_compressed(OUT / "hist.npz", **arrays)


if __name__ == "__main__":
    main()
