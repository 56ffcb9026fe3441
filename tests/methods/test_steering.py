"""ControlNets in the command: what is made, what it says of itself, what comes back, and 20 mistakes, a line each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from jstyle.cli.main import main
from jstyle.errors import InputError
from jstyle.events import Event, PictureWritten
from jstyle.methods.steering import deal_maps
from jstyle.methods.text_to_image import METHOD
from jstyle.methods.text_to_image.settings import TextToImageInputs, TextToImageSettings
from jstyle.networks import ControlNetModel
from jstyle.networks.config import ControlNetConfig
from jstyle.pictures import images, png_texts
from jstyle.pipelines.controlnet import StableDiffusionControlNetPipeline
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.settings.model import ModelSettings
from jstyle.settings.words import parse_words
from tests.golden import tiny
from tests.parity.networks import GOLDEN, seeded
from tests.telling import contents

MODEL = str(GOLDEN / "diffusers_folder")
UNET = tiny.FOLDER["unet"]


class Things(NamedTuple):
    """What commands are given."""

    net: Path
    wide: Path
    deep: Path
    map: Path
    oblong: Path


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Things:
    """A net, two of other models, a map of the pictures' shape and one of another."""
    folder = tmp_path_factory.mktemp("things")

    def save(name: str, config: dict[str, Any]) -> Path:
        seeded(ControlNetModel, ControlNetConfig.from_dict(config)).save_pretrained(folder / name)
        return folder / name

    wide = {**UNET, "cross_attention_dim": 24}
    nets = [
        save("net", tiny.controlnet_config(UNET)),
        save("wide", tiny.controlnet_config(wide)),
        save("deep", tiny.controlnet_config(UNET, conditioning_embedding_out_channels=[4, 4, 8, 12])),
    ]
    pixels = np.random.default_rng(0).integers(256, size=(48, 48, 3), dtype=np.uint8)
    maps = folder / "map.png", folder / "oblong.png"
    Image.fromarray(pixels).save(maps[0])
    Image.fromarray(pixels[:24]).save(maps[1])
    return Things(*nets, *maps)


def run(*words: object) -> list[Event]:
    """The events of ``jstyle txt2img WORDS``."""
    kinds = (TextToImageInputs, TextToImageSettings, ModelSettings)
    base = ["--model", MODEL, "--steps", 3, "--width", 32, "--height", 32, "--prompt", "a river"]
    return list(METHOD.start(*parse_words(kinds, [str(word) for word in (*base, *words)], "txt2img", "")))


def written(events: Sequence[Event]) -> Path:
    (path,) = [event.path for event in events if isinstance(event, PictureWritten)]
    return path


def test_the_command_makes_what_the_pipeline_makes(things: Things, tmp_path: Path) -> None:
    words = ["--controlnet", things.net, "--control", things.map, "--output", tmp_path]
    scales: list[object] = ["--control_scale", 0.7, "--control_end", 0.7]
    picture = Image.open(written(run(*words, *scales)))
    pipe = StableDiffusionControlNetPipeline.from_pretrained(
        MODEL, controlnet=ControlNetModel.from_pretrained(things.net)
    )
    settings: dict[str, Any] = {"controlnet_conditioning_scale": 0.7, "control_guidance_end": 0.7, "seed": 0}
    shown = images.fit(Image.open(things.map), 32, 32)
    same = pipe("a river", image=shown, num_inference_steps=3, **settings).images[0]
    np.testing.assert_array_equal(np.asarray(picture), np.asarray(same))
    plain = StableDiffusionPipeline.from_pipe(pipe)("a river", 32, 32, 3, seed=0).images[0]
    assert np.abs(np.asarray(picture, int) - np.asarray(plain, int)).max() > 3


def test_a_finished_picture_is_known_by_its_nets_and_maps(things: Things, tmp_path: Path) -> None:
    words = ["--controlnet", things.net, "--control", things.map, "--output", tmp_path]
    first = run(*words)
    metadata: Any = png_texts.read_metadata(written(first))
    (control,) = metadata["spec"]["subject"]["controls"]
    assert control["map_file"] == str(things.map) and len(control["net"]) == len(control["map"]) == 64
    before = contents(tmp_path)
    run(*words)
    assert contents(tmp_path) == before
    for more in (["--control_scale", 0.5], ["--guess_mode"], ["--preprocess", "invert"]):
        run(*words, *more)
    assert len(contents(tmp_path)) == 4


def test_from_takes_nets_maps_and_numbers_back(things: Things, tmp_path: Path) -> None:
    words = ["--controlnet", things.net, things.net, "--control", things.map, things.map, "--output", tmp_path]
    path = written(run(*words, "--preprocess", "tile", "invert", "--control_scale", 0.4, "--control_start", 0, 0.3))
    before = contents(tmp_path)
    assert main(["txt2img", "--from", str(path), "--output", str(tmp_path)]) == 0
    assert contents(tmp_path) == before
    with pytest.raises(InputError, match="2 ControlNets: one each"):
        main(["txt2img", "--from", str(path), "--output", str(tmp_path), "--control_scale", "1", "1", "1"])
    copy = tmp_path / "copy.png"
    copy.write_bytes(things.map.read_bytes())
    moved = written(run("--controlnet", things.net, "--control", copy, "--output", tmp_path / "moved"))
    copy.write_bytes(things.oblong.read_bytes())
    with pytest.raises(InputError, match="was made with the map .* whose content was another: --control"):
        main(["txt2img", "--from", str(moved), "--output", str(tmp_path)])


def test_without_a_size_the_map_gives_the_shape(things: Things, tmp_path: Path) -> None:
    words = ["--model", MODEL, "--steps", 1, "--prompt", "a", "--control", things.oblong, "--controlnet", things.net]
    kinds = (TextToImageInputs, TextToImageSettings, ModelSettings)
    settings = parse_words(kinds, [str(word) for word in (*words, "--output", tmp_path)], "txt2img", "")
    width, height = Image.open(written(list(METHOD.start(*settings)))).size
    assert abs(width - 2 * height) <= 4


def test_the_same_in_any_batch_and_from_a_picture(things: Things, tmp_path: Path) -> None:
    words = ["--controlnet", things.net, "--control", things.map, "--images", 2, "--image", things.map]
    for number, folder in ((1, tmp_path / "1"), (2, tmp_path / "2")):
        run(*words, "--batch_size", number, "--output", folder)
    pairs = zip(*(sorted(folder.iterdir()) for folder in (tmp_path / "1", tmp_path / "2")))
    for one, other in pairs:
        assert np.abs(np.asarray(Image.open(one), int) - np.asarray(Image.open(other), int)).max() <= 1


def test_maps_of_several_pictures_are_dealt_net_by_net() -> None:
    assert deal_maps("abcd", 2, 2) == ["ab", "cd"] and deal_maps("ab", 2, 3) == ["a", "b"]
    assert deal_maps("", 0, 3) == []


NET, MAP = "--controlnet NET", "--control MAP"
MISTAKES = {
    NET: "0 maps for 1 ControlNets: give a --controlnet for each --control",
    MAP: "a map steers by a ControlNet: give --controlnet for each --control",
    f"{NET} NET {MAP}": "1 maps for 2 ControlNets",
    f"{NET} {MAP} MAP": "2 maps for 1 ControlNets",
    "--control_scale 0.5": "control_scale is for ControlNets: give controlnet too",
    "--guess_mode": "guess_mode is for ControlNets",
    "--preprocess canny": "preprocess is for ControlNets",
    f"{NET} {MAP} --control_scale 1 1": "control_scale has 2 for 1 ControlNets: one each",
    f"{NET} {MAP} --control_scale nan": "control_scale",
    f"{NET} {MAP} --control_start 0.5 --control_end 0.5": "control_start 0.5 must be below --control_end 0.5",
    f"{NET} {MAP} --control_end 1.5": "control_end must be from 0 to 1, not 1.5",
    f"{NET} {MAP} --control_start -0.1": "control_start must be from 0 to 1, not -0.1",
    f"{NET} {MAP} --preprocess cany": "canny",
    f"{NET} {MAP} --preprocess tile tile": "preprocess has 2 for 1 ControlNets",
    f"{NET} --control OBLONG --image MAP": "the map is 48x24 and its picture 48x48: give a map of the picture's shape",
    f"{NET} NET --control MAP OBLONG": "give a map of the first map's shape",
    f"{NET} {MAP} --image MAP --mask MAP --padding_mask_crop 4": "maps are of all of it",
    f"--controlnet WIDE {MAP}": "reads texts of width 24, this model's are of 16: take a net of the model's family",
    f"--controlnet DEEP {MAP}": "maps are 8 times as large as latents, this model's pictures 4 times",
    f"--controlnet nothing/here/at/all {MAP}": "there is no ControlNet 'nothing/here/at/all'",
    f"{NET} {MAP} --backend jdiffusion": "backend jdiffusion takes no ControlNet",
    f"--controlnet MAP {MAP}": "map.png",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes(things: Things, tmp_path: Path, words: str) -> None:
    named = {"NET": things.net, "WIDE": things.wide, "DEEP": things.deep, "MAP": things.map, "OBLONG": things.oblong}
    with pytest.raises(InputError, match=MISTAKES[words]) as caught:
        run(*(named.get(word, word) for word in words.split()), "--output", tmp_path)
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []
