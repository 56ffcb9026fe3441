"""What a single file says of itself, what is asked, what is taken from elsewhere, and what is refused in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from jstyle.adapters.attaching import attach_networks
from jstyle.errors import InputError
from jstyle.networks import AutoencoderKL, CLIPTextModel, UNet2DConditionModel
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.settings.model import ModelSettings
from jstyle.weights import fetching, hub
from jstyle.weights.description import describe_checkpoint, describe_for_plan
from jstyle.weights.model_files import ModelFiles, locate_model
from jstyle.weights.single_file.alone import find_network
from tests.golden import single_files
from tests.golden.single_files import KINDS
from tests.weights.single_file import recorded

UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model."
Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `KIND/`, the configurations, for each kind."""
    place = tmp_path_factory.mktemp("kinds")
    for kind in KINDS:
        single_files.write_folder(kind, place / kind)
    return place


@pytest.fixture
def tokenizer(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub has a tokenizer for every family."""
    monkeypatch.setattr(hub, "locate_base", lambda model, **_: Path(model) if Path(model).is_dir() else place / "sd1")


def make(kind: str) -> Arrays:
    return single_files.make_arrays(kind, recorded.list_names(kind))


def write(file: Path, arrays: Arrays, metadata: Optional[dict[str, str]] = None) -> Path:
    save_file(arrays, file, metadata)
    return file


def locate(file: Path, base: Optional[Path] = None, **more: Any) -> ModelFiles:
    return locate_model(ModelSettings(str(file), base_model=None if base is None else str(base), **more))


def write_empty(file: Path, shapes: dict[str, list[int]], metadata: Optional[dict[str, str]] = None) -> Path:
    """A file of gigabytes that takes no room on disk."""
    header: dict[str, Any] = {"__metadata__": metadata or {}}
    end = 0
    for name, shape in shapes.items():
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    with open(file, "wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        stream.truncate(8 + len(text) + end)
    return file


@pytest.mark.parametrize("family", ["one", "two"])
def test_the_real_size_is_known_by_its_keys(family: str, tokenizer: None, tmp_path: Path) -> None:
    """Without another word each parameter of the real networks is found, in its shape, and nothing is left over."""
    shapes = recorded.list_shapes(family, "real")
    file = write_empty(tmp_path / "model.safetensors", shapes, {"modelspec.architecture": "stable-diffusion-v2-768-v"})
    found = locate(file)
    read = found.configurations
    networks = {
        "unet": UNet2DConditionModel(read.unet),
        "vae": AutoencoderKL(read.vae),
        "text_encoder": CLIPTextModel(read.text_encoder),
    }
    for part, network in networks.items():
        parameters = {name: tuple(value.shape) for name, value in network.named_parameters()}
        stored = found.networks[part].open(list(parameters)).shapes()
        assert set(stored) == set(parameters)
        assert {n for n, shape in stored.items() if shape[: len(parameters[n])] != parameters[n]} == set()


@pytest.mark.parametrize("family", ["one", "two"])
def test_a_network_alone_is_known_by_its_keys(family: str, tmp_path: Path) -> None:
    file = write_empty(tmp_path / "model.safetensors", recorded.list_shapes(family, "real"))
    for part, kind in (("unet", UNet2DConditionModel), ("vae", AutoencoderKL)):
        config, stored = find_network(part, file)
        parameters = {name: tuple(value.shape) for name, value in kind(config).named_parameters()}
        assert set(stored.open(list(parameters)).shapes()) == set(parameters)


def test_the_vae_alone_of_a_file_of_sdxl_has_its_scale(tmp_path: Path) -> None:
    shapes = recorded.list_shapes("one", "real")
    assert find_network("vae", write_empty(tmp_path / "one.safetensors", shapes))[0].scaling_factor == 0.18215
    shapes["conditioner.embedders.1.model.ln_final.weight"] = [1]
    assert find_network("vae", write_empty(tmp_path / "xl.safetensors", shapes))[0].scaling_factor == 0.13025


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        (UNet2DConditionModel, ("tiny", {}), "'tiny' is no file; from_pretrained loads folders and hub ids"),
        (UNet2DConditionModel, ({"a": 1}, {}), "from_single_file wants a file"),
        (UNet2DConditionModel, ("none.safetensors", {}), "there is no file 'none.safetensors'"),
        (UNet2DConditionModel, ("FILE", {}), "is of no shape that is known: its UNet reads texts of width 32"),
        (
            UNet2DConditionModel,
            ("FILE", {"config": "tiny", "subfolder": "none"}),
            "'tiny' has no config.json of a unet",
        ),
        (AutoencoderKL, ("FILE", {}), "the vae weights do not fit the VAE of Stable Diffusion 1.x and 2.x"),
        (AutoencoderKL, ("FILE", {"confg": "tiny"}), "no argument 'confg'; did you mean config?"),
        (AutoencoderKL, ("FILE", {"original_config": "x.yaml"}), "original_config is not read"),
    ],
)
def test_a_network_that_a_file_does_not_have_is_a_line(kind: Any, given: Any, said: str, tmp_path: Path) -> None:
    file = write(tmp_path / "model.safetensors", make("sd1"))
    source, options = given
    with pytest.raises(InputError) as refused:
        kind.from_single_file(file if source == "FILE" else source, **options)
    assert said in str(refused.value) and "\n" not in str(refused.value)


def test_families_are_configured_as_their_own_folders(tokenizer: None, tmp_path: Path) -> None:
    """The values are those of the folders on the hub: runwayml's 1.5, stabilityai's 2.1-base and 2.1."""
    one = locate(write_empty(tmp_path / "one.safetensors", recorded.list_shapes("one", "real"))).configurations
    assert (one.unet.sample_size, one.unet.attention_head_dim, one.unet.use_linear_projection) == (64, 8, False)
    assert (one.text_encoder.num_hidden_layers, one.text_encoder.hidden_act) == (12, "quick_gelu")
    assert (one.schedule.sampler, one.schedule.prediction_type) == ("pndm", "epsilon")
    file = write_empty(tmp_path / "two.safetensors", recorded.list_shapes("two", "real"))
    base = locate(file, prediction_type="epsilon").configurations
    assert (base.unet.sample_size, base.unet.attention_head_dim) == (64, (5, 10, 20, 20))
    assert (base.text_encoder.num_hidden_layers, base.text_encoder.hidden_act) == (23, "gelu")
    large = locate(file, prediction_type="v_prediction").configurations
    assert (large.unet.sample_size, large.schedule.sampler) == (96, "ddim")
    assert large.schedule.prediction_type == "v_prediction"


@pytest.mark.parametrize(
    ("kind", "marks", "metadata", "prediction"),
    [
        ("one", [], {}, "epsilon"),
        ("one", ["v_pred"], {}, "v_prediction"),
        ("two", ["v_pred"], {}, "v_prediction"),
        ("two", ["v_pred", "ztsnr"], {}, "v_prediction"),
        ("two", [], {"modelspec.prediction_type": "v"}, "v_prediction"),
        ("two", [], {"modelspec.prediction_type": "epsilon"}, "epsilon"),
        ("two", [], {"modelspec.architecture": "stable-diffusion-v2-512"}, "epsilon"),
        ("two", [], {"modelspec.architecture": "stable-diffusion-v2-768-v"}, "v_prediction"),
        ("two", [], {}, None),
        ("two", ["v_pred"], {"modelspec.prediction_type": "epsilon"}, None),
    ],
)
def test_what_the_unet_predicts_is_read_or_asked(
    kind: str, marks: list[str], metadata: dict[str, str], prediction: Optional[str], tokenizer: None, tmp_path: Path
) -> None:
    shapes = {**recorded.list_shapes(kind, "real"), **{mark: [0] for mark in marks}}
    file = write_empty(tmp_path / "model.safetensors", shapes, metadata)
    if prediction is not None:
        schedule = locate(file).configurations.schedule
        assert schedule.prediction_type == prediction
        assert (schedule.rescale_betas_zero_snr, schedule.timestep_spacing) == (
            (True, "trailing") if "ztsnr" in marks else (False, "leading")
        )
        return
    with pytest.raises(InputError, match="whether the UNet predicts epsilon or v; say which: --prediction_type"):
        locate(file)
    assert locate(file, prediction_type="v_prediction").configurations.schedule.prediction_type == "v_prediction"


def test_inpainting_of_2_x_predicts_the_noise(tokenizer: None, tmp_path: Path) -> None:
    shapes = recorded.list_shapes("two", "real")
    first = f"{UNET}input_blocks.0.0.weight"
    found = locate(write_empty(tmp_path / "model.safetensors", {**shapes, first: [320, 9, 3, 3]})).configurations
    assert (found.unet.in_channels, found.schedule.prediction_type) == (9, "epsilon")


def test_without_network_the_tokenizer_is_asked_for(tmp_path: Path) -> None:
    file = write_empty(tmp_path / "model.safetensors", recorded.list_shapes("one", "real"))
    problem = "model.safetensors has no tokenizer, as no single"
    with fetching.nothing_fetched(), pytest.raises(fetching.NotHere, match=problem):
        locate(file)
    assert describe_for_plan(ModelSettings(str(file))).model is None


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn])
def test_numbers_of_fewer_bits(dtype: Any, place: Path, tmp_path: Path) -> None:
    arrays = {name: array.astype(dtype) if array.dtype == np.float32 else array for name, array in make("sd1").items()}
    file = write_bits(tmp_path / "model.safetensors", arrays)
    pipe = StableDiffusionPipeline.from_single_file(file, config=place / "sd1")
    for name, (source, _, _) in list(recorded.list_sources("one").items())[::40]:
        part, _, parameter = name.partition("/")
        value = dict(getattr(pipe, part).named_parameters())[parameter].numpy()
        np.testing.assert_array_equal(value, arrays[source].astype(np.float32).reshape(value.shape))


def write_bits(file: Path, arrays: Arrays) -> Path:
    """Written here, because the library's NumPy side has no types of eight bits."""
    codes = {"float8_e4m3fn": "F8_E4M3", "bfloat16": "BF16", "float16": "F16", "float32": "F32", "float64": "F64"}
    header, data = {}, b""
    for name, array in arrays.items():
        code = codes.get(str(array.dtype), str(array.dtype).upper().replace("INT", "I"))
        bits = np.ascontiguousarray(array).tobytes()
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(bits)]}
        data += bits
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return file


def keep(*prefixes: str) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {name: array for name, array in arrays.items() if name.startswith(prefixes)}


def strip(prefix: str) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}


def name_as_diffusers(arrays: Arrays) -> Arrays:
    sources = recorded.list_sources("one").items()
    return {name[5:]: arrays[source] for name, (source, _, _) in sources if name.startswith("unet/")}


def shorten_text(arrays: Arrays) -> Arrays:
    return {name.replace("transformer.text_model.", "transformer."): array for name, array in arrays.items()}


@pytest.fixture(scope="module")
def whole(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `sd1` with weights."""
    file = write(tmp_path_factory.mktemp("whole") / "model.safetensors", make("sd1"))
    folder = file.parent / "folder"
    StableDiffusionPipeline.from_single_file(file, config=place / "sd1").save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "form", [keep(UNET), strip(UNET), name_as_diffusers, shorten_text], ids=["unet", "bare", "diffusers", "short"]
)
def test_other_forms_of_the_same_weights(form: Callable[[Arrays], Arrays], whole: Path, tmp_path: Path) -> None:
    """A UNet alone takes the rest from the base model; the result is the same model."""
    file = write(tmp_path / "model.safetensors", form(make("sd1")))
    pipe, other = (
        StableDiffusionPipeline.from_settings(settings)
        for settings in (ModelSettings(str(file), base_model=str(whole)), ModelSettings(str(whole)))
    )
    for part in ("unet", "vae", "text_encoder"):
        values = [dict(getattr(loaded, part).named_parameters()) for loaded in (pipe, other)]
        assert all(np.array_equal(value.numpy(), values[1][name].numpy()) for name, value in values[0].items())


def test_whole_networks_that_were_taught_go_on_it_and_come_off(place: Path, whole: Path, tmp_path: Path) -> None:
    arrays = make("sd1")
    pipe = StableDiffusionPipeline.from_single_file(write(tmp_path / "model.safetensors", arrays), config=place / "sd1")
    taught = tmp_path / "unet" / "diffusion_pytorch_model.safetensors"
    taught.parent.mkdir()
    write(taught, {name: array * 2 for name, array in name_as_diffusers(arrays).items()})
    before = pipe.unet.conv_out.bias.numpy().copy()
    with attach_networks(pipe, taught, 1.0):
        np.testing.assert_array_equal(pipe.unet.conv_out.bias.numpy(), 2 * before)
    for name, value in pipe.unet.named_parameters():
        source = recorded.list_sources("one")[f"unet/{name}"][0]
        np.testing.assert_array_equal(value.numpy(), arrays[source].reshape(value.shape))


def test_a_unet_alone_asks_for_the_rest(tmp_path: Path) -> None:
    file = write(tmp_path / "model.safetensors", keep(UNET)(make("sd1")))
    with pytest.raises(InputError, match="holds no VAE and no text encoder: give --base_model"):
        locate(file)


VAE_FORMS: dict[str, Callable[[Arrays], Arrays]] = {
    "bare": strip(VAE),
    "prefixed": keep(VAE),
    "whole": dict,
    "diffusers": lambda arrays: {
        name[4:]: arrays[source] for name, (source, _, _) in recorded.list_sources("one").items() if name[:4] == "vae/"
    },
}


@pytest.mark.parametrize("form", list(VAE_FORMS))
@pytest.mark.parametrize("of_file", [True, False])
def test_another_vae_takes_the_place_of_the_models_own(
    form: str, of_file: bool, place: Path, whole: Path, tmp_path: Path
) -> None:
    arrays = make("sd1")
    changed = {name: array * 2 if name.startswith(VAE) else array for name, array in arrays.items()}
    vae = write(tmp_path / "vae.safetensors", VAE_FORMS[form](changed))
    file = write(tmp_path / "model.safetensors", arrays)
    own = ModelSettings(str(file), base_model=str(place / "sd1")) if of_file else ModelSettings(str(whole))
    settings = replace(own, vae_weights=str(vae))
    pipe = StableDiffusionPipeline.from_settings(settings)
    bias = changed[f"{VAE}decoder.conv_in.bias"]
    np.testing.assert_array_equal(pipe.vae.decoder.conv_in.bias.numpy(), bias)
    described = describe_checkpoint(settings)
    assert described.model_hash == pipe.model_hash != describe_checkpoint(own).model_hash


def test_a_vae_of_a_folder_brings_its_configuration(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole / "vae", tmp_path / "vae")
    config = json.loads((tmp_path / "vae" / "config.json").read_text())
    (tmp_path / "vae" / "config.json").write_text(json.dumps({**config, "scaling_factor": 0.5}))
    for name in (tmp_path, tmp_path / "vae"):
        settings = ModelSettings(str(whole), vae_weights=str(name))
        pipe, described = StableDiffusionPipeline.from_settings(settings), describe_checkpoint(settings)
        assert pipe.vae.config.scaling_factor == 0.5
        assert (
            described.configuration
            == pipe.configuration
            != describe_checkpoint(ModelSettings(str(whole))).configuration
        )


def test_the_prediction_type_of_a_folder_can_be_replaced(whole: Path) -> None:
    settings = ModelSettings(str(whole), prediction_type="v_prediction")
    pipe = StableDiffusionPipeline.from_settings(settings)
    own = locate_model(ModelSettings(str(whole))).configurations.schedule
    assert pipe.schedule.config == replace(own, prediction_type="v_prediction") != own
    assert describe_checkpoint(settings).configuration == pipe.configuration
