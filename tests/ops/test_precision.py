"""The UNet in bf16: close to fp32, fp32 at its doors, refused where it would not pay."""

from __future__ import annotations

import numpy as np
import pytest

from jstyle import ops
from jstyle.errors import InputError
from jstyle.ops import precision
from jstyle.ops.kernels import build, operator
from jstyle.ops.precision import unet_dtype
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from tests.parity.networks import GOLDEN

MODEL = str(GOLDEN / "diffusers_folder")
FEATURES = ("avx2", "avx512_bf16")


def supported() -> bool:
    return operator.unavailable() is None


def test_unknown_precisions_are_named() -> None:
    with pytest.raises(InputError, match="'fp8' is not known, only fp32, bf16, fp16"):
        unet_dtype("fp8")


def test_bf16_needs_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "processor_features", lambda: ("avx2",))
    with pytest.raises(InputError, match="AVX-512 BF16"):
        unet_dtype("bf16")


def test_bf16_needs_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "processor_features", lambda: FEATURES)
    monkeypatch.setattr(operator, "unavailable", lambda: "switched off")
    with pytest.raises(InputError, match="needs the fused kernels \\(switched off\\)"):
        unet_dtype("bf16")


def test_fp16_needs_a_gpu() -> None:
    if jt.flags.use_cuda:
        pytest.skip("there is one")
    with pytest.raises(InputError, match="fp16 needs a GPU"):
        unet_dtype("fp16")


def test_images_in_fp16_are_near_those_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "on_gpu", lambda: True)  # elsewhere Jittor computes the same, slowly
    pictures = []
    for chosen, dtype in (("fp32", "float32"), ("fp16", "float16")):
        pipe = StableDiffusionPipeline.from_pretrained(MODEL, precision=chosen)
        assert pipe.unet.dtype == dtype
        out = pipe("a house", 32, 32, num_inference_steps=3, seed=1, guidance_scale=5.0, output_type="latent")
        pictures.append(np.float64(out.images))
    error = np.linalg.norm(pictures[0] - pictures[1]) / np.linalg.norm(pictures[0])
    assert 0 < error < 1.5e-2


def test_norms_of_large_fp16_numbers_do_not_overflow() -> None:
    x = np.float16(np.random.default_rng(0).normal(3000, 500, (1, 8, 8, 32)))
    one, zero = jt.ones(32).float16(), jt.zeros(32).float16()
    exact = np.float64(x).reshape(64, 4, 8)
    exact = (exact - exact.mean((0, 2), keepdims=True)) / exact.std((0, 2), keepdims=True)
    found = ops.group_norm(jt.array(x), 4, one, zero, 1e-5).numpy()
    assert np.abs(found.reshape(64, 4, 8) - exact).max() < 4e-3
    exact = np.float64(x) - np.float64(x).mean(-1, keepdims=True)
    found = ops.layer_norm(jt.array(x), one, zero, 1e-5).numpy()
    assert np.abs(found - exact / exact.std(-1, keepdims=True)).max() < 4e-3


@pytest.mark.skipif(not supported(), reason="needs the fused kernels")
def test_images_in_bf16_are_near_those_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "processor_features", lambda: FEATURES)  # elsewhere the same kernels widen bf16
    pictures = []
    for chosen, dtype in (("fp32", "float32"), ("bf16", "bfloat16")):
        pipe = StableDiffusionPipeline.from_pretrained("tiny", precision=chosen)
        assert pipe.unet.dtype == dtype
        assert str(pipe.vae.decoder.conv_in.weight.dtype) == "float32"
        out = pipe("a house", num_inference_steps=5, seed=1, guidance_scale=5.0, output_type="np")
        pictures.append(np.float64(out.images))
    difference = pictures[0] - pictures[1]
    assert np.abs(difference).max() > 0
    assert -10 * np.log10((difference**2).mean()) > 30


@pytest.mark.skipif(not supported(), reason="needs the fused kernels")
def test_a_model_in_bf16_is_saved_with_its_own_numbers(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(build, "processor_features", lambda: FEATURES)
    pipe = StableDiffusionPipeline.from_pretrained("tiny", precision="bf16")
    pipe.save_pretrained(tmp_path / "copy")
    again = StableDiffusionPipeline.from_pretrained(str(tmp_path / "copy"), precision="bf16")
    for (name, a), (_, b) in zip(pipe.unet.named_parameters(), again.unet.named_parameters()):
        assert np.array_equal(a.float32().numpy(), b.float32().numpy()), name
