"""`--from PICTURE`: settings come back from our own pictures and from A1111's; a stranger's file does no harm."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from random import Random
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from jstyle.cli.commands import find_command
from jstyle.cli.main import main
from jstyle.errors import InputError
from jstyle.methods.recalled import Recalled
from jstyle.methods.recalling import recall_settings
from jstyle.methods.table import METHODS
from jstyle.pictures import png_texts
from jstyle.settings.adapted import AdaptedModelSettings
from tests.parity.networks import GOLDEN
from tests.telling import contents

SMALL = ["--model", str(GOLDEN / "diffusers_folder"), "--steps", "2", "--width", "32", "--height", "32"]


def write(path: Path, **texts: str) -> Path:
    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    Image.new("RGB", (8, 8)).save(path, pnginfo=info)
    return path


def recall(path: Path, method: str = "txt2img", *given: str) -> Recalled:
    found = METHODS[method]
    return recall_settings(found, (found.inputs, found.settings, AdaptedModelSettings), path, given)


def test_a_picture_made_by_its_own_settings_is_there_already(tmp_path: Path) -> None:
    start = tmp_path / "start.png"
    Image.effect_mandelbrot((48, 40), (-3, -2.5, 2, 2.5), 50).save(start)
    out = tmp_path / "out"
    words = ["txt2img", *SMALL, "--output", str(out)]
    main([*words, "--prompt", "a (red:1.3) river", "a bridge", "--prompt_weights", "a1111", "--seed", "4"])
    main([*words, "--prompt", "a tree", "--image", str(start), "--strength", "0.6", "--sampler", "euler"])
    before = contents(out)
    assert len(before) == 3
    for name in before:
        main(["txt2img", "--from", str(out / name), "--output", str(out)])
    assert contents(out) == before
    main(["txt2img", "--from", str(out / sorted(before)[1]), "--output", str(out), "--steps", "3"])
    (new,) = set(contents(out)) - set(before)
    spec: Any = png_texts.read_metadata(out / new)
    assert new == "00003-5-a_bridge.png"
    assert (spec["spec"]["settings"]["steps"], spec["spec"]["subject"]["prompt"]) == (3, "a bridge")


def test_the_words_and_the_config_win_over_the_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["txt2img", *SMALL, "--prompt", "a river", "--output", str(tmp_path), "--guidance", "3"])
    (file,) = tmp_path.iterdir()
    (tmp_path / "config.yaml").write_text("guidance: 4\nsteps: 7\n")
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(
            [
                "txt2img",
                "--from",
                str(file),
                "--config",
                str(tmp_path / "config.yaml"),
                "--steps",
                "9",
                "--print_config",
            ]
        )
    shown = capsys.readouterr().out
    assert "guidance: 4\n" in shown and "steps: 9\n" in shown and "- a river\n" in shown and "width: 32\n" in shown


def test_contents_and_styles_come_back(tmp_path: Path) -> None:
    for number, name in enumerate(("cat", "ink")):
        Image.new("RGB", (32, 32), (0, 90 * number, 90)).save(tmp_path / f"{name}.png")
    paths = {"content": str(tmp_path / "cat.png"), "style": str(tmp_path / "ink.png")}
    words = [word for name, path in paths.items() for word in (f"--{name}", path)]
    main(["styleid", *SMALL, *words, "--gamma", "0.5", "--output", str(tmp_path / "out")])
    file = tmp_path / "out" / "cat_stylized_ink.png"
    recalled = recall(file, "styleid")
    assert recalled.values["gamma"] == 0.5 and not recalled.lines and not recalled.needs
    assert [(one.setting, str(one.path)) for one in recalled.origins] == list(paths.items())
    assert {name: recalled.values[name] for name in paths} == {name: [path] for name, path in paths.items()}
    assert "style" not in recall(file, "styleid", "style").values
    with pytest.raises(
        InputError, match="holds the settings of 'styleid', not of txt2img: jstyle styleid --from takes"
    ):
        recall(file)


def test_a1111s_pictures_give_what_there_is_here(tmp_path: Path) -> None:
    text = (
        "a (red:1.2) boat <lora:ink:0.8>, sea\nNegative prompt: fog\nSteps: 21, Sampler: DPM++ 2M, "
        "Schedule type: Karras, CFG scale: 6.5, Seed: 965400086, Size: 512x768, Model hash: 45dee52b, "
        "Model: v1-5-pruned, "
        "Hires upscale: 2, Denoising strength: 0.5, Clip skip: 2, Version: v1.10.1"
    )
    path = write(tmp_path / "theirs.png", parameters=text)
    recalled = recall(path)
    assert recalled.values == {
        "prompt": ["a (red:1.2) boat , sea"],
        "negative_prompt": "fog",
        "prompt_weights": "a1111",
        "long_prompts": "chunk",
        "steps": 21,
        "guidance": 6.5,
        "seed": 965400086,
        "width": 512,
        "height": 768,
        "sampler": "dpmpp_2m",
        "sigmas": "karras",
    }
    told = "\n".join(recalled.lines)
    for said in (
        "'ink' is not taken over: give its file, --lora FILE:0.8",
        "hires fix is not done here (Hires upscale: 2, Denoising strength: 0.5): the picture has its first size",
        "not taken over: Clip skip: 2\n",
    ):
        assert said in told
    assert not recalled.needs, "the strength is that of hires fix"
    assert "made by v1-5-pruned: name the model by --model; noise is drawn otherwise" in told
    other = recall(write(tmp_path / "other.png", parameters="a\nSteps: 2, Sampler: DPM fast, Seed: 1, Size: 8x8"))
    assert "there is no sampler 'DPM fast': the model's own draws" in other.lines[0]
    ancestral = "a\nSteps: 2, Sampler: Euler a, Eta: 0.5, Eta DDIM: 0.3, Seed: 1, Size: 8x8"
    assert "not taken over: Eta: 0.5, Eta DDIM: 0.3" in "\n".join(
        recall(write(tmp_path / "a.png", parameters=ancestral)).lines
    )
    assert recall(path, "styleid").values == {"steps": 21, "seed": 965400086, "width": 512, "height": 768}


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ("", {}),
        (", Denoising strength: 0.5", {"image", "strength"}),
        (", Denoising strength: 0.5, Mask blur: 4", {"image", "mask", "strength"}),
        (", Denoising strength: 0.5, Hires upscale: 2, Hires upscaler: Latent", {}),
        (", Denoising strength: 0.5, Hires steps: 5", {}),
    ],
)
def test_what_a1111_began_from_must_be_given(fields: str, wanted: set[str], tmp_path: Path) -> None:
    text = f"a\nSteps: 2, Sampler: Euler, CFG scale: 7, Size: 32x32{fields}"
    path = write(tmp_path / "theirs.png", parameters=text)
    assert {name for need in recall(path).needs for name in need.settings} == set(wanted)
    assert not recall(path, "txt2img", *wanted).needs and not recall(path, "inst").needs
    if wanted:
        with pytest.raises(InputError, match="what it started from is not in it: give --image.* and --strength 0.5$"):
            main(["txt2img", "--from", str(path), "--output", str(tmp_path / "out")])


def test_our_own_text_counts_where_there_are_both(tmp_path: Path) -> None:
    main(["txt2img", *SMALL, "--prompt", "a (plain) river", "--output", str(tmp_path)])
    (file,) = tmp_path.iterdir()
    ours = recall(file)
    assert (ours.values["prompt"], ours.values["prompt_weights"]) == (["a (plain) river"], "none")
    assert not ours.lines
    with Image.open(file) as picture:
        theirs = write(tmp_path / "theirs.png", parameters=picture.info["parameters"])
    found = recall(theirs)
    assert (found.values["prompt"], found.values["prompt_weights"]) == ([r"a \(plain\) river"], "a1111")
    assert not found.lines, "it is jstyle's, whose noise is the same"


SPEC = {"method": "txt2img", "model": {}, "settings": {"steps": 2}, "subject": {"prompt": "a", "seed": 1}}


def spoil(**parts: Any) -> str:
    return json.dumps({"spec": {**SPEC, **parts}})


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({}, "says nothing of its settings: give a picture of jstyle's or"),
        ({"jstyle": "{}"}, "says nothing of its settings"),
        ({"jstyle": "[]"}, "the settings in '.*' are spoilt: they are no picture's"),
        ({"jstyle": '{"spec": 5}'}, "the settings in '.*' are spoilt: they are no picture's"),
        ({"jstyle": '{"spec": {"method": "txt2im'}, "the settings in '.*' are spoilt: their text is not JSON"),
        ({"jstyle": '{"kind": "contact sheet"}'}, "is a contact sheet: give one of its pictures"),
        ({"parameters": "hello"}, "the text 'parameters' in '.*' has no line of settings, such as 'Steps: 20"),
        ({"jstyle": "[" * 5000}, "nests over 100 deep"),
        ({"jstyle": '{"spec": 1, "spec": 2}'}, "the key 'spec' stands there twice"),
        ({"jstyle": "{"}, "is not JSON"),
        ({"jstyle": '{"spec": {}}'}, "by a recipe or a training"),
        ({"jstyle": spoil(method=["txt2img"])}, r"holds the settings of \['txt2img'\], not of txt2img"),
        ({"jstyle": spoil(settings={"steps": "many"})}, "steps must be a whole number, not 'many'"),
        ({"jstyle": spoil(settings={"steps": None})}, "steps must be a whole number, not null"),
        ({"jstyle": spoil(subject={"prompt": 5})}, "prompt.0. must be a text, not 5"),
        ({"jstyle": spoil(model={"name": ["tiny"]})}, "model must be a text"),
        ({"jstyle": " " * (1 << 18) + "{}"}, "its settings are longer than 256 KiB"),
        ({"parameters": "a\nSteps: x, Sampler: Euler, CFG scale: 7"}, "Steps must be a number, not 'x'"),
        (
            {"parameters": f"a\nSteps: {'9' * 40}, Sampler: Euler, CFG scale: 7"},
            "steps must be a whole number, not '9999",
        ),
        ({"parameters": "a\nSteps: 2, Sampler: Euler, CFG scale: nan"}, "guidance must be a finite number"),
    ],
)
def test_what_a_stranger_writes_is_one_line(texts: dict[str, str], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said) as caught:
        recall(write(tmp_path / "x.png", **texts))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        (b"iTXt", b"jstyle\0\0\0\0\0{\xff}", "its settings are spoilt: the text 'jstyle'"),
        (b"zTXt", b"jstyle\0\0abc", "its settings are spoilt: the text 'jstyle'"),
        (b"zTXt", b"jstyle\0\0" + zlib.compress(b'{"spec": {}}' * 50)[:20], "are spoilt: their text is not JSON"),
        (b"tEXt", b"jstyle", "its settings are spoilt: the text 'jstyle'"),
        (b"iTXt", b"parameters\0\0\0\0\0\xff", "its settings are spoilt: the text 'parameters'"),
        (b"nOxT", b"jstyle\0{", "says nothing of its settings"),
    ],
)
def test_a_spoilt_text_is_no_missing_one(kind: bytes, data: bytes, said: str, tmp_path: Path) -> None:
    path = write(tmp_path / "x.png")
    whole = path.read_bytes()
    place = whole.index(b"IDAT") - 4
    chunk = struct.pack(">I", len(data)) + kind + data
    path.write_bytes(whole[:place] + chunk + struct.pack(">I", zlib.crc32(kind + data)) + whole[place:])
    with pytest.raises(InputError, match=said):
        recall(path)
    path.write_bytes(whole[:place] + chunk + b"\0\0\0\0" + whole[place:])
    with pytest.raises(InputError, match="it is damaged: its settings|says nothing"):
        recall(path)


def test_unknown_names_are_told_and_odd_files_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    subject = {"prompt": "a", "seed": 1, "image": "0" * 64, "image_file": str(tmp_path / "pipe")}
    settings = {"steps": 2, "of_tomorrow": 1}
    recalled = recall(write(tmp_path / "x.png", jstyle=spoil(subject=subject, settings=settings)))
    assert recalled.values == {"steps": 2, "prompt": ["a"], "seed": 1, "image": str(tmp_path / "pipe")}
    assert [line.partition("x.png: ")[2] for line in recalled.lines] == ["txt2img has no 'of_tomorrow'"]
    with pytest.raises(InputError, match="x.png' was made with the image '.*pipe', which is not there"):
        recalled.check_origins()


def test_what_is_no_png_is_one_line(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "x.jpg")
    (tmp_path / "half.png").write_bytes(write(tmp_path / "x.png", parameters="a").read_bytes()[:40])
    Image.new("RGB", (8, 8)).save(tmp_path / "x.bmp")
    for name in ("x.jpg", "x.bmp", "half.png", "nowhere.png", ""):
        with pytest.raises(InputError) as caught:
            recall(tmp_path / name)
        assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_teachings_and_submissions_take_no_picture() -> None:
    for words in (["train", "lora"], ["submit"]):
        command, _ = find_command(words)
        with pytest.raises(InputError, match="unknown option --from"):
            command.main(["--from", "x.png"], "jstyle")


def test_a_picture_is_read_before_anything_starts(tmp_path: Path) -> None:
    spec = {name: json.dumps({"spec": {**SPEC, "method": name}}) for name in METHODS}
    files = {METHODS[name].command: str(write(tmp_path / f"{name}.png", jstyle=text)) for name, text in spec.items()}
    program = (
        "import sys\nfrom jstyle.cli.main import main\n"
        f"for command, file in {files!r}.items():\n"
        "    try:\n"
        "        main([command, '--from', file, '--print_config'])\n"
        "    except SystemExit:\n"
        "        pass\n"
        "print('jittor' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.endswith("False\n") and done.stdout.count("steps: 2\n") == len(METHODS), done.stderr


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_a1111s_other_pictures_have_it_as_their_comment(suffix: str, tmp_path: Path) -> None:
    text = "a (red:1.2) boat, ночь\nSteps: 21, Sampler: Euler a, CFG scale: 6.5, Seed: 9, Size: 64x32"
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + text.encode("utf-16-be")
    Image.new("RGB", (8, 8)).save(tmp_path / f"x{suffix}", exif=exif)
    values = recall(tmp_path / f"x{suffix}").values
    assert (values["prompt"], values["sampler"], values["width"]) == (["a (red:1.2) boat, ночь"], "euler_a", 64)


SCRAPS = (
    "Steps: 20", "Sampler: Euler a", ", ", '"', "\\", "(", ")", "[", "]", ":", "1.2", "Negative prompt:", "\n", "BREAK",
    "<lora:x:1>", "Seed: -1", "Seed: 1e9", "Size: 8x8", "Size: 0x0", "CFG scale: inf", "AND", "ночь", "\x1b[31m",
)  # fmt: skip
ODD = (None, [], {}, -1, 1e400, "x" * 50, True, [{}], {"a": {}}, "\x00", "\ud800", 2**70)


def spoil_somewhere(value: Any, rng: Random) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.8:
        name = rng.choice(list(value))
        return {**value, name: spoil_somewhere(value[name], rng)}
    return rng.choice(ODD)


def test_spoilt_texts_are_read_or_refused_in_a_line(tmp_path: Path) -> None:
    rng, refused = Random(1), 0
    whole = {**SPEC, "model": {"name": "tiny", "named": {}}, "settings": {"steps": 2, "sigmas": None}}
    for number in range(200):
        if number % 2:
            last = "\nSteps: 20, Sampler: Euler a, CFG scale: 7" if number % 4 == 1 else ""
            texts = {"parameters": "".join(rng.choices(SCRAPS, k=rng.randrange(30))) + last}
        else:
            texts = {"jstyle": json.dumps({"spec": spoil_somewhere(whole, rng)})}
        try:
            recalled = recall(write(tmp_path / "x.png", **texts))
            lines = list(recalled.lines)
            recalled.check_origins()
        except InputError as error:
            refused, lines = refused + 1, [str(error)]
        assert all(line.isprintable() and len(line) < 1000 for line in lines), texts
    assert 20 < refused < 180
