"""Finding pictures, cropping, arrays, and PNG files written whole or not at all."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jstyle.errors import InputError
from jstyle.pictures import images, png_texts

RED = (255, 0, 0)
RED_BLUE = Image.new("RGB", (2, 1), RED)
GRADIENT = Image.linear_gradient("L").resize((9, 7)).convert("RGB")
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def test_find_images_takes_files_and_folders_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "sub.png").mkdir(parents=True)
    for name in ("b.JPG", "a.png", "c.webp", ".hidden.png", "notes.txt", "weights.safetensors"):
        (folder / name).touch()
    single = tmp_path / "no_suffix"
    single.touch()
    found = images.find_images([single, folder, folder / "a.png", single])
    assert found == [single, folder / "a.png", folder / "b.JPG", folder / "c.webp"]


def test_find_images_complains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="missing.png': No such file or directory"):
        images.find_images([tmp_path / "missing.png"])
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="holds no picture"):
        images.find_images([tmp_path])
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(InputError, match="Too many levels"):
        images.find_images([tmp_path / "loop"])

    def forbidden(self: Path) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", forbidden)
    with pytest.raises(InputError, match="cannot read .*: Permission denied"):
        images.find_images([tmp_path])


@pytest.mark.parametrize(
    ("size", "wanted", "box"),
    [
        ((300, 200), (512, 512), (50, 0, 250, 200)),
        ((200, 300), (512, 512), (0, 50, 200, 250)),
        ((101, 100), (50, 50), (0, 0, 100, 100)),  # round(0.5) is 0, as in torchvision's CenterCrop
        ((103, 100), (50, 50), (2, 0, 102, 100)),  # round(1.5) is 2
        ((400, 400), (512, 256), (0, 100, 400, 300)),
        ((400, 400), (256, 512), (100, 0, 300, 400)),
        ((64, 64), (64, 64), (0, 0, 64, 64)),
        ((1, 1), (64, 32), (0, 0, 1, 1)),
        ((1, 2000), (64, 64), (0, 1000, 1, 1001)),
        ((2000, 1), (64, 64), (1000, 0, 1001, 1)),
    ],
)
def test_fit_crops_the_centre_then_resizes(
    size: tuple[int, int], wanted: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8)
    image = Image.fromarray(pixels)
    expected = image.crop(box).resize(wanted, Image.Resampling.LANCZOS)
    fitted = images.fit(image, *wanted)
    assert fitted.size == wanted
    assert np.array_equal(np.asarray(fitted), np.asarray(expected))


def test_arrays_and_pictures_are_each_others_inverse() -> None:
    every_value = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, -1)
    pixels = np.concatenate([every_value, every_value[:, ::-1] // 2])
    array = images.to_array([Image.fromarray(one) for one in pixels])
    assert array.shape == (2, 3, 16, 16) and array.dtype == np.float32 and array.flags.c_contiguous
    assert array.min() == -1 and array.max() == 1
    assert np.allclose(array[0, 0].ravel(), np.arange(256) / 255 * 2 - 1, atol=1e-6)
    assert np.array_equal(np.stack([np.asarray(one) for one in images.to_images(array)]), pixels)


def test_to_images_keeps_channels_rounds_and_clips() -> None:
    array = np.array([-5.0, -1 + 2.9 / 127.5, 7.0], np.float32).reshape(1, 3, 1, 1)
    [image] = images.to_images(array)
    assert image.mode == "RGB" and image.getpixel((0, 0)) == (0, 3, 255)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(value: float) -> None:
    array = np.zeros((1, 3, 4, 4), np.float32)
    array[0, 1, 2, 3] = value
    with pytest.raises(InputError, match="not finite"):
        images.to_images(array)


def test_masks_are_zero_or_one() -> None:
    mask = np.array([[0, 127, 128, 255]], np.uint8)
    array = images.to_mask([Image.fromarray(mask).convert("RGB"), Image.fromarray(255 - mask)])
    assert array.shape == (2, 1, 1, 4) and array.dtype == np.float32
    assert array.ravel().tolist() == [0, 0, 1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize("convert", [images.to_array, images.to_mask])
def test_pictures_of_several_sizes_or_none_are_refused(convert: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="of one size are needed, not 2x1, 9x7"):
        convert([GRADIENT, RED_BLUE, GRADIENT])
    with pytest.raises(InputError, match="not none at all"):
        convert([])


SETTINGS: dict[str, object] = {
    "prompt": "a 房子, naïve\nstyle \x00",
    "seed": 22,
    "gamma": 0.75,
    "layers": [6, 7],
    "content": Path("a") / "b.png",
    "odd name": "\udcff.png",
    "mask": None,
}


@pytest.mark.parametrize("metadata", [{}, {"seed": 1}, {"prompt": "naïve"}, {"prompt": "房子"}, SETTINGS])
def test_settings_travel_in_the_png(metadata: dict[str, object], tmp_path: Path) -> None:
    png_texts.save_png(GRADIENT, tmp_path / "a.png", metadata)
    png_texts.save_png(GRADIENT, tmp_path / "b.png", metadata)
    expected = {key: str(value) if isinstance(value, Path) else value for key, value in metadata.items()}
    assert png_texts.read_metadata(tmp_path / "a.png") == expected
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert json.loads(image.info["jstyle"]) == expected
        assert np.array_equal(np.asarray(image), np.asarray(GRADIENT))


def test_readable_text_stays_readable_in_the_file(tmp_path: Path) -> None:
    png_texts.save_png(GRADIENT, tmp_path / "a.png", {"prompt": "房子"})
    assert b"iTXtjstyle" in (tmp_path / "a.png").read_bytes()
    assert "房子".encode() in (tmp_path / "a.png").read_bytes()


def test_metadata_of_other_and_damaged_files_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    assert png_texts.read_metadata(path) is None
    png_texts.save_png(NOISE, path, {"seed": 1})
    whole = path.read_bytes()
    for data in (b"", b"text", whole[:-30], whole[:60], encoded(NOISE), encoded(NOISE, "JPEG")):
        path.write_bytes(data)
        assert png_texts.read_metadata(path) is None
    for text in ("not JSON", "[1]", ""):
        chunk = png_texts.PngInfo()
        chunk.add_text("jstyle", text)
        path.write_bytes(encoded(NOISE, pnginfo=chunk))
        assert png_texts.read_metadata(path) is None


def test_saving_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    longest = "图" * 83 + ".png"  # 253 bytes; a file name may have 255
    for image in (RED_BLUE, GRADIENT):
        png_texts.save_png(image, tmp_path / longest)
    assert os.listdir(tmp_path) == [longest]
    assert images.open_image(tmp_path / longest).size == GRADIENT.size


@pytest.mark.parametrize("place", ["missing/a.png", "file/a.png", "/proc/a.png", "folder", "x" * 300])
def test_a_place_that_cannot_be_written_is_one_clear_line(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot write .*: (there is no folder|.*; choose another place)") as caught:
        png_texts.save_png(GRADIENT, tmp_path / place, {"seed": 1})
    assert "\n" not in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_a_disk_that_fills_up_leaves_the_old_file(tmp_path: Path) -> None:
    """The limit on file sizes makes the kernel itself refuse a write half way."""
    program = (
        "import resource, sys; from pathlib import Path; from jstyle.pictures import png_texts; from PIL import Image\n"
        "image = Image.effect_noise((256, 256), 90).convert('RGB')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "try: png_texts.save_png(image, Path(sys.argv[1]), {'seed': 1})\n"
        "except png_texts.InputError as error: print(error)"
    )
    path = tmp_path / "a.png"
    png_texts.save_png(GRADIENT, path, {"seed": 0})
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith(f"cannot write {str(path)!r}: File too large;")
    assert os.listdir(tmp_path) == ["a.png"]
    assert png_texts.read_metadata(path) == {"seed": 0}


def test_an_interrupted_save_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        png_texts.save_png(GRADIENT, tmp_path / "a.png")
    assert os.listdir(tmp_path) == []


def test_metadata_that_json_cannot_hold_is_a_defect(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="set cannot be stored"):
        png_texts.save_png(GRADIENT, tmp_path / "a.png", {"x": {1, 2}})
    assert os.listdir(tmp_path) == []
