"""ArtFusion against its authors' own program on the same weights (tests/golden/record_artfusion.py)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest

from jstyle.diffusion.samplers import ddim
from jstyle.errors import InputError
from jstyle.pipelines.artfusion import ArtFusionPipeline
from jstyle.runtime import jt
from jstyle.weights.artfusion import describe_sizes
from jstyle.weights.tensors import write_tensors
from tests.methods.artfusion.small import SIZES, TRAINED, list_tensors, write_model
from tests.parity.networks import golden, relative_error

RECORDED = golden("artfusion")


@pytest.fixture(scope="module")
def pipe(tmp_path_factory: pytest.TempPathFactory) -> ArtFusionPipeline:
    return ArtFusionPipeline.from_pretrained(write_model(tmp_path_factory.mktemp("artfusion") / "a.safetensors"))


def test_the_networks_are_the_programs(pipe: ArtFusionPipeline) -> None:
    image, latent = jt.array(RECORDED["image"]), jt.array(RECORDED["latent"])
    style = pipe.describe_style(image)
    content = pipe.describe_content(jt.array(RECORDED["raw"]))
    assert relative_error(style, RECORDED["features"]) < 1e-5
    assert relative_error(content, RECORDED["content"]) < 1e-5
    assert relative_error(pipe.unet(latent, RECORDED["times"], content, style), RECORDED["noise"]) < 1e-5
    assert relative_error(pipe.encode_images(image), RECORDED["encoded"]) < 1e-5
    assert relative_error(pipe.decode_latents(latent), RECORDED["decoded"]) < 1e-5


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize(("name", "scales"), [("1_1", (1, 1)), ("05_1", (0.5, 1)), ("1_2", (1, 2)), ("05_2", (0.5, 2))])
def test_ten_steps_are_the_programs(
    pipe: ArtFusionPipeline, name: str, scales: tuple[float, float], eta: float
) -> None:
    denoiser = pipe.denoiser(jt.array(RECORDED["content"]), jt.array(RECORDED["features"]), *scales)
    start, draws = jt.array(RECORDED["start"]), RECORDED["draws"]
    steps = ddim(denoiser, start, pipe.schedule, 10, eta=eta, noise=lambda step: jt.array(draws[step]))
    for step, reference in zip(steps, RECORDED[f"run_{name}_{eta:g}"]):
        assert relative_error(step.x, reference) < 1e-4, f"step {step.index}"


def test_the_averaged_weights_are_taken(pipe: ArtFusionPipeline, tmp_path: Path) -> None:
    averaged = ArtFusionPipeline.from_pretrained(write_model(tmp_path / "b.safetensors", averaged=True))
    for (name, ours), (_, theirs) in zip(averaged.unet.named_parameters(), pipe.unet.named_parameters()):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), err_msg=name)
    np.testing.assert_array_equal(averaged.null_style.numpy(), pipe.null_style.numpy())


def test_a_content_of_one_colour_is_none(pipe: ArtFusionPipeline) -> None:
    latent = jt.ones((1, 4, 8, 8)) * 0.3
    np.testing.assert_array_equal(pipe.describe_content(latent).numpy(), np.zeros((1, 4, 8, 8)))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"shift_values": None}, "is no model of ArtFusion's: it holds no shift_values"),
        ({"null_style_vector.weight": None}, "it holds no null_style_vector.weight"),
        ({"scale_factors": np.float32([1.0])}, "scale_factors has 1 numbers but should have 4"),
        ({"scale_factors": np.float32([1, np.nan, 1, 1])}, "scale_factors holds numbers that are not finite"),
        (
            {"vgg.slice2.5.weight": None},
            "the VGG16 weights do not fit its metadata: keys 1 missing (vgg.slice2.5.weight",
        ),
        (
            {f"{TRAINED}out.conv.bias": np.zeros(4, np.float32)},
            "keys 1 unexpected (model.diffusion_model.out.conv.bias",
        ),
        ({f"{TRAINED}out.conv.weight": np.zeros((4, 9), np.float32)}, "out.conv.weight is [4, 9] but should be"),
        ({"first_stage_model.quant_conv.bias": None}, "keys 1 missing (first_stage_model.quant_conv.bias"),
    ],
)
def test_what_is_wrong_in_a_file_is_a_line(
    tmp_path: Path, change: Mapping[str, Optional[np.ndarray]], line: str
) -> None:
    arrays = {**dict(list_tensors()), **change}
    file = tmp_path / "c.safetensors"
    write_tensors({key: value for key, value in arrays.items() if value is not None}, file, describe_sizes(SIZES))
    with pytest.raises(InputError) as refused:
        ArtFusionPipeline.from_pretrained(file)
    assert line in str(refused.value)


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    wrong: list[tuple[Any, str]] = [
        (None, "wanted the path of a safetensors file, got NoneType"),
        (5, "wanted the path of a safetensors file, got int"),
        (tmp_path / "e.safetensors", "there is no file"),
        (tmp_path, "is a folder, and a safetensors file is needed"),
    ]
    for given, line in wrong:
        with pytest.raises(InputError, match=line):
            ArtFusionPipeline.from_pretrained(given)


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("{", "the sizes in its metadata cannot be read"),
        ('{"unet": {"width": 33}, "vae": {}, "vgg_widths": [4]}', "groups 32 does not divide 33 channels"),
        (
            '{"unet": {"width": "wide"}, "vae": {}, "vgg_widths": [4]}',
            "the sizes in its metadata: unet: width must be a whole number",
        ),
        ("[]", "the sizes in its metadata cannot be read"),
    ],
)
def test_what_is_wrong_in_the_metadata_is_a_line(tmp_path: Path, said: str, line: str) -> None:
    file = tmp_path / "d.safetensors"
    write_tensors(dict(list_tensors()), file, {"artfusion": said})
    with pytest.raises(InputError) as refused:
        ArtFusionPipeline.from_pretrained(file)
    assert line in str(refused.value) and "\n" not in str(refused.value)
