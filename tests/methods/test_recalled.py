"""`--from PICTURE`: what a picture was made from is what it was, or one line says what is not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jstyle.adapters import textual_inversion
from jstyle.cli.main import main
from jstyle.errors import InputError
from jstyle.pictures import images, png_texts
from jstyle.weights.tensors import write_tensors
from tests.parity.networks import GOLDEN

FOLDER = GOLDEN / "diffusers_folder"
SMALL = ["--model", "model", "--steps", "2", "--width", "32", "--height", "32"]
LAYER = "unet.up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_v"


def write_picture(path: Path, seed: int) -> None:
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)).save(path)


def write_mask(path: Path, side: int) -> None:
    mask = Image.new("L", (32, 32))
    mask.paste(255, (0, 0, side, side))
    mask.save(path)


def write_lora(path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrays = {f"{LAYER}.lora_A.weight": rng.normal(size=(2, 16)), f"{LAYER}.lora_B.weight": rng.normal(size=(16, 2))}
    path.unlink(missing_ok=True)
    write_tensors({name: array.astype(np.float32) for name, array in arrays.items()}, path)


def write_word(path: Path, seed: int) -> None:
    shutil.rmtree(path, ignore_errors=True)
    textual_inversion.write("<pond>", np.random.default_rng(seed).normal(size=(1, 16)).astype(np.float32), path)


def change_weights(folder: Path, seed: int) -> None:
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= seed & 1
    file.write_bytes(content)


def change_schedule(folder: Path, seed: int) -> None:
    file = folder / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "beta_end": 0.02 + seed / 100}))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, with a model and all that pictures are made from; each has a relative path."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(FOLDER, "model")
    for seed, name in enumerate(("cat", "ink", "start")):
        write_picture(Path(f"{name}.png"), seed)
    write_mask(Path("mask.png"), 16)
    write_lora(Path("ink.safetensors"), 0)
    write_word(Path("pond"), 0)
    return tmp_path


def draw(*words: str) -> Path:
    """The last picture that the command has made in the folder out."""
    main([*words, *SMALL, "--output", "out"])
    return list_made(Path("out"))[-1]


def list_made(folder: Path) -> list[Path]:
    """The pictures in a folder, by their names, that others were not made from."""
    names = [path for path in folder.glob("*.png") if not png_texts.is_sheet(path)]
    return sorted(path for path in names if path.name != "reference.png" and "_source" not in path.name)


def refuse(picture: Path, *words: str) -> str:
    """The one line that `--from` answers, with nothing written."""
    command = {"styleid": "styleid", "txt2img": "txt2img", "style_align": "style-align"}
    about: Any = png_texts.read_metadata(picture)
    name = about["spec"]["method"]
    with pytest.raises(InputError) as caught:
        main([command.get(name, name.replace("_", "-")), "--from", str(picture), "--output", "again", *words])
    assert not Path("again").exists() and "\n" not in str(caught.value)
    return str(caught.value)


PAIR = ("styleid", "--content", "cat.png", "--style", "ink.png")
SET = ("style-align", "--prompt", "a")
TEXT = ("txt2img", "--prompt", "a <pond>")
MADE_FROM: dict[str, tuple[tuple[str, ...], str, Callable[[Path, int], None], str]] = {
    "content": (PAIR, "cat.png", write_picture, "content"),
    "style": (PAIR, "ink.png", write_picture, "style"),
    "image": ((*TEXT, "--image", "start.png"), "start.png", write_picture, "image"),
    "mask": ((*TEXT, "--image", "start.png", "--mask", "mask.png"), "mask.png", lambda p, s: write_mask(p, 8), "mask"),
    "edited picture": (("prompt-to-prompt", "--prompt", "a", "--target", "b", "--image", "start.png"), "start.png",
        write_picture, "image"),
    "picture of a reference": ((*SET, "--reference_image", "ink.png", "--reference_prompt", "b"), "ink.png",
        write_picture, "reference_image"),
    "a set's start": ((*SET, "b", "--image", "start.png"), "start.png", write_picture, "image"),
    "LoRA": ((*TEXT, "--lora", "ink.safetensors:0.5"), "ink.safetensors", write_lora, "lora"),
    "word": ((*TEXT, "--words", "pond"), "pond", write_word, "words"),
    "weights": (TEXT, "model", change_weights, "model"),
    "configuration": (TEXT, "model", change_schedule, "model"),
}  # fmt: skip


@pytest.mark.parametrize("kind", MADE_FROM)
def test_what_has_changed_or_is_gone_is_told(kind: str, place: Path) -> None:
    words, name, rewrite, setting = MADE_FROM[kind]
    picture = draw(*words)
    command = words[0]
    main([command, "--from", str(picture), "--output", "same"])
    assert png_texts.read_identity(list_made(Path("same"))[-1]) == png_texts.read_identity(picture)
    rewrite(Path(name), 7)
    said = refuse(picture)
    assert f"'{picture}' was made with the " in said and f"'{name}'" in said
    again = "ink.safetensors:0.5" if kind == "LoRA" else name
    assert f": --{setting} {again} takes it as it is now" in said
    main([command, "--from", str(picture), f"--{setting}", again, "--output", "other"])
    assert png_texts.read_identity(list_made(Path("other"))[-1]) != png_texts.read_identity(picture)
    Path(name).rename("moved")
    said = refuse(picture)
    assert f"'{picture}' was made with the " in said and f"'{name}'" in said
    assert ("which is not to be found from this folder: name it," in said) != (setting == "model")
    assert said.endswith(f"name it, or another, by --{setting}")
    shutil.rmtree("other")
    main([command, "--from", str(picture), f"--{setting}", again.replace(name, "moved"), "--output", "other"])


def test_another_model_leaves_what_says_more_of_the_first(place: Path) -> None:
    shutil.copytree("model", "halves")
    for file in Path("halves").glob("*/*.safetensors"):
        file.with_name(file.name.replace(".safetensors", ".fp16.safetensors")).write_bytes(file.read_bytes())
    main([*TEXT, *SMALL[2:], "--model", "halves", "--variant", "fp16", "--output", "out"])
    (picture,) = Path("out").iterdir()
    shutil.rmtree("halves")
    assert refuse(picture).endswith("name it, or another, by --model")
    main(["txt2img", "--from", str(picture), "--model", "model", "--output", "other"])
    spec: Any = png_texts.read_metadata(next(Path("other").iterdir()))
    assert spec["spec"]["model"]["named"] == {}


def test_what_is_given_again_is_not_compared_and_the_rest_is(place: Path) -> None:
    picture = draw(*TEXT, "--lora", "ink.safetensors", "--words", "pond", "--image", "start.png")
    write_lora(Path("ink.safetensors"), 1)
    write_picture(Path("start.png"), 9)
    given = ["--image", "start.png", "--model", "model"]
    assert "the LoRA 'ink.safetensors'" in refuse(picture, *given)
    change_weights(Path("model"), 1)
    assert "the model 'model', whose weights were others" in refuse(picture, *given[:2], "--lora", "ink.safetensors")
    main(["txt2img", "--from", str(picture), *given, "--lora", "ink.safetensors", "--output", "again"])


def test_wrong_words_are_told_before_files_are_looked_at(place: Path) -> None:
    picture = draw(*TEXT)
    change_weights(Path("model"), 1)
    assert "steps" in refuse(picture, "--steps", "0")
    assert "cannot read 'nowhere.png'" in refuse(picture, "--image", "nowhere.png")


def test_of_pictures_that_say_less_the_whole_model_is_compared(place: Path) -> None:
    picture = draw(*TEXT, "--lora", "ink.safetensors")
    about: Any = png_texts.read_metadata(picture)
    for name in ("files", "contents"):
        del about["spec"]["model"][name]
    png_texts.save_png(images.open_image(picture), picture, about)
    main(["txt2img", "--from", str(picture), "--output", "same"])
    write_lora(Path("ink.safetensors"), 1)
    assert "the model 'model', whose weights were others" in refuse(picture)
