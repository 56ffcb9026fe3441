"""What a call's pictures say of themselves, and what `txt2img --from` makes of it once they are saved."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jstyle import (
    EulerDiscreteScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    attached,
    save_picture,
)
from jstyle.cli.main import main
from jstyle.errors import InputError
from jstyle.pictures import images, png_texts
from jstyle.pictures.finished import hash_pixels, read_intact
from jstyle.pipelines.starts import FromNoise
from jstyle.pipelines.telling import Told, note_pictures
from jstyle.settings.model import ModelSettings
from jstyle.settings.prompts import PromptSettings
from jstyle.weights.description import describe_checkpoint
from jstyle.weights.tensors import write_tensors
from tests.parity.networks import GOLDEN

FOLDER = str(GOLDEN / "diffusers_folder")
SIZE = {"height": 32, "width": 32, "num_inference_steps": 2}
SMALL = ["--model", FOLDER, "--steps", "2", "--width", "32", "--height", "32"]
LAYER = "unet.up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_v"


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(FOLDER)


@pytest.fixture
def lora(pipe: StableDiffusionPipeline, tmp_path: Path) -> Iterator[str]:
    rng = np.random.default_rng(0)
    arrays = {f"{LAYER}.lora_A.weight": rng.normal(size=(2, 16)), f"{LAYER}.lora_B.weight": rng.normal(size=(16, 2))}
    file = tmp_path / "ink.safetensors"
    write_tensors({name: array.astype(np.float32) for name, array in arrays.items()}, file)
    pipe.load_lora_weights(file, adapter_name="ink")
    pipe.set_adapters("ink", 0.8)
    yield str(file)
    pipe.unload_lora_weights()


def tell(picture: Image.Image) -> dict[str, Any]:
    return json.loads(picture.info["jstyle"])["spec"]


def refuse(file: Path, *words: str) -> str:
    with pytest.raises(InputError) as caught:
        main(["txt2img", "--from", str(file), "--output", str(file.parent / "refused"), *words])
    assert not (file.parent / "refused").exists() and "\n" not in str(caught.value)
    return str(caught.value)


def draw_again(file: Path, *words: str) -> Image.Image:
    main(["txt2img", "--from", str(file), "--output", str(file.parent / "again.png"), "--overwrite", *words])
    return images.open_image(file.parent / "again.png")


def test_python_and_the_command_make_one_picture(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    made = pipe(["a (red) river", "a bridge"], negative_prompt=["a tree", ""], num_images_per_prompt=2, seed=3,
        sampler="euler", sigmas="karras", guidance_scale=np.float32(3), prompt_weights="a1111",
        **SIZE).images  # fmt: skip
    told = [tell(picture) for picture in made]
    assert [one["subject"]["seed"] for one in told] == [3, 4, 5, 6]
    assert [one["settings"]["negative_prompt"] for one in told] == ["a tree", "a tree", "", ""]
    assert told[0]["model"]["hash"] == describe_checkpoint(ModelSettings(FOLDER)).model_hash
    words = ["--prompt", "a (red) river", "--negative_prompt", "a tree", "--seed", "4", "--sampler", "euler"]
    words += ["--sigmas", "karras", "--guidance", "3", "--prompt_weights", "a1111", "--output", str(tmp_path / "out")]
    main(["txt2img", *SMALL, *words])
    (command,) = (tmp_path / "out").iterdir()
    save_picture(made[1], tmp_path / "python.png")
    assert png_texts.read_identity(command) == png_texts.read_identity(tmp_path / "python.png")
    with Image.open(command) as one, Image.open(tmp_path / "python.png") as other:
        assert one.info["parameters"] == other.info["parameters"]
    main(["txt2img", "--from", str(tmp_path / "python.png"), "--output", str(tmp_path / "out")])
    assert list((tmp_path / "out").iterdir()) == [command], "it is there already"
    alone = pipe("a bridge", seed=6, **SIZE).images[0]
    save_picture(alone, tmp_path / "alone.png")
    assert draw_again(tmp_path / "alone.png").tobytes() == alone.tobytes()


def test_a_picture_is_saved_as_it_was_made_or_not_at_all(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    picture, file = pipe("a river", seed=3, **SIZE).images[0], tmp_path / "river.png"
    save_picture(picture, file)
    assert read_intact(file) is not None
    with pytest.raises(InputError, match="river.png' exists: choose another name, or overwrite=True"):
        save_picture(picture, file)
    save_picture(picture, file, overwrite=True)
    with pytest.raises(InputError, match="there is no folder"):
        save_picture(picture, tmp_path / "nowhere" / "river.png")
    with pytest.raises(InputError, match="pictures are written as PNG"):
        save_picture(picture, tmp_path / "river.jpg")
    changed = picture.copy()
    changed.putpixel((0, 0), tuple(255 - value for value in changed.getpixel((0, 0))))  # type: ignore
    for other in (changed, picture.resize((16, 16))):
        with pytest.raises(InputError, match="the picture was changed since it was made"):
            save_picture(other, tmp_path / "other.png")
    with pytest.raises(InputError, match="the picture does not say what it was made of"):
        save_picture(Image.new("RGB", (8, 8)), tmp_path / "other.png")
    assert [path.name for path in tmp_path.iterdir()] == ["river.png"]


def make_ending(pipe: Any, index: int, time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
    pipe._interrupt = True
    return tensors


@pytest.mark.parametrize(
    ("changes", "told", "said"),
    [
        ({"clip_skip": 1}, {"clip_skip": 1}, "it was made in Python with clip_skip = 1, which no command can be told"),
        ({"guidance_rescale": 0.5}, {"guidance_rescale": 0.5}, "with guidance_rescale = 0.5, which no"),
        ({"timesteps": [900, 20], "sampler": "euler"}, {"timesteps": [900, 20]}, "with timesteps = [900, 20], which"),
        (
            {"sigmas": np.array([9, 2, 0]), "sampler": "euler"},
            {"sigmas": [9.0, 2.0, 0.0]},
            "with sigmas = [9.0, 2.0, 0.0], which",
        ),
        ({"callback_on_step_end": make_ending}, {"callback": "changed what was drawn, or ended it"}, "with callback ="),
        ({"callback_on_step_end": lambda *_: _[-1]}, None, ""),
        ({"cross_attention_kwargs": {"scale": 1.0}, "clip_skip": 0, "guidance_rescale": np.float32(0)}, None, ""),
    ],
)
def test_what_no_command_can_be_told_is_told(
    pipe: StableDiffusionPipeline, changes: dict[str, Any], told: Any, said: str, tmp_path: Path
) -> None:
    picture = pipe("a river", seed=3, **{**SIZE, **changes}).images[0]
    assert tell(picture)["beyond"] == told
    save_picture(picture, tmp_path / "a.png")
    if told is None:
        assert draw_again(tmp_path / "a.png").tobytes() == picture.tobytes()
    else:
        assert said in refuse(tmp_path / "a.png", "--seed", "3", "--prompt", "a")


def test_arrays_are_told_by_their_digests_row_by_row(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).standard_normal((2, 4, 8, 8)).astype(np.float32)
    embeds = np.array(pipe.encode_prompt(["a river", "a bridge"], "cpu", 1, False)[0].numpy())
    options: dict[str, Any] = {"prompt_embeds": embeds, "latents": noise, "seed": 3}
    first, second = pipe(None, **options, **SIZE).images
    (alone,) = pipe(None, prompt_embeds=embeds[1:], latents=noise[1:], seed=4, **SIZE).images
    assert tell(second)["beyond"] == tell(alone)["beyond"] != tell(first)["beyond"]
    wanted = hashlib.sha256(repr(noise[1].shape).encode() + noise[1].tobytes()).hexdigest()
    beyond, subject = tell(second)["beyond"], tell(second)["subject"]
    assert (beyond["latents"], beyond["step_seed"], subject["seed"], subject["prompt"]) == (wanted, 4, None, None)
    save_picture(second, tmp_path / "a.png")
    said = refuse(tmp_path / "a.png")
    assert "its text was given in Python as prompt_embeds: give --prompt" in said
    assert "its noise was given in Python (latents): --seed draws another" in refuse(
        tmp_path / "a.png", "--prompt", "a bridge"
    )
    wanted_pixels = pipe("a bridge", seed=4, **SIZE).images[0].tobytes()
    assert draw_again(tmp_path / "a.png", "--prompt", "a bridge", "--seed", "4").tobytes() == wanted_pixels


def test_an_argument_that_nobody_thought_of_is_told_too(pipe: StableDiffusionPipeline) -> None:
    output = pipe("a river", seed=3, **SIZE)
    picture, pooled = Image.new("RGB", (8, 8)), np.ones((1, 12), np.float32)
    settings = {"guidance": 7.5, "eta": 0.0, "sampler": None, "sigmas": None}
    options = {"original_size": (np.int64(32), 48), "maps": [picture], "pooled": pooled, "of_no_use": None, "net": pipe}
    told = Told("a river", None, FromNoise(32, 32), 2, PromptSettings(), settings, options)
    note_pictures(pipe, output, told, is_changed=False)
    assert tell(output.images[0])["beyond"] == {
        "original_size": [32, 48],
        "maps": [hash_pixels(picture)],
        "pooled": hashlib.sha256(b"(1, 12)" + pooled.tobytes()).hexdigest(),
        "net": "StableDiffusionPipeline",
    }


def test_loras_and_their_strength_are_told(pipe: StableDiffusionPipeline, lora: str, tmp_path: Path) -> None:
    plain = pipe("a river", seed=3, **SIZE).images[0]
    weak = pipe("a river", seed=3, cross_attention_kwargs={"scale": 0.5}, **SIZE).images[0]
    assert tell(plain)["beyond"] == {"lora": {"ink": 0.8}}
    assert tell(weak)["beyond"] == {"cross_attention_scale": 0.5, "lora": {"ink": 0.4}}
    assert tell(plain)["model"]["hash"] != tell(weak)["model"]["hash"]
    assert "<lora:ink:0.4>" in weak.info["parameters"]
    pipe.fuse_lora(lora_scale=0.5)
    fused = tell(pipe("a river", seed=3, **SIZE).images[0])["beyond"]
    pipe.unfuse_lora()
    assert fused == {"lora": {"ink": 0.4}, "fused": ["unet", "text_encoder"]}
    save_picture(weak, tmp_path / "weak.png")
    assert "its LoRAs were loaded in Python (ink at 0.4): give the files as --lora FILE:WEIGHT" in refuse(
        tmp_path / "weak.png"
    )
    assert draw_again(tmp_path / "weak.png", "--lora", f"{lora}:0.4").tobytes() == weak.tobytes()
    pipe.disable_lora()
    assert tell(pipe("a river", seed=3, **SIZE).images[0])["beyond"] is None


def test_what_was_put_on_the_model_is_told(tmp_path: Path) -> None:
    pipe = StableDiffusionPipeline.from_pretrained(FOLDER)
    pipe.load_textual_inversion({"<pond>": np.ones(16, np.float32)})
    pipe.scheduler = EulerDiscreteScheduler.from_config(pipe.scheduler.config)
    with attached(pipe.unet, lambda site, step, qkv: qkv):
        picture = pipe("a <pond>", seed=3, **SIZE).images[0]
    told = {"scheduler": "EulerDiscreteScheduler", "editors": ["function"], "words": ["<pond>"]}
    assert tell(picture)["beyond"] == told
    save_picture(picture, tmp_path / "a.png")
    said = refuse(tmp_path / "a.png")
    assert all(
        words in said for words in ("give --model and --sampler euler", "editors = ", "its words were loaded in Python")
    )
    pipe.scheduler = EulerDiscreteScheduler.from_config(pipe.scheduler.config, use_karras_sigmas=True)
    picture = pipe("a river", seed=3, clip_skip=1, **SIZE).images[0]
    assert "Schedule type: Karras" in picture.info["parameters"] and "Clip skip: 2" in picture.info["parameters"]
    save_picture(picture, tmp_path / "c.png")
    assert "give --model and --sampler euler and --sigmas karras" in refuse(tmp_path / "c.png")
    joined = StableDiffusionPipeline(**StableDiffusionPipeline.from_pretrained(FOLDER).components)
    save_picture(joined("a river", seed=3, **SIZE).images[0], tmp_path / "b.png")
    assert "give --model" in refuse(tmp_path / "b.png")


def test_pictures_to_start_from_must_be_given_as_files(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 40, 3), np.uint8)
    start, mask = Image.fromarray(pixels), Image.new("L", (40, 32))
    mask.paste(255, (0, 0, 16, 16))
    start.save(tmp_path / "start.png")
    mask.save(tmp_path / "mask.png")
    common: dict[str, Any] = {"num_inference_steps": 4, "seed": 1}
    changed = StableDiffusionImg2ImgPipeline.from_pipe(pipe)("a", start, np.float32(0.5), **common).images[0]
    assert tell(changed)["beyond"] == {"image": hash_pixels(start)}
    assert "Denoising strength: 0.5" in changed.info["parameters"]
    save_picture(changed, tmp_path / "changed.png")
    assert "what it started from was given in Python: give the file as --image" in refuse(tmp_path / "changed.png")
    given = ["--image", str(tmp_path / "start.png")]
    assert draw_again(tmp_path / "changed.png", *given).tobytes() == changed.tobytes()
    inpainting = StableDiffusionInpaintPipeline.from_pipe(pipe)
    painted = inpainting("a", start, mask, overlay=False, **common).images[0]
    assert tell(painted)["beyond"].keys() == {"image", "mask"}
    save_picture(painted, tmp_path / "painted.png")
    given += ["--mask", str(tmp_path / "mask.png")]
    assert draw_again(tmp_path / "painted.png", *given).tobytes() == painted.tobytes()
