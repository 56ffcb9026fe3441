"""Single files as diffusers reads them: every weight from the same place, and the same outputs of every network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jstyle.cli.main import main
from jstyle.networks import AutoencoderKL, UNet2DConditionModel
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.settings.model import ModelSettings
from jstyle.weights.checkpoint import hash_components
from jstyle.weights.description import describe_checkpoint
from tests.golden import single_files
from tests.golden.single_files import GUIDANCE, KINDS, NEGATIVE, PROMPT, SIDE, STEPS
from tests.parity.networks import relative_error
from tests.weights.single_file import recorded

NETWORKS = ("unet", "vae", "text_encoder")


@pytest.fixture(scope="module", params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def settings(kind: str, tmp_path_factory: pytest.TempPathFactory) -> ModelSettings:
    place = tmp_path_factory.mktemp(kind)
    file = single_files.write_file(kind, recorded.list_names(kind), place / "model.safetensors")
    return ModelSettings(str(file), base_model=str(single_files.write_folder(kind, place / "folder")))


@pytest.fixture(scope="module")
def pipe(settings: ModelSettings) -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_single_file(settings.model, config=settings.base_model)


def test_every_weight_is_that_which_diffusers_takes(kind: str, pipe: StableDiffusionPipeline) -> None:
    arrays = single_files.make_arrays(kind, recorded.list_names(kind))
    sources = recorded.list_sources(KINDS[kind][0])
    parameters = {
        f"{part}/{name}": value for part in NETWORKS for name, value in getattr(pipe, part).named_parameters()
    }
    assert set(parameters) == set(sources)
    for name, value in parameters.items():
        source, part, parts = sources[name]
        wanted = np.split(arrays[source], parts)[part] if parts > 1 else arrays[source]
        np.testing.assert_array_equal(value.numpy(), wanted.reshape(value.shape), err_msg=name)


def test_the_networks_compute_what_diffusers_do(kind: str, pipe: StableDiffusionPipeline) -> None:
    known = {name[len(kind) + 1 :]: array for name, array in recorded.read().items() if name.startswith(f"{kind}_")}
    with jt.no_grad():
        context = pipe.encode_texts(PROMPT)
        out = pipe.unet(jt.array(known["sample"]), 321, jt.array(known["context"])).sample
        assert relative_error(context, known["context"]) < 1e-4
        assert relative_error(out, known["out"]) < 1e-4
        if kind == "sd1":
            assert relative_error(pipe.vae.encode(jt.array(known["image"])).latent_dist.mean, known["mean"]) < 1e-4
            assert relative_error(pipe.vae.decode(jt.array(known["latent"])).sample, known["decoded"]) < 1e-4


def test_a_network_is_loaded_from_a_file_alone(
    kind: str, settings: ModelSettings, pipe: StableDiffusionPipeline
) -> None:
    """As the whole model has it, whose outputs are diffusers', whether a subfolder is named or not."""
    folder = str(settings.base_model)
    unet = UNet2DConditionModel.from_single_file(settings.model, config=folder, local_files_only=True)
    vae = AutoencoderKL.from_single_file(settings.model, config=folder, subfolder="vae")
    for alone, whole in ((unet, pipe.unet), (vae, pipe.vae)):
        assert alone.config == whole.config
        for (_, found), (_, wanted) in zip(alone.named_parameters(), whole.named_parameters()):
            np.testing.assert_array_equal(found.numpy(), wanted.numpy())


def test_a_picture_is_that_of_diffusers(kind: str, pipe: StableDiffusionPipeline) -> None:
    if kind == "inpainting":
        pytest.skip("its UNet is compared by itself")
    known = recorded.read()
    made = pipe(
        PROMPT,
        SIDE,
        SIDE,
        num_inference_steps=STEPS,
        guidance_scale=GUIDANCE,
        negative_prompt=NEGATIVE,
        latents=known[f"{kind}_initial"],
        output_type="np",
        sampler="ddim",
    ).images
    error = np.mean((np.asarray(made) * 255 - known[f"{kind}_picture"]) ** 2)
    assert 10 * np.log10(255**2 / error) > 40


def test_a_finished_picture_is_known_again(
    kind: str, settings: ModelSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if kind != "sd2_v":
        pytest.skip("one kind stands for all")
    words = ["txt2img", "--prompt", PROMPT, "--steps", "2", "--output", str(tmp_path), "--model", settings.model]
    words += ["--base_model", str(settings.base_model)]
    assert main(words) == 0 and main(words) == 0
    assert "1 of them finished before" in capsys.readouterr().out
    assert main([*words, "--prediction_type", "epsilon"]) == 0  # another model's is another picture, beside the first
    assert len(list(tmp_path.glob("*.png"))) == 2


def test_a_file_is_described_as_what_is_loaded_from_it(settings: ModelSettings, pipe: StableDiffusionPipeline) -> None:
    described = describe_checkpoint(settings)
    assert (described.model_hash, described.configuration) == (pipe.model_hash, pipe.configuration)
    assert described.size == (SIDE, SIDE)


def test_saved_as_a_folder_it_is_the_same_model(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    pipe.save_pretrained(tmp_path / "saved")
    again = StableDiffusionPipeline.from_pretrained(str(tmp_path / "saved"))
    assert again.configuration == pipe.configuration
    weights = [hash_components(replace(loaded.parts, stored={})) for loaded in (pipe, again)]
    assert weights[0] == weights[1]
