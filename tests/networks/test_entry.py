"""The networks and pipelines say in one line what they wanted and what they got, before anything is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from jstyle.errors import InputError
from jstyle.networks import (
    AutoencoderKL,
    CLIPTextModel,
    CLIPVisionModelWithProjection,
    TextContext,
    UNet2DConditionModel,
)
from jstyle.networks.config import CLIPTextConfig, CLIPVisionConfig, UNetConfig, VAEConfig
from jstyle.ops.kernels import operator
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt

UNET = UNetConfig(
    block_out_channels=(8, 16),
    down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    layers_per_block=1,
    norm_num_groups=4,
    cross_attention_dim=12,
    attention_head_dim=2,
)
VAE = VAEConfig(
    block_out_channels=(8, 16),
    down_block_types=("DownEncoderBlock2D",) * 2,
    up_block_types=("UpDecoderBlock2D",) * 2,
    norm_num_groups=4,
)
TEXT = CLIPTextConfig(
    vocab_size=50,
    hidden_size=12,
    intermediate_size=24,
    num_hidden_layers=1,
    num_attention_heads=2,
    max_position_embeddings=9,
)
VISION = CLIPVisionConfig(
    hidden_size=12, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, image_size=16, patch_size=8
)


@pytest.fixture(autouse=True)
def nothing_is_computed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No kernel may be built into a graph before the refusal."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("something was computed")

    monkeypatch.setattr(operator, "_operator", refuse)
    yield


def zeros(*shape: int, dtype: Any = np.float32) -> jt.Var:
    return jt.array(np.zeros(shape, dtype))


def make_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(UNET)


UNETS: list[tuple[str, Callable[[UNet2DConditionModel], Any], str]] = [
    (
        "channels",
        lambda unet: unet(zeros(1, 3, 8, 8), 5, zeros(1, 9, 12)),
        "UNet: wanted latents (batch, 4, height, width), got (1, 3, 8, 8)",
    ),
    (
        "rank",
        lambda unet: unet(zeros(4, 8, 8), 5, zeros(1, 9, 12)),
        "UNet: wanted latents (batch, 4, height, width), got (4, 8, 8)",
    ),
    (
        "nothing",
        lambda unet: unet(zeros(1, 4, 0, 8), 5, zeros(1, 9, 12)),
        "UNet: wanted latents (batch, 4, height, width), got (1, 4, 0, 8)",
    ),
    (
        "text width",
        lambda unet: unet(zeros(2, 4, 8, 8), 5, zeros(2, 9, 13)),
        "UNet: wanted a text (1 or 2, tokens, 12) for latents (2, 4, 8, 8), got (2, 9, 13)",
    ),
    (
        "text context",
        lambda unet: unet(zeros(1, 4, 8, 8), 5, TextContext(zeros(1, 9, 768))),
        "UNet: wanted a text (1, tokens, 12) for latents (1, 4, 8, 8), got (1, 9, 768)",
    ),
    (
        "text rows",
        lambda unet: unet(zeros(3, 4, 8, 8), 5, zeros(2, 9, 12)),
        "UNet: wanted a text (1 or 3, tokens, 12) for latents (3, 4, 8, 8), got (2, 9, 12)",
    ),
    (
        "times",
        lambda unet: unet(zeros(2, 4, 8, 8), [1, 2, 3], zeros(2, 9, 12)),
        "UNet: wanted one timestep or one for each of 2 latents, got 3",
    ),
    (
        "words for times",
        lambda unet: unet(zeros(2, 4, 8, 8), "soon", zeros(2, 9, 12)),
        "UNet: wanted numbers as timesteps, got str",
    ),
    (
        "an array of texts",
        lambda unet: unet(np.full((1, 4, 8, 8), "a"), 5, zeros(1, 9, 12)),
        "UNet: wanted latents as a jt.Var or an array of real numbers, got ndarray",
    ),
    (
        "rows of several lengths",
        lambda unet: unet([[1.0], [1.0, 2.0]], 5, zeros(1, 9, 12)),
        "UNet: wanted latents as a jt.Var or an array of real numbers, got list",
    ),
    (
        "an argument of other networks",
        lambda unet: unet(zeros(1, 4, 8, 8), 5, zeros(1, 9, 12), class_labels=zeros(1)),
        "UNet: the argument 'class_labels' is not supported; leave it out",
    ),
]


@pytest.mark.parametrize(("call", "line"), [case[1:] for case in UNETS], ids=[case[0] for case in UNETS])
def test_the_unet(call: Callable[[UNet2DConditionModel], Any], line: str) -> None:
    with pytest.raises(InputError) as refused:
        call(make_unet())
    assert str(refused.value) == line


@pytest.mark.parametrize(
    ("name", "shape", "line"),
    [
        ("encode", (1, 4, 8, 8), "VAE: wanted images (batch, 3, height, width), got (1, 4, 8, 8)"),
        ("encode", (3, 8, 8), "VAE: wanted images (batch, 3, height, width), got (3, 8, 8)"),
        ("encode", (1, 3, 1, 8), "VAE: wanted images of at least 2 x 2 pixels, got (1, 3, 1, 8)"),
        ("decode", (1, 3, 8, 8), "VAE: wanted latents (batch, 4, height, width), got (1, 3, 8, 8)"),
        ("decode", (1, 4, 64), "VAE: wanted latents (batch, 4, height, width), got (1, 4, 64)"),
    ],
)
def test_the_autoencoder(name: str, shape: tuple[int, ...], line: str) -> None:
    with pytest.raises(InputError) as refused:
        getattr(AutoencoderKL(VAE), name)(zeros(*shape))
    assert str(refused.value) == line


@pytest.mark.parametrize(
    ("ids", "line"),
    [
        (np.zeros((9,), np.int32), "text encoder: wanted token ids (batch, tokens), got (9,)"),
        (np.zeros((1, 10), np.int32), "text encoder: wanted at most 9 tokens, got (1, 10)"),
        (np.array([[0, 50]], np.int32), "embedding: wanted token ids from 0 to 49, got 50"),
        (np.array([[0, -1]], np.int32), "embedding: wanted token ids from 0 to 49, got -1"),
        (np.zeros((1, 9), np.float32), "embedding: wanted whole numbers as token ids, got float32"),
    ],
)
def test_the_text_encoder(ids: np.ndarray, line: str) -> None:
    """An id that is not in the table was looked up behind it."""
    with pytest.raises(InputError) as refused:
        CLIPTextModel(TEXT)(jt.array(ids))
    assert str(refused.value) == line


@pytest.mark.parametrize("shape", [(1, 3, 16, 8), (1, 1, 16, 16), (3, 16, 16), (1, 16, 16, 3)])
def test_the_image_encoder(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError) as refused:
        CLIPVisionModelWithProjection(VISION)(zeros(*shape))
    assert str(refused.value) == f"image encoder: wanted pixels (batch, 3, 16, 16), got {shape}"


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained("tiny")


def test_the_pipelines_doors(pipe: StableDiffusionPipeline) -> None:
    channels, size = pipe.vae.config.latent_channels, pipe.size
    with pytest.raises(InputError, match=f"VAE: wanted latents \\(batch, {channels}, height, width\\), got"):
        pipe.decode_latents(zeros(1, channels + 1, 4, 4))
    with pytest.raises(InputError, match="VAE: wanted latents as a jt.Var, got ndarray"):
        pipe.decode_latents(np.zeros((1, channels, 4, 4)))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="VAE: wanted latents .*, got \\(0,"):
        pipe.decode_latents(zeros(0, channels, 4, 4))
    with pytest.raises(InputError, match="VAE: wanted images \\(batch, 3, height, width\\), got \\(1, 1, 64, 64\\)"):
        pipe.encode_images(zeros(1, 1, 64, 64))
    with pytest.raises(InputError, match="VAE: wanted noise .* for images \\(1, 3, 64, 64\\), got \\(1, 1, 1, 1\\)"):
        pipe.encode_images(zeros(1, 3, 64, 64), zeros(1, 1, 1, 1))
    shape = (1, *pipe.latent_shape(size, size))
    for latents, line in [
        (np.zeros((2, *shape[1:])), f"latents of shape {shape} are needed, not {(2, *shape[1:])}"),
        (np.full(shape, "a"), "pipeline: wanted latents as a jt.Var or an array of real numbers, got ndarray"),
        ([[0.0]], f"latents of shape {shape} are needed, not (1, 1)"),
    ]:
        with pytest.raises(InputError) as refused:
            pipe("a house", latents=latents)  # type: ignore[arg-type]
        assert str(refused.value) == line


def test_an_inpainting_unet_is_not_drawn_with_from_noise(pipe: StableDiffusionPipeline) -> None:
    channels = 2 * pipe.vae.config.latent_channels + 1
    components = replace(pipe.parts, unet=UNet2DConditionModel(replace(UNET, in_channels=channels)))
    with pytest.raises(InputError, match=f"UNet takes {channels} channels, not .*StableDiffusionInpaintPipeline"):
        StableDiffusionPipeline(components)("a house")
