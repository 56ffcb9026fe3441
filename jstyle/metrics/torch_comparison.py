# pyright: reportMissingImports=false
"""The comparisons that need networks. Runs in an environment of PyTorch's, as a process of its own.

    PYTHON torch_comparison.py < request.json > answer.json

Imports nothing of the project but its own networks. The request lists the pictures, each with its content and its
styles, the metrics, the folder of weights, the models (hub ids or local folders) and the device. The answer holds, by
metric, a value for each picture or one for all, or why there is none. What happens meanwhile is said on stderr.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, Optional

from torch_backbones import open_network, read_file

sys.path.pop(0)  # this folder's other modules have names that others may want

import numpy as np
import torch
from PIL import Image

Request = dict[str, Any]
SIDE = 512  # pixels of the shorter side, for LPIPS and Art-Inception (the published evaluation's)
ROWS = 1024  # of a self-similarity at a time: at 512 pixels the whole has 16384 x 16384 numbers
TRUNKS = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet1_1"}
_MEAN, _SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_LPIPS_MEAN, _LPIPS_SPREAD = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_TORCHVISION = (
    "torchvision does not import beside this torch: install both of one build, such as "
    "`pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu`, or uninstall torchvision"
)


def main() -> int:
    """Answer the request on stdin. Returns the exit code."""
    answers = os.dup(1)
    os.dup2(2, 1)  # libraries print on stdout; the answer alone belongs there
    request = json.load(sys.stdin)
    if request["device"] == "auto":
        request["device"] = "cuda" if torch.cuda.is_available() else "cpu"
    answer: dict[str, Any] = {"pictures": {}, "values": {}, "failures": {}, "weights": {}}
    for name in request["metrics"]:
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            with torch.no_grad():
                found, weights = METRICS[name](request)
            answer["values" if isinstance(found, float) else "pictures"][name] = found
            answer["weights"][name] = weights
        except Exception as error:  # one metric that cannot be had leaves the others
            answer["failures"][name] = explain(error)
    with os.fdopen(answers, "w") as out:
        json.dump(answer, out)
    return 0


def explain(error: Exception) -> str:
    """An error in a line, with what to do where torchvision is what does not import."""
    text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    chain: Optional[BaseException] = error
    while chain is not None:  # transformers says so in what its own error is raised from
        if "torchvision::" in str(chain):
            return _TORCHVISION
        chain = chain.__cause__ or chain.__context__
    return text


@lru_cache(maxsize=8)
def open_tensor(path: str, side: Optional[int], device: str) -> torch.Tensor:
    """A picture as (1, 3, h, w) from 0 to 1, its shorter side scaled to ``side`` as torchvision does."""
    with Image.open(path) as image:
        image = image.convert("RGB")
    if side is not None and min(image.size) != side:
        short, long = min(image.size), max(image.size)
        longer = int(side * long / short)
        size = (side, longer) if image.width <= image.height else (longer, side)
        image = image.resize(size, Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].to(device).float() / 255


def scale(x: torch.Tensor, mean: tuple[float, ...], spread: tuple[float, ...]) -> torch.Tensor:
    """(x - mean) / spread of each channel."""
    return (x - x.new_tensor(mean)[:, None, None]) / x.new_tensor(spread)[:, None, None]


def lpips(request: Request, net: str) -> tuple[dict[str, float], str]:
    """LPIPS 0.1 of picture and content (arXiv 1801.03924; github.com/richzhang/PerceptualSimilarity)."""
    network, known = open_network(TRUNKS[net], request["weights"], request["device"])
    linear = [weight.to(request["device"]) for _, weight in sorted(read_linear(net, request["weights"]).items())]

    def unit_maps(path: str) -> list[torch.Tensor]:
        x = scale(open_tensor(path, SIDE, request["device"]) * 2 - 1, _LPIPS_MEAN, _LPIPS_SPREAD)
        return [y / (y.square().sum(1, keepdim=True).sqrt() + 1e-10) for y in network(x)]

    def distance(picture: str, content: str) -> float:
        pairs = zip(unit_maps(picture), unit_maps(content), linear)
        return sum(float(torch.nn.functional.conv2d((a - b).square(), weight).mean()) for a, b, weight in pairs)

    return {one["name"]: distance(one["picture"], one["content"]) for one in request["pictures"]}, known


def read_linear(net: str, folder: Optional[str]) -> dict[str, torch.Tensor]:
    """LPIPS' published linear weights: lpips_NET of the folder, else those that torchmetrics or lpips brings."""
    places = [] if folder is None else [Path(folder) / f"lpips_{net}.{end}" for end in ("safetensors", "pth")]
    for package, below in (("torchmetrics", "functional/image/lpips_models"), ("lpips", "weights/v0.1")):
        spec = importlib.util.find_spec(package)  # looked for, not imported: that needs torchvision
        if spec is not None and spec.origin is not None:
            places.append(Path(spec.origin).parent / below / f"{net}.pth")
    for place in places:
        if place.is_file():
            return read_file(place)
    raise FileNotFoundError("no linear weights of LPIPS: `pip install torchmetrics` brings them")


def cfsd(request: Request) -> tuple[dict[str, float], str]:
    """CFSD (arXiv 2312.09008): KL of the self-similarities of VGG19's relu3_1, content from picture."""
    network, known = open_network("vgg19", request["weights"], request["device"])

    def features(path: str) -> torch.Tensor:
        x = network(scale(open_tensor(path, None, request["device"]), _MEAN, _SPREAD))[2]
        return x.double().flatten(2)[0].T / x.shape[1]  # the distance is a small difference of large sums

    def distance(picture: str, content: str) -> float:
        a, b, total = features(picture), features(content), 0.0
        for mine, theirs in zip(a.split(ROWS), b.split(ROWS)):
            found, wanted = torch.log_softmax(mine @ a.T, -1), torch.softmax(theirs @ b.T, -1)
            total += float(torch.nn.functional.kl_div(found, wanted, reduction="sum"))
        return total

    return {one["name"]: distance(one["picture"], one["content"]) for one in request["pictures"]}, known


def gram(request: Request) -> tuple[dict[str, float], str]:
    """Mean square of the Gram matrices' difference, over VGG19's relu1_1 to relu5_1 and the picture's styles.

    G = F F^T / (channels height width) (arXiv 1508.06576).
    """
    network, known = open_network("vgg19", request["weights"], request["device"])

    @lru_cache(maxsize=64)
    def grams(path: str) -> list[torch.Tensor]:
        maps = network(scale(open_tensor(path, SIDE, request["device"]), _MEAN, _SPREAD))
        return [x[0].flatten(1) @ x[0].flatten(1).T / x[0].numel() for x in maps]

    def distance(picture: str, style: str) -> float:
        return float(np.mean([float((a - b).square().mean()) for a, b in zip(grams(picture), grams(style))]))

    return {
        one["name"]: float(np.mean([distance(one["picture"], style) for style in one["styles"]]))
        for one in request["pictures"]
    }, known


def art_fid_distance(request: Request) -> tuple[float, str]:
    """FID of the pictures from their styles in Art-Inception's features (arXiv 2207.12280)."""
    network, known = open_network("art_inception", request["weights"], request["device"])

    @lru_cache(maxsize=None)
    def features(path: str) -> np.ndarray:
        return network(open_tensor(path, SIDE, request["device"]))[0].cpu().numpy().astype(np.float64)

    pictures = np.stack([features(one["picture"]) for one in request["pictures"]])
    return frechet_distance(pictures, np.stack([features(style) for style in request["styles"]])), known


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Between the Gaussians of two sets (n, d), covariances over n - 1.

    The trace of sqrt(A^T A B^T B) is the sum of A B^T's singular values: no root of a singular matrix is taken.
    """
    if min(len(a), len(b)) < 2:
        raise ValueError("a Fréchet distance needs two pictures and two styles at least")
    spread = [(x - x.mean(0)) / (len(x) - 1) ** 0.5 for x in (a, b)]
    traces = sum(float(np.square(x).sum()) for x in spread)
    inner = [np.asarray(np.linalg.qr(x, mode="r")) for x in spread]
    shared = np.linalg.svd(inner[0] @ inner[1].T, compute_uv=False).sum()
    return float(np.square(a.mean(0) - b.mean(0)).sum() + traces - 2 * shared)


def embedding(request: Request, kind: str) -> tuple[dict[str, float], str]:
    """The cosine of a picture's vector with those of its styles, averaged: CLIP's embedding or DINO's pooled output."""
    import transformers

    place = request["models"][kind]
    model_class = transformers.CLIPVisionModelWithProjection if kind == "clip" else transformers.AutoModel
    processor = transformers.AutoImageProcessor.from_pretrained(place)
    model, found = model_class.from_pretrained(place, output_loading_info=True)
    if found["missing_keys"]:  # transformers would draw them at random
        raise ValueError(f"the weights of {place} lack {min(found['missing_keys'])}")
    model = model.to(request["device"]).eval()

    @lru_cache(maxsize=None)
    def vector(path: str) -> torch.Tensor:
        with Image.open(path) as image:
            inputs = processor(images=image.convert("RGB"), return_tensors="pt").to(request["device"])
        answer = model(**inputs)
        row = answer.image_embeds[0] if kind == "clip" else answer.pooler_output[0]
        return torch.nn.functional.normalize(row, dim=-1)

    return {
        one["name"]: float(np.mean([float(vector(one["picture"]) @ vector(style)) for style in one["styles"]]))
        for one in request["pictures"]
    }, str(place)


METRICS = {
    "lpips": lambda request: lpips(request, "alex"),
    "lpips_vgg": lambda request: lpips(request, "vgg"),
    "lpips_squeeze": lambda request: lpips(request, "squeeze"),
    "cfsd": cfsd,
    "fid": art_fid_distance,
    "gram": gram,
    "clip": lambda request: embedding(request, "clip"),
    "dino": lambda request: embedding(request, "dino"),
}

if __name__ == "__main__":
    sys.exit(main())
