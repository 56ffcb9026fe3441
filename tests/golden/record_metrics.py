# pyright: reportMissingImports=false
"""What the published evaluations say of random networks: LPIPS, FID, ArtFID, CFSD, and torchmetrics' SSIM, PSNR.

    python tests/golden/record_metrics.py CHECKOUT

CHECKOUT is github.com/jiwoogit/StyleID, whose evaluation/ holds matthias-wright's ArtFID. Needs beside the recipe's
environment: lpips 0.1.4, torchmetrics 1.9.0, torchvision 0.28.0, scipy, requests and tqdm.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch
from metric_networks import CONTENTS, STYLES, draw_weights, write_pictures

# A torchvision of another build than torch's lacks its compiled operators, which are not used here.
library = torch.library.Library("torchvision", "FRAGMENT")
for operator in ("nms", "qnms"):
    if not hasattr(torch.ops.torchvision, operator):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import torchvision  # noqa: E402

HERE = Path(__file__).parent


def draw(model: Any, name: str) -> Any:
    """A published network, with the recipe's weights."""
    state = model.state_dict()
    for key, value in state.items():
        if not key.endswith("num_batches_tracked"):
            state[key] = torch.from_numpy(draw_weights(f"{name}.{key}", tuple(value.shape)))
    model.load_state_dict(state)
    return model


def replace_pretrained() -> None:
    """torchvision's constructors give the recipe's weights where published ones are asked for."""
    for name in ("alexnet", "vgg16", "vgg19", "squeezenet1_1"):
        make = getattr(torchvision.models, name)
        setattr(torchvision.models, name, lambda pretrained=True, make=make, name=name: draw(make(), name))


def open_evaluation(checkout: Path, folder: Path) -> Any:
    """The published program, with Art-Inception's weights of the recipe."""
    sys.path.insert(0, str(checkout / "evaluation"))
    for name in ("sklearn", "sklearn.linear_model", "net"):  # imported, and not used by what is called here
        sys.modules[name] = types.ModuleType(name)
    sys.modules["sklearn.linear_model"].LinearRegression = None  # type: ignore[attr-defined]
    import eval_artfid
    import inception

    torch.save(draw(inception.Inception3(), "art_inception").state_dict(), folder / "art_inception.pth")
    eval_artfid.utils.download = lambda url: folder / "art_inception.pth"
    return eval_artfid


def measure(program: Any, root: Path, name: str) -> dict[str, float]:
    """The published numbers of one picture and its content."""
    one = root / "one"
    shutil.rmtree(one, ignore_errors=True)
    for kind, file in (("pictures", name), ("content", name.partition("_stylized_")[0])):
        (one / kind).mkdir(parents=True)
        shutil.copy(root / kind / f"{file}.png", one / kind / "a.png")
    places = str(one / "pictures"), str(one / "content"), 1
    found = {"lpips": float(program.compute_content_distance(*places, "lpips", "cpu", 0))}
    found["lpips_vgg"] = float(program.compute_content_distance(*places, "vgg", "cpu", 0))
    program.image_metrics.LPIPS_vgg.__init__ = squeeze
    found["lpips_squeeze"] = float(program.compute_content_distance(*places, "vgg", "cpu", 0))
    found["cfsd"] = float(program.compute_patch_simi(*places, "cpu", 0))
    found.update(measure_pixels(one))
    return found


def squeeze(self: Any) -> None:
    """The evaluation has no LPIPS of SqueezeNet, the package that it calls has."""
    import lpips

    torch.nn.Module.__init__(self)
    self.dist = lpips.LPIPS(net="squeeze")


def measure_pixels(one: Path) -> dict[str, float]:
    """torchmetrics' SSIM and PSNR."""
    from PIL import Image
    from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

    pair = [np.asarray(Image.open(one / kind / "a.png"), np.float64) / 255 for kind in ("pictures", "content")]
    x, y = (torch.from_numpy(pixels).permute(2, 0, 1)[None] for pixels in pair)
    ssim = structural_similarity_index_measure(x, y, data_range=1.0)
    return {"ssim": float(ssim), "psnr": float(peak_signal_noise_ratio(x, y, data_range=1.0))}


def record(checkout: Path, root: Path) -> None:
    """Everything, into metrics.npz."""
    write_pictures(root)
    replace_pretrained()
    program = open_evaluation(checkout, root)
    vgg = program.image_metrics.LPIPS_vgg.__init__
    values: dict[str, list[float]] = {}
    for name in (f"{content}_stylized_{style}" for content in CONTENTS for style in STYLES):
        program.image_metrics.LPIPS_vgg.__init__ = vgg
        for metric, value in measure(program, root, name).items():
            values.setdefault(metric, []).append(value)
    for kind in ("content", "style"):  # a copy for each pair, as the published protocol has them
        (root / f"{kind}_eval").mkdir()
    for content in CONTENTS:
        for style in STYLES:
            for kind, file in (("content", content), ("style", style)):
                shutil.copy(root / kind / f"{file}.png", root / f"{kind}_eval" / f"{content}_stylized_{style}.png")
    places = [str(root / name) for name in ("pictures", "style_eval", "content_eval")]
    art_fid, fid, *_ = program.compute_art_fid(*places, 1, "cpu", "art_fid", "lpips", 0)
    rows = np.random.default_rng(3).normal(size=(2, 200, 16)) * np.array([[[1.0]], [[1.5]]])
    moments = [moment for x in rows for moment in (x.mean(0), np.cov(x, rowvar=False))]
    frechet = program.compute_frechet_distance(moments[0], moments[1], moments[2], moments[3])
    arrays = {**{name: np.array(found) for name, found in values.items()}, "art_fid": art_fid, "fid": fid}
    versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}, lpips 0.1.4, torchmetrics 1.9.0"
    np.savez_compressed(HERE / "metrics.npz", frechet=frechet, versions=versions, **arrays)
    print({name: np.round(value, 6).tolist() for name, value in arrays.items()}, frechet)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        record(Path(sys.argv[1]).resolve(), Path(scratch))
