"""Pictures are matched by name and compared as the published evaluations compare them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest
from PIL import Image

from jstyle.errors import InputError
from jstyle.events import Failure, Remark
from jstyle.metrics import comparing
from jstyle.metrics.comparing import MetricsInputs, run_metrics
from jstyle.metrics.comparison import Comparison, list_metrics
from jstyle.metrics.matching import Compared
from tests.golden import metric_networks

GOLDEN = Path(__file__).parents[1] / "golden"
TORCH = os.environ.get("JSTYLE_NETWORK_PYTHON", "")
NAMES = [f"{content}_stylized_{style}.png" for content in metric_networks.CONTENTS for style in metric_networks.STYLES]

STAND_IN = """
import json, sys
request = json.load(sys.stdin)
one = {p["name"]: float(i) for i, p in enumerate(request["pictures"])}
json.dump({"pictures": {"lpips": one}, "values": {"fid": float(len(request["styles"]))},
           "failures": {"cfsd": "FileNotFoundError: no vgg19"}, "weights": {"lpips": "abc"}}, sys.stdout)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    metric_networks.write_pictures(tmp_path)
    return tmp_path


def compare(folder: Path, **more: Any) -> tuple[list[str], list[Failure], dict[str, Any]]:
    """What a run says, what fails, and its JSON."""
    inputs: dict[str, Any] = {"content": (folder / "content",), "style": (folder / "style",), **more}
    events = list(run_metrics(MetricsInputs((folder / "pictures",), output=folder / "out", **inputs)))
    said = [event.text for event in events if isinstance(event, Remark)]
    failures = [event for event in events if isinstance(event, Failure)]
    return said, failures, json.loads((folder / "out" / "metrics.json").read_text())


def test_ssim_and_psnr_are_torchmetrics(folder: Path) -> None:
    _, _, found = compare(folder)
    recorded = np.load(GOLDEN / "metrics.npz")
    for metric in ("ssim", "psnr"):
        values = [found["pictures"][name][metric] for name in NAMES]
        np.testing.assert_allclose(values, recorded[metric], rtol=1e-6)
    assert set(found["means"]) == {"ssim", "psnr", "hist"}


def test_pictures_find_their_content_and_style_by_name(folder: Path) -> None:
    said, _, found = compare(folder)
    assert said[0] == "4 pictures, 2 contents, 2 styles"
    assert found["pictures"]["cat_stylized_oil.png"]["content"] == "cat.png"
    assert found["pictures"]["cat_stylized_oil.png"]["styles"] == ["oil.png"]
    (folder / "style" / "oil.png").rename(folder / "style" / "other.png")  # one without its own: styles are a set
    (folder / "pictures" / "cat_stylized_ink.png").unlink()
    said, _, found = compare(folder)
    assert found["pictures"]["cat_stylized_oil.png"]["styles"] == ["ink.png", "other.png"]
    assert said[1] == "3 pairs have no picture, such as bridge_stylized_other"
    with Image.open(folder / "out" / "metrics.png") as sheet:
        assert sheet.height > sheet.width  # three rows of content, picture and style


def test_folders_whose_files_have_the_same_names_are_pairs(folder: Path) -> None:
    _, _, found = compare(folder, content=(folder / "pictures",), style=())
    assert found["means"]["psnr"] == 100 and found["means"]["ssim"] == pytest.approx(1)


def test_what_does_not_match_is_one_line(folder: Path) -> None:
    Image.new("RGB", (40, 50)).save(folder / "content" / "cat.png")
    with pytest.raises(InputError, match="'.*cat_stylized_ink.png' has 136x160 pixels and its content .* 40x50"):
        compare(folder)
    (folder / "content" / "cat.png").unlink()
    with pytest.raises(InputError, match="there is no picture 'cat' among the contents"):
        compare(folder)
    with pytest.raises(InputError, match="--content or --style is needed"):
        compare(folder, content=(), style=())


@pytest.mark.parametrize(
    ("metric", "contents", "styles", "networks", "said"),
    [
        ("ssim", False, True, True, "ssim needs --content"),
        ("fid", True, False, True, "fid needs --style"),
        ("cfsd", True, True, False, "cfsd needs networks: --network_python"),
    ],
)
def test_a_metric_that_lacks_something_says_what(
    metric: Any, contents: bool, styles: bool, networks: bool, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        list_metrics([metric], contents, styles, networks)


def test_art_fid_and_what_the_networks_cannot_give(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "stand_in.py"
    program.write_text(STAND_IN)
    monkeypatch.setattr(comparing, "_PROGRAM", program)
    said, failures, found = compare(folder, network_python=Path(sys.executable), metrics=("lpips", "cfsd", "fid"))
    assert found["art_fid"] == pytest.approx((1 + 1.5) * (1 + 4))  # a style for each of four pictures
    assert failures == [Failure("cfsd", "FileNotFoundError: no vgg19")]
    assert found["missing"] == {"cfsd": "FileNotFoundError: no vgg19"} and found["weights"] == {"lpips": "abc"}
    assert "ArtFID 12.5000 = (1 + LPIPS) (1 + FID)" in said


def test_pictures_are_ranked_by_their_places() -> None:
    compared = tuple(Compared(Path(name), None, ()) for name in "abc")
    values = {"a": {"ssim": 0.2, "lpips": 0.9}, "b": {"ssim": 0.9, "lpips": 0.1}, "c": {"ssim": 0.5, "lpips": 0.5}}
    assert [one.name for one in Comparison(compared, values).rank()] == ["b", "c", "a"]


@pytest.mark.skipif(not TORCH, reason="JSTYLE_NETWORK_PYTHON names no Python with jstyle[score]")
@pytest.mark.parametrize("lacking", [None, "vgg19"])
def test_random_networks_say_what_the_published_programs_say(folder: Path, lacking: Optional[str]) -> None:
    script = Path(metric_networks.__file__)
    subprocess.run([TORCH, str(script), str(folder / "weights")], check=True)
    if lacking is not None:
        (folder / "weights" / f"{lacking}.safetensors").unlink()
    metrics = ("lpips", "lpips_vgg", "lpips_squeeze", "cfsd", "fid") if lacking is None else ("cfsd", "gram")
    _, failures, found = compare(folder, network_python=Path(TORCH), weights=folder / "weights", metrics=metrics)
    assert [failure.subject for failure in failures] == ([] if lacking is None else ["cfsd", "gram"])
    assert all("has no vgg19.safetensors or vgg19.pth" in failure.reason for failure in failures)
    recorded = np.load(GOLDEN / "metrics.npz")
    for metric in () if lacking else ("lpips", "lpips_vgg", "lpips_squeeze", "cfsd"):
        values = [found["pictures"][name][metric] for name in NAMES]
        np.testing.assert_allclose(values, recorded[metric], rtol=0, atol=1e-5)
    if lacking is None:
        assert found["means"]["fid"] == pytest.approx(float(recorded["fid"]), abs=1e-5)
        assert found["art_fid"] == pytest.approx(float(recorded["art_fid"]), abs=1e-5)
