"""Components by diffusers' names, what loading is told, and what is not here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest

import jstyle
from jstyle import StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline, StableDiffusionPipeline
from jstyle.errors import InputError
from jstyle.networks import AutoencoderKL, UNet2DConditionModel
from jstyle.pipelines.diffusers_names import REFUSED, DiffusersNames
from jstyle.pipelines.starts import FromNoise
from jstyle.runtime import jt
from jstyle.weights.tensors import write_tensors
from tests.parity.networks import GOLDEN, relative_error, seeded

FOLDER = str(GOLDEN / "diffusers_folder")
SIZE = {"height": 32, "width": 32, "num_inference_steps": 2, "seed": 7}


@pytest.fixture
def pipe() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(FOLDER)


def make(pipe: StableDiffusionPipeline, **changes: Any) -> np.ndarray:
    return pipe("a river", **{"output_type": "latent", **SIZE, **changes}).images


def test_what_pytorch_and_a_safety_checker_are_told_changes_nothing(pipe: StableDiffusionPipeline) -> None:
    told: dict[str, Any] = {
        "torch_dtype": "float32",
        "safety_checker": None,
        "requires_safety_checker": False,
        "feature_extractor": None,
        "use_safetensors": True,
        "low_cpu_mem_usage": True,
        "device_map": "balanced",
        "local_files_only": True,
        "cache_dir": "somewhere",
        "token": None,
    }
    other = StableDiffusionPipeline.from_pretrained(FOLDER, **told).to("cuda:0")
    other.enable_attention_slicing()
    other.enable_model_cpu_offload(gpu_id=0)
    other.enable_xformers_memory_efficient_attention()
    other.fuse_qkv_projections()
    assert other.model_hash == pipe.model_hash and np.array_equal(make(other), make(pipe))


def test_a_pipeline_of_its_components_is_the_same(pipe: StableDiffusionPipeline) -> None:
    joined = StableDiffusionPipeline(**pipe.components, requires_safety_checker=False)
    assert joined.unet is pipe.unet and joined.configuration == pipe.configuration
    assert np.array_equal(make(joined), make(pipe))


def test_an_exchanged_network_computes_and_is_another_model(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    before, drawn = pipe.model_hash, pipe("a river", **SIZE, output_type="np").images
    other = AutoencoderKL(pipe.vae.config)
    for changed in (
        StableDiffusionPipeline.from_pretrained(FOLDER, vae=other),
        StableDiffusionPipeline.from_pipe(pipe, vae=other),
    ):
        assert changed.vae is other and changed.unet is not other and changed.model_hash != before
        assert not np.allclose(changed("a river", **SIZE, output_type="np").images, drawn)
    changed.save_pretrained(tmp_path / "changed")
    again = StableDiffusionPipeline.from_pretrained(tmp_path / "changed")
    assert np.array_equal(make(again, output_type="np"), make(changed, output_type="np"))
    assert pipe.model_hash == before
    assert (
        StableDiffusionPipeline.from_pipe(pipe, vae=seeded(AutoencoderKL, pipe.vae.config)).model_hash
        != changed.model_hash
    )
    pipe.vae = other
    assert pipe.vae is other and pipe.components["vae"] is other and pipe.model_hash == changed.model_hash


@pytest.mark.parametrize("spacing", [None, "trailing"])
def test_a_spacing_goes_along_where_the_file_names_one(tmp_path: Path, spacing: Optional[str]) -> None:
    """As in diffusers 0.42.1, whose Euler is spaced by linspace where nobody says otherwise."""
    shutil.copytree(FOLDER, tmp_path / "model")
    file = tmp_path / "model" / "scheduler" / "scheduler_config.json"
    settings = json.loads(file.read_text())
    settings.pop("timestep_spacing", None)
    file.write_text(json.dumps({**settings, **({} if spacing is None else {"timestep_spacing": spacing})}))
    pipe = StableDiffusionPipeline.from_pretrained(tmp_path / "model")
    pipe.scheduler = jstyle.EulerDiscreteScheduler.from_config(pipe.scheduler.config)
    assert pipe.scheduler.config.timestep_spacing == (spacing or "linspace")
    times = [step.level.t for step in pipe.sample("a", FromNoise(32, 32), steps=2, guidance=1.0)]
    assert times == {None: [999.0, 0.0], "trailing": [999.0, 499.0]}[spacing]


def test_to_name_a_sampler_keeps_the_spacing_that_an_exchange_gives_up(pipe: StableDiffusionPipeline) -> None:
    """As docs/samplers.md has it, for a file that names no spacing; asked for it, both are one picture."""
    own = pipe.scheduler.config.timestep_spacing
    assert own == "leading" and make(pipe, sampler="euler") is not None
    named, config = make(pipe, sampler="euler"), {**pipe.scheduler.config, "_use_default_values": ["timestep_spacing"]}
    for changes, same in (({}, False), ({"timestep_spacing": own}, True)):
        pipe.scheduler = jstyle.EulerDiscreteScheduler.from_config(config, **changes)
        assert np.array_equal(make(pipe), named) == same
    assert {jstyle.PNDMScheduler, jstyle.LCMScheduler} <= set(pipe.scheduler.compatibles)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("DiffusionPipeline", StableDiffusionPipeline),
        ("AutoPipelineForText2Image", StableDiffusionPipeline),
        ("AutoPipelineForImage2Image", StableDiffusionImg2ImgPipeline),
        ("AutoPipelineForInpainting", StableDiffusionInpaintPipeline),
    ],
)
def test_the_task_chooses_the_pipeline(pipe: StableDiffusionPipeline, kind: str, expected: type) -> None:
    assert type(getattr(jstyle, kind).from_pretrained(FOLDER)) is expected
    if kind != "DiffusionPipeline":
        shared = getattr(jstyle, kind).from_pipe(pipe)
        assert type(shared) is expected and shared.unet is pipe.unet


def test_a_call_weakens_loras_for_its_time(pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    layer = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    width = pipe.unet.config.block_out_channels[0]
    rng = np.random.default_rng(0)
    shapes = {f"unet.{layer}.lora_A.weight": (2, width), f"unet.{layer}.lora_B.weight": (width, 2)}
    arrays = {key: rng.standard_normal(shape).astype(np.float32) for key, shape in shapes.items()}
    write_tensors(arrays, tmp_path / "ink.safetensors")
    pipe.load_lora_weights(tmp_path / "ink.safetensors", adapter_name="ink")
    full = make(pipe)
    weak = make(pipe, cross_attention_kwargs={"scale": 0.25})
    assert np.array_equal(make(pipe), full) and relative_error(weak, full) > 1e-4
    pipe.set_adapters("ink", 0.25)
    assert relative_error(make(pipe), weak) < 1e-6
    with pytest.raises(InputError, match="take adapters and words off"):
        pipe.unet = seeded(UNet2DConditionModel, pipe.unet.config)


def test_what_is_not_here_says_what_to_do(pipe: StableDiffusionPipeline) -> None:
    for name, advice in REFUSED.items():
        assert not hasattr(pipe, name)
        with pytest.raises(InputError) as caught:
            getattr(pipe, name)
        assert str(caught.value) == f"{name}: {advice}"
    assert not hasattr(pipe, "unknown") and pipe.disable_freeu.__func__ is DiffusersNames.accept


def test_bars_are_as_they_are_set(pipe: StableDiffusionPipeline, capsys: pytest.CaptureFixture[str]) -> None:
    make(pipe)
    assert not capsys.readouterr().err, "no terminal sees it"
    pipe.set_progress_bar_config(disable=False, desc="drawing")
    make(pipe)
    told = capsys.readouterr().err
    assert "drawing: 100%" in told and "2/2" in told
    pipe.set_progress_bar_config(disable=True)
    make(pipe)
    assert not capsys.readouterr().err


def test_the_image_processor_is_between_pictures_and_the_autoencoder(pipe: StableDiffusionPipeline) -> None:
    latents = jt.array(make(pipe))
    decoded = pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample
    wanted = pipe("a river", **SIZE).images[0]
    found = pipe.image_processor.postprocess(decoded, output_type="pil")[0]
    assert np.array_equal(np.asarray(found), np.asarray(wanted))
    pixels = pipe.image_processor.preprocess(found).numpy()
    assert pixels.shape == (1, 3, 32, 32) and np.abs((pixels[0].transpose(1, 2, 0) + 1) * 127.5 - wanted).max() < 1e-3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"safty_checker": None}, "'safty_checker'; did you mean safety_checker?"),
        ({"torch_dtpye": None}, "from_pretrained has no argument 'torch_dtpye'; did you mean torch_dtype?"),
        ({"varient": "fp16"}, "from_pretrained has no argument 'varient'; did you mean variant?"),
        ({"local_file_only": True}, "no argument 'local_file_only'; did you mean local_files_only?"),
        ({"local_files_only": "yes"}, "local_files_only must be True or False, not 'yes'"),
        ({"custom_pipeline": "lpw"}, "custom_pipeline: code of others is not run"),
        ({"vae": "madebyollin/taesd"}, "vae must be a jstyle.AutoencoderKL, not str"),
        ({"scheduler": "ddim"}, "scheduler must be one of jstyle's, such as jstyle.DDIMScheduler, not 'ddim'"),
        ({"torch_dtype": "int8"}, "the dtype 'int8' is not known"),
    ],
)
def test_wrong_words_at_loading_are_one_line(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        StableDiffusionPipeline.from_pretrained(FOLDER, **options)


def test_a_pipeline_wants_all_its_parts(pipe: StableDiffusionPipeline) -> None:
    with pytest.raises(InputError, match="a pipeline needs vae, text_encoder"):
        StableDiffusionPipeline(unet=pipe.unet)
    with pytest.raises(InputError, match="a pipeline cannot be without its text_encoder"):
        pipe.text_encoder = None  # type: ignore[assignment]
    with pytest.raises(InputError, match="cannot be without its scheduler; give another, such as jstyle.DDIMScheduler"):
        pipe.scheduler = None
    with pytest.raises(InputError, match="from_pipe takes a pipeline of jstyle, not str"):
        StableDiffusionPipeline.from_pipe("pipe")  # type: ignore[arg-type]
