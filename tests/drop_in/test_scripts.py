"""Scripts that strangers wrote for JDiffusion and diffusers, with other imports: as run, and beside PyTorch's figures.

`scripts/` has them. What they draw at random is given to them here, as it was to PyTorch when it was recorded.
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
from PIL import Image

from jstyle.drop_in.lora_config import LoraConfig
from jstyle.networks.posterior import DiagonalGaussian
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.weights.tensors import FileTensors
from tests.golden import script_inputs as given
from tests.golden.adapter_tensors import adapter_tensor

SCRIPTS = Path(__file__).parent / "scripts"
Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def golden() -> Any:
    return np.load(Path(__file__).parents[1] / "golden" / "scripts.npz")


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained("tiny")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs a script in an empty folder with these words behind its name, and gives what it leaves in its variables."""
    monkeypatch.chdir(tmp_path)

    def run_script(name: str, *words: object) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
        return runpy.run_path(str(SCRIPTS / name), run_name="__main__")

    return run_script


@pytest.fixture
def recorded_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """What PyTorch's runs were given, in the place of everything random."""
    draws, add_to = given.Draws(), LoraConfig.add_to

    def start(config: LoraConfig, network: Any, name: str) -> None:
        add_to(config, network, name)
        for key, parameter in network.named_parameters():
            if "lora_A" in key:
                parameter.assign(jt.array(adapter_tensor(key, parameter.shape)))

    monkeypatch.setattr(LoraConfig, "add_to", start)
    monkeypatch.setattr(jt, "randn_like", lambda x: jt.array(draws.noise(tuple(x.shape))))
    monkeypatch.setattr(jt, "randint", lambda low, high, shape: jt.array(draws.times(*shape)))
    monkeypatch.setattr(DiagonalGaussian, "sample", DiagonalGaussian.mode)
    monkeypatch.setattr(np.random, "permutation", np.arange)


def check_training(history: list[dict[str, float]], folder: Path, golden: Any, name: str) -> None:
    """The losses, the rates and the matrices beside PyTorch's."""
    assert [entry["loss"] for entry in history] == pytest.approx(golden[f"{name}_losses"].tolist(), rel=2e-5)
    assert [entry["lr"] for entry in history] == pytest.approx(golden[f"{name}_rates"].tolist(), rel=1e-6)
    tensors = FileTensors([folder / "pytorch_lora_weights.safetensors"])
    for matrix in ("down", "up"):
        trained = tensors.read(f"unet.{given.LAYER}.lora.{matrix}.weight")
        assert np.abs(trained - golden[f"{name}_{matrix}"]).max() < 1e-5


def check_picture(pipe: StableDiffusionPipeline, folder: Path, golden: Any, name: str) -> None:
    """A picture drawn with the LoRA, beside diffusers'; without it, it is another one."""
    drawn = pipe(**given.DRAWN, latents=golden["latents"], output_type="np").images
    assert measure_psnr(drawn, golden[f"{name}_image"]) < 40
    pipe.load_lora_weights(str(folder))
    drawn = pipe(**given.DRAWN, latents=golden["latents"], output_type="np").images
    pipe.unload_lora_weights()
    assert measure_psnr(drawn, golden[f"{name}_image"]) > 70  # 79 is what the recording in 16 bits leaves


def measure_psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((np.float64(a) - np.float64(b)) ** 2)))


@pytest.mark.filterwarnings("ignore:no pickle is written")
def test_dreambooth_by_lora_is_pytorch_s(
    run: Run, recorded_draws: None, pipe: StableDiffusionPipeline, golden: Any, tmp_path: Path
) -> None:
    given.write_pictures(tmp_path / "data")
    words = ["--pretrained_model_name_or_path", "tiny", "--instance_data_dir", "data", "--output_dir", "style/style_00"]
    words += ["--instance_prompt", given.PROMPT, "--resolution", given.SIDE, "--train_batch_size", 2]
    done = run("train_dreambooth.py", *words, "--max_train_steps", given.UPDATES, "--learning_rate", given.RATE)
    # this script asks for the rate after the schedule's step, but it is constant
    check_training(done["history"], tmp_path / "style" / "style_00", golden, "dreambooth")
    check_picture(pipe, tmp_path / "style" / "style_00", golden, "dreambooth")


def test_captioned_pictures_by_lora_are_pytorch_s(
    run: Run, recorded_draws: None, pipe: StableDiffusionPipeline, golden: Any, tmp_path: Path
) -> None:
    given.write_pictures(tmp_path / "data")
    rows = [{"file_name": f"{i}.png", "text": text} for i, text in enumerate(given.CAPTIONS)]
    (tmp_path / "data" / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    words = ["--pretrained_model_name_or_path", "tiny", "--train_data_dir", "data", "--resolution", given.SIDE]
    words += ["--train_batch_size", 2, "--max_train_steps", given.UPDATES, "--learning_rate", given.RATE]
    words += ["--lr_scheduler", "cosine", "--lr_warmup_steps", 2, "--snr_gamma", 5, "--max_grad_norm", given.NORM]
    done = run("train_captions.py", *words, "--gradient_checkpointing", "--validation_prompt", "a red boat")
    check_training(done["history"], tmp_path / "lora", golden, "captions")
    assert Image.open(tmp_path / "validation.png").size == (128, 128)
    check_picture(pipe, tmp_path / "lora", golden, "captions")


@pytest.mark.filterwarnings("ignore:no pickle is written")
def test_the_organisers_two_scripts_run_one_after_the_other(run: Run, tmp_path: Path) -> None:
    for style in ("00", "01"):
        given.write_pictures(tmp_path / "dataset" / style / "images")
        (tmp_path / "dataset" / style / "prompt.json").write_text(json.dumps({"0": "a red boat", "1": "a green tree"}))
        words = ["--pretrained_model_name_or_path", "tiny", "--instance_data_dir", f"dataset/{style}/images"]
        words += ["--output_dir", f"style/style_{style}", "--instance_prompt", f"style_{style}", "--resolution", 128]
        run("train_dreambooth.py", *words, "--max_train_steps", 1)
    run("draw_styles.py", "tiny", "dataset", 2)
    drawn = sorted(path.relative_to(tmp_path).as_posix() for path in (tmp_path / "output").rglob("*.png"))
    assert drawn == [f"output/{style}/{name}.png" for style in ("00", "01") for name in ("a green tree", "a red boat")]
    assert Image.open(tmp_path / drawn[0]).size == (128, 128)


def test_each_picture_has_its_seed(run: Run, pipe: StableDiffusionPipeline, tmp_path: Path) -> None:
    done = run("draw_seeds.py", "tiny")
    alone = pipe("a red boat on the sea", seed=30, num_inference_steps=2).images[0]
    assert np.abs(np.float32(done["images"][1]) - np.float32(alone)).max() <= 1
    assert sorted(path.name for path in tmp_path.glob("*.jpg")) == ["output_0.jpg", "output_1.jpg"]
