"""StyleID with ControlNets, which steer the stylisation and no inversion."""

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
from jstyle.networks import ControlNetModel
from jstyle.networks.config import ControlNetConfig
from jstyle.pictures import images, png_texts
from jstyle.pictures.control_maps import make_map
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.settings.reader import build
from styleid.run import StyleID
from styleid.settings import StyleIDSettings
from tests.golden import tiny
from tests.parity import networks
from tests.parity.networks import GOLDEN, golden, relative_error, seeded
from tests.styleid.test_parity import RECORDED, TOLERANCE, finish, inverted, method
from tests.telling import contents

STEERED = golden("styleid_controlnet")
MODEL = str(GOLDEN / "diffusers_folder")


def tiny_net(unet: tiny.Config, **changes: Any) -> ControlNetModel:
    return seeded(ControlNetModel, ControlNetConfig.from_dict(tiny.controlnet_config(unet, **changes)))


@pytest.mark.parametrize(("name", "window"), [("sd1", (0.0, 1.0)), ("sd2", (0.2, 0.7))])
def test_a_steered_latent_against_float64(name: str, window: tuple[float, float]) -> None:
    flavour = name, networks.build(name, "unet")
    unet, changes = (
        (tiny.SD1["unet"], {})
        if name == "sd1"
        else (tiny.SD2["unet"], {"controlnet_conditioning_channel_order": "bgr"})
    )
    net, shown = tiny_net(unet, **changes), jt.array(STEERED["map"] / np.float32(255))
    styleid = method(flavour)
    content, style = (inverted(styleid, RECORDED[f"{name}_{role}"], role) for role in ("content", "style"))  # type: ignore[arg-type]
    steering = Steering([Control(net, shown, 0.8, *window)], 10, 1)
    out = finish(styleid.stylise([content], style, steering)).numpy()
    assert relative_error(out, STEERED[name]) < TOLERANCE
    assert relative_error(out, RECORDED[f"{name}_current_out_g0.75_t1.5"]) > 0.01


def picture(seed: int, width: int = 32, height: int = 32) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(pixels).resize((width, height))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A net of the model's, one of another, two contents, a style, maps of two shapes."""
    folder = tmp_path_factory.mktemp("things")
    tiny_net(tiny.FOLDER["unet"]).save_pretrained(folder / "net")
    tiny_net({**tiny.FOLDER["unet"], "cross_attention_dim": 24}).save_pretrained(folder / "wide")
    for seed, name in enumerate(("a", "b", "style", "map")):
        picture(seed).save(folder / f"{name}.png")
    picture(4, 32, 16).save(folder / "oblong.png")
    return folder


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(MODEL)


def settings(**changes: Any) -> StyleIDSettings:
    return build(StyleIDSettings, {"steps": 4, "width": 32, "height": 32, **changes})


def stylise(pipe: StableDiffusionPipeline, maps: Any = (), **changes: Any) -> np.ndarray:
    """Two contents in a style."""
    events = StyleID(pipe, settings(**changes)).stylise_pairs([picture(0), picture(1)], [picture(2)], maps=maps)
    made = {event.content: event.image for event in events if hasattr(event, "image")}
    return np.stack([np.asarray(made[content], int) for content in range(2)])


def test_maps_are_made_of_the_contents_or_given(pipe: StableDiffusionPipeline, folder: Path) -> None:
    net = {"controlnet": [str(folder / "net")]}
    plain, made = stylise(pipe), stylise(pipe, preprocess=["invert"], **net)
    assert min(np.abs(made - plain).max(axis=(1, 2, 3))) > 3
    maps = [make_map(picture(seed), "invert") for seed in (0, 1)]
    np.testing.assert_array_equal(stylise(pipe, maps, **net), made)
    swapped = stylise(pipe, maps[::-1], **net)
    assert min(np.abs(swapped - made).max(axis=(1, 2, 3))) > 0
    np.testing.assert_array_equal(stylise(pipe, maps[:1], **net)[0], made[0])
    one = StyleID(pipe, settings(**net))(picture(0), picture(2), maps=np.asarray(maps[0]))
    np.testing.assert_array_equal(np.asarray(one, int), made[0])
    with pytest.raises(InputError, match="maps must be a picture"):
        StyleID(pipe, settings(**net))(picture(0), picture(2), maps=7)
    first_of_three = stylise(pipe, maps, **net, control_end=[0.4])
    assert min(np.abs(first_of_three - plain).max(axis=(1, 2, 3))) > 3, "a window is of the steps that run"
    with pytest.raises(InputError, match="a ControlNet needs maps: give --preprocess"):
        stylise(pipe, **net)


def test_features_kept_or_computed_again_are_the_same_bits(pipe: StableDiffusionPipeline, folder: Path) -> None:
    net = {"controlnet": [str(folder / "net")], "preprocess": ["invert"], "batch_size": 2, "control_end": [0.7]}
    kept, again = (stylise(pipe, features=features, **net) for features in ("memory", "recompute"))
    np.testing.assert_array_equal(kept, again)
    alone = stylise(pipe, **{**net, "batch_size": 1})
    assert np.abs(kept - alone).max() <= 1


def test_on_sdxl(tmp_path: Path) -> None:
    pipe = jstyle.DiffusionPipeline.from_pretrained(str(GOLDEN / "sdxl_folder"))
    tiny_net(tiny.SDXL["unet"]).save_pretrained(tmp_path)
    plain = stylise(pipe, batch_size=2, steps=2)
    made = stylise(pipe, batch_size=2, steps=2, controlnet=[str(tmp_path)], preprocess=["tile"])
    assert min(np.abs(made - plain).max(axis=(1, 2, 3))) > 3


def run(folder: Path, out: Path, *words: object) -> list[Path]:
    """The pictures of ``jstyle styleid WORDS``, of both contents."""
    things = ["--content", folder / "a.png", folder / "b.png", "--style", folder / "style.png", "--output", out]
    size = ["--model", MODEL, "--steps", 3, "--width", 32, "--height", 32]
    main(["styleid", *(str(word) for word in (*things, *size, *words))])
    return sorted(out.glob("?_stylized_*.png"))


def test_the_command_its_pictures_and_what_they_give_back(folder: Path, tmp_path: Path) -> None:
    net = ["--controlnet", folder / "net", "--preprocess", "invert"]
    made = run(folder, tmp_path / "made", *net)
    whole = contents(tmp_path / "made")
    run(folder, tmp_path / "made", *net)
    assert contents(tmp_path / "made") == whole
    of_maps = run(folder, tmp_path / "maps", *net, "--control", folder / "a.png", folder / "map.png")
    known = [[png_texts.read_identity(path) for path in paths] for paths in (made, of_maps)]
    assert known[0][0] == known[1][0] and known[0][1] != known[1][1]
    for number, path in enumerate((made[0], of_maps[1])):
        again = tmp_path / f"again_{number}.png"
        main(["styleid", "--from", str(path), "--output", str(again)])
        assert png_texts.read_identity(again) == png_texts.read_identity(path)
        assert images.open_image(again).tobytes() == images.open_image(path).tobytes()
    other = tmp_path / "other.png"
    main(["styleid", "--from", str(made[0]), "--content", str(folder / "b.png"), "--output", str(other)])
    assert png_texts.read_identity(other) == png_texts.read_identity(made[1]), "its own map"


NET, MADE = "--controlnet NET", "--preprocess invert"
MISTAKES = {
    NET: "a ControlNet needs maps: give --preprocess, which makes them of the contents, or maps as --control",
    "--control MAP": "a map steers by a ControlNet: give --controlnet for each --control",
    MADE: "preprocess is for ControlNets: give controlnet too",
    f"{NET} --control MAP MAP MAP": "3 maps for 1 ControlNets and 2 pictures: give each net one --control for all",
    f"{NET} {MADE} invert": "preprocess has 2 for 1 ControlNets: one each",
    f"{NET} --control OBLONG": "the map is 32x16 and its content 32x32: give a map of the content's shape",
    f"--controlnet WIDE {MADE}": "reads texts of width 24, this model's are of 16: take a net of the model's family",
    f"--controlnet nothing/here/at/all {MADE}": "there is no ControlNet 'nothing/here/at/all'",
    f"{NET} {MADE} --control_start 0.9 --control_end 0.1": "control_start 0.9 must be below --control_end 0.1",
    f"{NET} {MADE} --backend jdiffusion": "backend jdiffusion takes no ControlNet",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes(folder: Path, tmp_path: Path, words: str) -> None:
    places = {"NET": "net", "WIDE": "wide", "MAP": "map.png", "OBLONG": "oblong.png"}
    with pytest.raises(InputError, match=MISTAKES[words]) as caught:
        run(folder, tmp_path / "out", *(folder / places[word] if word in places else word for word in words.split()))
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()
