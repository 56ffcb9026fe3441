"""`--lora` and `--words` of the commands that make pictures: as from Python, and a part of what a picture is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jstyle.adapters import textual_inversion
from jstyle.adapters.put_on import hash_adapted
from jstyle.cli.main import main
from jstyle.errors import InputError
from jstyle.pictures import images, png_texts
from jstyle.pipelines.cost import CountingPipeline
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.settings.adapted import AdaptedModelSettings
from jstyle.weights.tensors import write_tensors
from tests.parity.networks import GOLDEN
from tests.telling import contents

FOLDER = str(GOLDEN / "diffusers_folder")
SMALL = ["--model", FOLDER, "--steps", "2", "--width", "32", "--height", "32"]
PROMPT = "a <pond> at night"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A LoRA of one layer in two strengths, and a word of two vectors."""
    folder, rng = tmp_path_factory.mktemp("learnt"), np.random.default_rng(3)
    layer = "unet.up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_v"
    pipe = StableDiffusionPipeline.from_pretrained(FOLDER)
    shape = dict(pipe.unet.named_parameters())[layer.partition(".")[2] + ".weight"].shape
    arrays = {
        f"{layer}.lora_A.weight": rng.standard_normal((2, shape[1])).astype(np.float32),
        f"{layer}.lora_B.weight": rng.standard_normal((shape[0], 2)).astype(np.float32),
    }
    write_tensors(arrays, folder / "ink.safetensors")
    textual_inversion.write("<pond>", rng.standard_normal((2, 16)).astype(np.float32), folder / "pond")
    return {"ink": str(folder / "ink.safetensors"), "pond": str(folder / "pond")}


def draw(out: Path, *words: str) -> dict[str, bytes]:
    main(["txt2img", *SMALL, "--prompt", PROMPT, "--output", str(out), *words])
    return contents(out)


def test_a_command_puts_on_what_python_does(files: dict[str, str], tmp_path: Path) -> None:
    made = draw(tmp_path, "--lora", f"{files['ink']}:0.5", "--words", files["pond"])
    (name,) = made
    pipe = StableDiffusionPipeline.from_pretrained(FOLDER)
    pipe.load_lora_weights(files["ink"], adapter_name="ink")
    pipe.set_adapters("ink", 0.5)
    pipe.load_textual_inversion(files["pond"])
    ours = pipe(PROMPT, height=32, width=32, num_inference_steps=2, seed=0).images[0]
    assert ours.tobytes() == images.open_image(tmp_path / name).tobytes()
    assert draw(tmp_path, "--lora", f"{files['ink']}:0.5", "--words", files["pond"]) == made, "it is there"
    others = [
        ["--lora", files["ink"], "--words", files["pond"]],
        ["--lora", f"{files['ink']}:0.5"],
        ["--lora", f"{files['ink']}:0.5", "--words", f"{files['pond']}:<lake>"],
        [],
    ]
    for count, words in enumerate(others, 2):
        assert len(draw(tmp_path, *words)) == count
    pixels = {images.open_image(tmp_path / name).tobytes() for name in contents(tmp_path)}
    assert len(pixels) == 4, "<pond> is no word in the third and the fourth, which differ in nothing else"


def test_the_picture_says_what_was_put_on(files: dict[str, str], tmp_path: Path) -> None:
    lora, words = f"{files['ink']}:0.5", files["pond"]
    (name,) = draw(tmp_path, "--lora", lora, "--words", words)
    spec: Any = png_texts.read_metadata(tmp_path / name)
    assert spec["spec"]["model"]["named"] == {"lora": [lora], "words": [words]}
    with Image.open(tmp_path / name) as picture:
        assert picture.info["parameters"].startswith(f"{PROMPT} <lora:ink:0.5>\n")
    before = contents(tmp_path)
    main(["txt2img", "--from", str(tmp_path / name), "--output", str(tmp_path)])
    assert contents(tmp_path) == before


def test_a_plan_and_a_pipeline_call_it_the_same(files: dict[str, str]) -> None:
    plain = AdaptedModelSettings(FOLDER)
    model = AdaptedModelSettings(FOLDER, lora=(files["ink"],), words=(files["pond"],))
    pipe, planned = StableDiffusionPipeline.from_settings(model), CountingPipeline.from_settings(model)
    base = CountingPipeline.from_settings(plain).model_hash
    assert pipe.model_hash == planned.model_hash == hash_adapted(base, model) != base
    assert StableDiffusionPipeline.from_settings(plain).model_hash == base
    pipe.set_adapters("lora_1", 0.25)
    assert pipe.model_hash not in (base, planned.model_hash), "it is another now"


def test_other_methods_take_them_too(files: dict[str, str], tmp_path: Path) -> None:
    for name, colour in (("cat", "red"), ("sea", "navy")):
        Image.new("RGB", (32, 32), colour).save(tmp_path / f"{name}.png")
    pair = ["--content", str(tmp_path / "cat.png"), "--style", str(tmp_path / "sea.png")]
    texts = ["--prompt", "a boat", PROMPT]
    for command, words in (("styleid", pair), ("style-align", texts)):
        made = []
        for number, more in enumerate(([], ["--lora", files["ink"], "--words", files["pond"]])):
            out = tmp_path / f"{command}{number}"
            main([command, *SMALL, *words, *more, "--output", str(out)])
            before = contents(out)
            main([command, *SMALL, *words, *more, "--output", str(out)])
            assert contents(out) == before
            made.append({name: data for name, data in before.items() if "sheet" not in name})
        assert made[0].keys() == made[1].keys() and made[0] != made[1]
    kept = str(tmp_path / "kept.safetensors")
    adapted = ["--lora", files["ink"], "--output", str(tmp_path / "saving")]
    main(["style-align", *SMALL, *texts, *adapted, "--save_reference", kept])
    main(
        ["style-align", *SMALL, "--prompt", PROMPT, *adapted[:2], "--output", str(tmp_path / "o"), "--reference", kept]
    )
    with pytest.raises(InputError, match="was made with other weights"):
        main(["style-align", *SMALL, "--prompt", PROMPT, "--output", str(tmp_path / "p"), "--reference", kept])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--lora", "nowhere.safetensors"], "there is no LoRA 'nowhere.safetensors': name a safetensors file or its"),
        (["--lora", "nowhere:0.5"], "there is no LoRA 'nowhere'"),
        (["--lora", "nowhere:nan"], "there is no LoRA 'nowhere:nan'"),
        (["--words", "nowhere:<a>"], "there is no word 'nowhere'"),
        (["--lora", " "], "--lora must name files, not nothing"),
    ],
)
def test_what_is_not_there_is_one_line(words: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        draw(tmp_path, *words)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (
            "lora",
            "there is no file pytorch_lora_weights.safetensors in .*; give a LoRA's safetensors file or its folder",
        ),
        ("words", "there is no file learned_embeds.safetensors in .*; give a textual inversion's safetensors file or"),
    ],
)
def test_folders_without_weights_are_told_while_it_is_planned(setting: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        CountingPipeline.from_settings(AdaptedModelSettings(FOLDER, **{setting: (str(tmp_path),)}))
    for name in ("a.safetensors", "b.safetensors"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match="holds 2 safetensors files"):
        CountingPipeline.from_settings(AdaptedModelSettings(FOLDER, **{setting: (str(tmp_path),)}))
    (tmp_path / "b.safetensors").unlink()
    with pytest.raises(InputError, match="a.safetensors"):
        CountingPipeline.from_settings(AdaptedModelSettings(FOLDER, **{setting: (str(tmp_path),)}))


def test_a_name_with_a_colon_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ink:0.5", "ink"):
        (tmp_path / name).write_bytes(b"")
    listed = AdaptedModelSettings(lora=("ink:0.5", "ink:0.25", "ink:0.5:2", "ink")).list_loras()
    assert listed == [(Path("ink:0.5"), 1.0), (Path("ink"), 0.25), (Path("ink:0.5"), 2.0), (Path("ink"), 1.0)]
