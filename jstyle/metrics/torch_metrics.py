# pyright: reportMissingImports=false
"""The five metrics that need networks. Runs in an environment of PyTorch's, as a process of its own.

    PYTHON torch_metrics.py < request.json > answer.json

Imports nothing of the project: PyTorch and Jittor do not belong in one process. The request names the pictures of
each style, the words of CLIP-R, the models (hub ids or local folders) and the device; the answer holds, by metric, a
value for each picture or one for all, or why there is none. What happens meanwhile is said on stderr.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

if __name__ == "__main__":
    sys.path.pop(0)  # this folder's modules have names that others may want

import numpy as np
import torch
from PIL import Image

Styles = dict[str, dict[str, Any]]
LPIPS_SIDE = 256  # pixels
FID_FEATURES = 64  # of Inception's first pooling
TOP = 5
BATCH = 16


def main() -> int:
    """Answer the request on stdin. Returns the exit code."""
    answers = os.dup(1)
    os.dup2(2, 1)  # libraries print on stdout; the answer alone belongs there
    request = json.load(sys.stdin)
    if request["device"] == "auto":
        request["device"] = "cuda" if torch.cuda.is_available() else "cpu"
    answer: dict[str, Any] = {"metrics": {}, "failures": {}, "versions": versions()}
    for name in request["metrics"]:
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            with torch.no_grad():
                answer["metrics"].update(METRICS[name](request))
        except Exception as error:  # one metric that cannot be had leaves the others
            answer["failures"][name] = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    with os.fdopen(answers, "w") as out:
        json.dump(answer, out)
    return 0


def versions() -> dict[str, str]:
    """Of the packages that are there."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("torch", "torchvision", "torchmetrics", "transformers", "piq"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def open_rgb(path: str) -> Image.Image:
    """A picture, as the organisers open it."""
    with Image.open(path) as image:
        return image.convert("RGB")


def tensor(image: Image.Image) -> torch.Tensor:
    """(3, height, width) uint8."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def per_picture(styles: Styles, of_style: Callable[[list[str], list[str]], list[float]]) -> dict[str, Any]:
    """One number a picture: ``of_style(generated, references)`` gives those of a style in order."""
    pictures = {}
    for number, style in styles.items():
        values = of_style(list(style["generated"].values()), style["references"])
        pictures[number] = dict(zip(style["generated"], values))
    return {"pictures": pictures}


def dino(request: dict[str, Any]) -> dict[str, Any]:
    """The cosine of DINOv2's pooled outputs, averaged over the style's references."""
    from transformers import AutoImageProcessor, AutoModel

    processor = AutoImageProcessor.from_pretrained(request["models"]["dino"])
    model = AutoModel.from_pretrained(request["models"]["dino"]).to(request["device"]).eval()

    def features(paths: list[str]) -> torch.Tensor:
        rows = []
        for start in range(0, len(paths), BATCH):
            pictures = [open_rgb(path) for path in paths[start : start + BATCH]]
            inputs = processor(images=pictures, return_tensors="pt").to(request["device"])
            rows.append(model(**inputs).pooler_output)
        return torch.nn.functional.normalize(torch.cat(rows), dim=-1)

    def of_style(generated: list[str], references: list[str]) -> list[float]:
        return (features(generated) @ features(references).T).mean(dim=1).tolist()

    return {"dino": per_picture(request["styles"], of_style)}


def lpips(request: dict[str, Any]) -> dict[str, Any]:
    """SqueezeNet's LPIPS at 256 pixels, averaged over the style's references."""
    from torchmetrics.functional.image.lpips import learned_perceptual_image_patch_similarity as distance

    def small(path: str) -> torch.Tensor:
        side = (LPIPS_SIDE, LPIPS_SIDE)
        image = open_rgb(path).resize(side, Image.Resampling.BILINEAR)
        return tensor(image).to(request["device"]).float() / 127.5 - 1.0

    def of_style(generated: list[str], references: list[str]) -> list[float]:
        others = torch.stack([small(path) for path in references])
        return [
            float(distance(small(path).expand_as(others), others, net_type="squeeze", reduction="mean"))
            for path in generated
        ]

    return {"lpips": per_picture(request["styles"], of_style)}


def fid(request: dict[str, Any]) -> dict[str, Any]:
    """The Fréchet distance between all generated pictures and all references, styles pooled."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature=FID_FEATURES).to(request["device"])
    for style in request["styles"].values():
        for paths, real in ((style["references"], True), (style["generated"].values(), False)):
            for path in paths:  # one at a time: references and pictures may differ in size
                metric.update(tensor(open_rgb(path))[None].to(request["device"]), real=real)
    return {"fid": {"value": float(metric.compute())}}


def clip_iqa(request: dict[str, Any]) -> dict[str, Any]:
    """CLIP-IQA's "quality". The organisers feed 0 to 255 to a metric that was told 0 to 1; both are computed."""
    from torchmetrics.multimodal import CLIPImageQualityAssessment

    def rated(data_range: float) -> dict[str, Any]:
        metric = CLIPImageQualityAssessment(prompts=("quality",), data_range=data_range).to(request["device"])

        def of_style(generated: list[str], references: list[str]) -> list[float]:
            pictures = (tensor(open_rgb(path))[None].to(request["device"]).float() for path in generated)
            return [float(metric(picture)) for picture in pictures]

        return per_picture(request["styles"], of_style)

    return {"clip_iqa": rated(1.0), "clip_iqa_corrected": rated(255.0)}


def clip_r(request: dict[str, Any]) -> dict[str, Any]:
    """1 where CLIP finds the picture's own word among the five likeliest, else 0."""
    from transformers import CLIPModel, CLIPProcessor

    processor = CLIPProcessor.from_pretrained(request["models"]["clip"])
    model = CLIPModel.from_pretrained(request["models"]["clip"]).to(request["device"]).eval()
    pictures: dict[str, dict[str, float]] = {}
    likeliest: dict[str, dict[str, list[str]]] = {}
    for number, style in request["styles"].items():
        pictures[number], likeliest[number] = {}, {}
        for prompt, path in style["generated"].items():
            own = prompt.split(".")[0].lower()
            words = sorted({*request["words"], own})
            inputs = processor(text=words, images=open_rgb(path), return_tensors="pt", padding=True)
            logits = model(**inputs.to(request["device"])).logits_per_image[0]
            found = [words[i] for i in logits.topk(TOP).indices.tolist()]
            pictures[number][prompt], likeliest[number][prompt] = float(own in found), found
    return {"clip_r": {"pictures": pictures, "likeliest": likeliest}}


METRICS = {"dino": dino, "lpips": lpips, "fid": fid, "clip_iqa": clip_iqa, "clip_r": clip_r}

if __name__ == "__main__":
    sys.exit(main())
