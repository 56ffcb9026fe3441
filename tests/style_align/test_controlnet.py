"""Style Aligned with ControlNets, which steer the targets and never their reference.

Against a float64 rendering and the paper's own call, recorded by `record_style_align_controlnet.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import jstyle
from jstyle.cli.main import main
from jstyle.diffusion.control import Control, Steering
from jstyle.errors import InputError
from jstyle.networks import ControlNetModel, TextContext
from jstyle.networks.config import ControlNetConfig
from jstyle.pictures import images, png_texts
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from style_align.reference import References
from style_align.run import StyleAligned
from style_align.settings import Sharing
from style_align.share import Aligned
from tests.golden import tiny
from tests.parity.networks import GOLDEN, golden, relative_error, seeded
from tests.style_align import test_parity, test_sdxl
from tests.style_align.small import TARGETS, TRAIN, picture, settings
from tests.style_align.test_parity import STEPS, TOLERANCE, preset
from tests.telling import contents

RECORDED = golden("style_align_controlnet")
MAPS = RECORDED["maps"] / np.float32(255)
MODEL = str(GOLDEN / "diffusers_folder")


class NegativeTwice(Steering):
    """Shows the nets the negative text in both halves, as the paper's code does."""

    def steer(self, x: jt.Var, time: float, text: TextContext, step: int, guided: bool) -> dict[str, Any]:
        """As that of `Steering`."""
        rows = [*range(x.shape[0])] * 2
        return super().steer(x, time, TextContext(text.condition.take(rows)), step, guided)


def tiny_net(unet: tiny.Config) -> ControlNetModel:
    return seeded(ControlNetModel, ControlNetConfig.from_dict(tiny.controlnet_config(unet)))


def sample(case: test_parity.Case, steering: Steering, sharing: Sharing, guidance: float, rows: list[int]) -> Any:
    """The final latents of a set, the reference first."""
    reference = case.generated(sharing, guidance)
    denoiser = case.denoiser(rows, guidance)
    denoiser.steering = steering
    aligned = Aligned(denoiser, References([reference], [1.0], sharing), sharing)
    targets = case.sample(aligned, case.recorded("noise")[1:])
    return np.concatenate([reference.path()[1][-1:], targets])


@pytest.mark.parametrize("flavour", ["sd1", "sdxl"])
def test_a_set_with_maps_against_float64(flavour: str) -> None:
    case, unet = (
        (test_parity.Case("sd1"), tiny.SD1["unet"])
        if flavour == "sd1"
        else (test_sdxl.Case(), tiny.SDXL["unet"])
    )  # fmt: skip
    sharing, guidance = preset({"sd1": "sd"}.get(flavour, flavour))
    net, maps = tiny_net(unet), jt.array(MAPS)
    controls = {"own": Control(net, maps, 0.8), "one": Control(net, maps[:1], 0.6, 0.2, 0.7)}
    plain = (case.recorded({"sd1": "sd"}.get(flavour, flavour)))[1:]
    for name, control in controls.items():
        made = sample(case, Steering([control], STEPS), sharing, guidance, [1, 2])
        expected = RECORDED[f"{flavour}_{name}"]
        assert relative_error(made[1:], expected[1:]) < TOLERANCE
        assert relative_error(made[:1], expected[:1]) < TOLERANCE
        assert relative_error(made[1:], plain) > 0.01
    if flavour == "sdxl":
        made = sample(case, Steering([Control(net, maps[[1, 0]], 0.8)], STEPS), sharing, guidance, [1, 2])
        assert relative_error(made[1:], RECORDED["sdxl_own"][1:]) > 10 * TOLERANCE, "each under its own map"
        steering = NegativeTwice([Control(net, maps[:1], 0.8)], STEPS)
        made = sample(case, steering, sharing, guidance, [1, 1])
        assert relative_error(made, RECORDED["published"]) < TOLERANCE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A net of the model's, one of another, and two maps."""
    folder = tmp_path_factory.mktemp("things")
    tiny_net(tiny.FOLDER["unet"]).save_pretrained(folder / "net")
    tiny_net({**tiny.FOLDER["unet"], "cross_attention_dim": 24}).save_pretrained(folder / "wide")
    for name, seed in (("a", 7), ("b", 8)):
        picture(seed, 32, 32).save(folder / f"{name}.png")
    return folder


SIZE = ["--width", "32", "--height", "32"]
SMALL = ["--model", MODEL, "--steps", "3", *SIZE, "--batch_size", "1", "--features", "recompute"]
TEXTS = ["--prompt", "a boat", "a house", "a tree"]


def draw(out: Path, *words: object) -> list[np.ndarray]:
    """The pictures of a set by the command, the reference first."""
    main(["style-align", *(str(word) for word in words), "--output", str(out)])
    return [np.asarray(images.open_image(path), int) for path in sorted(out.glob("0*.png"))]


def test_the_command_steers_all_but_the_reference(folder: Path, tmp_path: Path) -> None:
    net, both = ["--controlnet", folder / "net"], ["--control", folder / "a.png", folder / "b.png"]
    plain = draw(tmp_path / "plain", *SMALL, *TEXTS)
    own = draw(tmp_path / "own", *SMALL, *TEXTS, *net, *both)
    one = draw(tmp_path / "one", *SMALL, *TEXTS, *net, *both[:2])
    np.testing.assert_array_equal(own[0], plain[0])
    np.testing.assert_array_equal(own[1], one[1])
    changes = [np.abs(first - second).max() for first, second in ((own[2], one[2]), (own[1], plain[1]))]
    assert min(changes) > 1, changes
    names = [path.name for path in sorted((tmp_path / "own").glob("0*.png"))]
    known = [[png_texts.read_identity(tmp_path / made / name) for name in names] for made in ("plain", "own", "one")]
    assert known[0][0] == known[1][0] == known[2][0]
    assert known[1][1] == known[2][1] != known[0][1] and known[1][2] != known[2][2]


def test_what_is_missing_is_made_with_its_own_map(folder: Path, tmp_path: Path) -> None:
    words = [*SMALL, *TEXTS, "--controlnet", folder / "net", "--control", folder / "a.png", folder / "b.png"]
    made = draw(tmp_path, *words)
    last = sorted(tmp_path.glob("0*.png"))[2]
    last.unlink()
    np.testing.assert_array_equal(draw(tmp_path, *words)[2], made[2])
    whole = contents(tmp_path)
    with pytest.raises(InputError, match="was made with settings.control_scale"):
        draw(tmp_path, *words, "--control_scale", "0.5")
    assert contents(tmp_path) == whole


def test_from_takes_nets_and_maps_back(folder: Path, tmp_path: Path) -> None:
    nets = ["--controlnet", folder / "net", folder / "net", "--control_scale", "0.5", "0.7", "--preprocess", "invert"]
    draw(tmp_path / "set", *SMALL, *TEXTS[:3], *nets, "--control", folder / "a.png", folder / "b.png")
    reference, boat = sorted((tmp_path / "set").glob("0*.png"))
    again = tmp_path / "again"
    draw(again, "--from", boat)
    (made,) = again.glob("0*.png")
    assert png_texts.read_identity(made) == png_texts.read_identity(boat)
    np.testing.assert_array_equal(np.asarray(images.open_image(made)), np.asarray(images.open_image(boat)))
    draw(tmp_path / "more", "--from", reference, "--prompt", "a house")
    metadata: Any = png_texts.read_metadata(next((tmp_path / "more").glob("0*.png")))
    assert metadata["spec"]["subject"]["controls"] == []


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(MODEL)


def test_python_makes_what_the_command_makes(pipe: StableDiffusionPipeline, folder: Path, tmp_path: Path) -> None:
    words = ["--controlnet", folder / "net", "--control", folder / "a.png", folder / "b.png", "--control_end", "0.7"]
    made = draw(tmp_path, *SMALL, *TEXTS, *words)
    chosen = settings(steps=3, width=32, height=32, controlnet=[str(folder / "net")], control_end=[0.7], batch_size=1,
                      features="recompute", feature_dtype="float16")  # fmt: skip
    maps = [folder / "a.png", Image.open(folder / "b.png")]
    same = StyleAligned(pipe, chosen)(TEXTS[1:], maps=maps)
    for one, other in zip(made, same):
        np.testing.assert_array_equal(one, np.asarray(other, int))
    with pytest.raises(InputError, match="the settings name ControlNets: give their maps"):
        list(StyleAligned(pipe, chosen).open_set([TRAIN]).make_pictures(TARGETS[:1]))


def test_any_batch_and_any_keeping_of_features(pipe: StableDiffusionPipeline, folder: Path) -> None:
    """From pictures too, where the window is of the two steps that run: the net steers the first."""
    maps, starts = ([Image.open(folder / f"{name}.png") for name in names] for names in ("ab", "ba"))

    def make(nets: list[str], maps: list[Image.Image], **change: Any) -> np.ndarray:
        steered = {"controlnet": nets, "guess_mode": True, "control_end": [0.5]} if nets else {}
        chosen = settings(width=32, height=32, image_strength=0.5, **steered, **change)
        pictures = StyleAligned(pipe, chosen)(["a boat", "a tree"], reference=TRAIN, maps=maps, starts=starts)
        return np.stack([np.asarray(one, int) for one in pictures])

    one = make([str(folder / "net")], maps, batch_size=1, features="memory")
    other = make([str(folder / "net")], maps, batch_size=2, features="recompute")
    assert np.abs(one - other).max() <= 1
    assert np.abs(one - make([], [], batch_size=1, features="memory")).max() > 3


def test_on_sdxl(tmp_path: Path) -> None:
    pipe = jstyle.DiffusionPipeline.from_pretrained(str(GOLDEN / "sdxl_folder"))
    tiny_net(tiny.SDXL["unet"]).save_pretrained(tmp_path)
    nets = [{}, {"controlnet": [str(tmp_path)], "preprocess": ["invert"]}]
    plain, steered = (
        StyleAligned(pipe, settings(preset="sdxl", steps=2, features="recompute", **net))(
            ["a train", "a boat", "a car"], maps=[picture(1)] if net else []
        )
        for net in nets
    )
    changes = [np.abs(np.asarray(one, int) - np.asarray(other, int)).max() for one, other in zip(plain, steered)]
    assert changes[0] == 0 and min(changes[1:]) > 3


NET, MAP = "--controlnet NET", "--control A"
MISTAKES = {
    NET: "0 maps for 1 ControlNets and 2 pictures: give each net one --control for all pictures, or one each",
    MAP: "a map steers by a ControlNet: give --controlnet for each --control",
    f"{NET} --control A B A": "3 maps for 1 ControlNets and 2 pictures",
    f"{NET} NET --control A B A": "3 maps for 2 ControlNets and 2 pictures",
    "--control_scale 0.5": "control_scale is for ControlNets: give controlnet too",
    f"{NET} {MAP} --preprocess cany": "canny",
    f"{NET} {MAP} --control_end 1.5": "control_end must be from 0 to 1, not 1.5",
    f"--controlnet WIDE {MAP}": "reads texts of width 24, this model's are of 16: take a net of the model's family",
    f"--controlnet nothing/here/at/all {MAP}": "there is no ControlNet 'nothing/here/at/all'",
    f"{NET} {MAP} --panorama": "a panorama takes no ControlNet: leave controlnet out",
    f"{NET} {MAP} --preset full_attention": "full attention sharing takes no ControlNet: leave one of the two out",
    f"{NET} {MAP} --backend jdiffusion": "backend jdiffusion takes no ControlNet",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes(folder: Path, tmp_path: Path, words: str) -> None:
    named = {"NET": folder / "net", "WIDE": folder / "wide", "A": folder / "a.png", "B": folder / "b.png"}
    with pytest.raises(InputError, match=MISTAKES[words]) as caught:
        draw(tmp_path / "out", *SMALL, *TEXTS, *(named.get(word, word) for word in words.split()))
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()
