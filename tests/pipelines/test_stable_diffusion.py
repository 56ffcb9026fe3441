"""What users rely on: seeds, batches, sizes, tiles, and one clear line for what cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jstyle import StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline, StableDiffusionPipeline
from jstyle.diffusion.noise import NoiseSource
from jstyle.diffusion.samplers import SAMPLERS
from jstyle.errors import InputError, InputWarning
from jstyle.pictures import images
from jstyle.pipelines import latents
from jstyle.pipelines.starts import FromNoise
from jstyle.pipelines.tiling import in_tiles
from jstyle.runtime import jt
from tests.parity.networks import GOLDEN, relative_error
from tests.parity.test_pipelines import psnr

SAMPLES = Path(__file__).resolve().parents[2] / "samples"

# An image in another batch: sums in another order, through a whole run.
BATCH_TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(str(GOLDEN / "diffusers_folder"))


def make(pipe: StableDiffusionPipeline, prompt: Any = "a river", **changes: Any) -> np.ndarray:
    settings = {"height": 32, "width": 32, "num_inference_steps": 4, "output_type": "latent", "seed": 1, **changes}
    return pipe(prompt, **settings).images


@pytest.mark.parametrize(("sampler", "eta"), [("ddim", 1.0), ("ddpm", 0.0), ("euler", 0.0)])
def test_an_image_depends_on_its_seed_and_not_on_its_batch(
    pipe: StableDiffusionPipeline, sampler: str, eta: float
) -> None:
    batch = make(pipe, ["a river", "a bridge", "a river"], seed=[5, 6, 7], sampler=sampler, eta=eta)
    for row, prompt, seed in ((0, "a river", 5), (1, "a bridge", 6), (2, "a river", 7)):
        alone = make(pipe, prompt, seed=seed, sampler=sampler, eta=eta)
        assert relative_error(batch[row : row + 1], alone) < BATCH_TOLERANCE
    assert relative_error(batch[:1], batch[2:]) > 0.1
    assert np.array_equal(batch, make(pipe, ["a river", "a bridge", "a river"], seed=5, sampler=sampler, eta=eta))


def test_noise_is_standard_normal_and_each_purpose_has_its_own() -> None:
    source = NoiseSource([3, 4])
    noise = source.normal("latents", (4, 64, 64)).numpy()
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 1) < 0.02
    for a, b in ((noise[0], noise[1]), (noise, source.normal("step 0", (4, 64, 64)).numpy())):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.03
    assert np.array_equal(noise[1:], NoiseSource([4]).normal("latents", (4, 64, 64)).numpy())


@pytest.mark.parametrize("sampler", list(SAMPLERS))
def test_every_sampler_runs_and_differs(pipe: StableDiffusionPipeline, sampler: str) -> None:
    out = make(pipe, sampler=sampler, num_inference_steps=6)
    assert np.isfinite(out).all()
    assert sampler == "ddim" or relative_error(out, make(pipe, num_inference_steps=6)) > 1e-3


def test_up_to_guidance_one_only_the_texts_half_runs(pipe: StableDiffusionPipeline) -> None:
    rows = []

    def count(site: Any, step: int, qkv: Any) -> Any:
        rows.append(qkv.q.shape[0])
        return qkv

    from jstyle import attached

    for guidance, expected in ((0.0, 1), (0.5, 1), (1.0, 1), (7.5, 2)):
        rows.clear()
        with attached(pipe.unet, count):
            make(pipe, guidance_scale=guidance)
        assert set(rows) == {expected}


@pytest.mark.parametrize("sampler", ["ddim", "pndm"])
@pytest.mark.parametrize("guidance", [1.0, 7.5])
def test_a_call_step_by_step(pipe: StableDiffusionPipeline, sampler: str, guidance: float) -> None:
    steps = pipe.sample(
        ["a river", "a bridge"],
        FromNoise(32, 32),
        steps=4,
        guidance=guidance,
        seeds=1,
        sampler=sampler,
        output_type="latent",
    )
    counts = []
    while True:
        try:
            counts.append(next(steps).evaluations)
        except StopIteration as end:
            output = end.value
            break
    assert counts == [2 * (1 + (guidance != 1.0))] * (4 + (sampler == "pndm"))
    assert output.seeds == (1, 2)
    whole = make(pipe, ["a river", "a bridge"], sampler=sampler, guidance_scale=guidance)
    assert np.array_equal(output.images, whole)


def test_a_call_may_be_left_after_any_step(pipe: StableDiffusionPipeline) -> None:
    before = jt.flags.no_grad
    whole = make(pipe)
    steps = pipe.sample("a river", FromNoise(32, 32), steps=4, guidance=7.5, seeds=1)
    for _ in range(2):
        next(steps)
        assert jt.flags.no_grad == before
    assert np.array_equal(make(pipe), whole)  # another in the middle of it
    steps.close()
    assert jt.flags.no_grad == before
    assert np.array_equal(make(pipe), whole)


def test_a_negative_prompt_matters_under_guidance_and_is_said_not_to_without(pipe: StableDiffusionPipeline) -> None:
    assert relative_error(make(pipe, negative_prompt="a bridge"), make(pipe)) > 1e-3
    with pytest.warns(InputWarning, match="the negative prompt is not used"):
        without = make(pipe, negative_prompt="a bridge", guidance_scale=0.5)
    assert np.array_equal(without, make(pipe, guidance_scale=0.5))


@pytest.mark.parametrize(("height", "width"), [(4, 4), (36, 20), (8, 64)])
def test_any_multiple_of_the_vaes_factor_works(pipe: StableDiffusionPipeline, height: int, width: int) -> None:
    image = pipe("a river", height, width, 2, seed=0).images[0]
    assert image.size == (width, height)


def test_tiles_agree_with_the_whole_where_the_map_is_local() -> None:
    x = np.random.default_rng(0).standard_normal((1, 3, 50, 37)).astype(np.float32)
    out = in_tiles(lambda tile: tile * 2.0, jt.array(x), 16, 1.0)
    assert relative_error(out, 2 * x) < 1e-6


def test_tiled_decoding_is_near_the_whole(pipe: StableDiffusionPipeline) -> None:
    latents = NoiseSource([1]).normal("latents", pipe.latent_shape(160, 96))
    whole = pipe.decode_latents(latents)
    pipe.enable_vae_tiling()
    try:
        tiled = pipe.decode_latents(latents)
    finally:
        pipe.disable_vae_tiling()
    pipe.vae.enable_tiling()
    try:
        assert StableDiffusionPipeline.from_pipe(pipe).vae_tiling
        np.testing.assert_array_equal(pipe.decode_latents(latents), tiled)
    finally:
        pipe.vae.disable_tiling()
    with pytest.raises(InputError, match="use_tiling must be True or False, not 'on'"):
        pipe.vae.enable_tiling("on")
    assert tiled.shape == whole.shape
    assert not np.array_equal(tiled, whole)
    assert np.corrcoef(tiled.ravel(), whole.ravel())[0, 1] > 0.95


def draw_box(box: tuple[int, int, int, int], size: tuple[int, int] = (32, 32)) -> Image.Image:
    mask = Image.new("L", size)
    mask.paste(255, box)
    return mask


@pytest.mark.parametrize("settings", [{}, {"strength": 0.5}, {"padding_mask_crop": 3}])
def test_inpainting_leaves_every_other_pixel_as_it_was(pipe: StableDiffusionPipeline, settings: dict) -> None:
    size = (70, 50) if "padding_mask_crop" in settings else (48, 32)
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), np.uint8)) for _ in range(2)]
    masks = [draw_box((8, 8, 24, 24), size), draw_box((5, 12, 40, 20), size)]
    inpaint = StableDiffusionInpaintPipeline.from_pipe(pipe)
    common: dict = {"mask_image": masks, "num_inference_steps": 2, "seed": 0, "num_images_per_prompt": 2, **settings}
    made = inpaint(["a", "b"], pictures, **common).images
    given = np.stack([np.asarray(pictures[i]) for i in (0, 0, 1, 1)])
    free = np.stack([np.asarray(masks[i]) > 127 for i in (0, 0, 1, 1)])
    found = np.stack([np.asarray(picture) for picture in made])
    assert np.array_equal(found[~free], given[~free])
    assert (found[free] != given[free]).mean() > 0.5
    as_floats = inpaint(["a", "b"], pictures, output_type="np", **common).images
    assert np.array_equal(np.rint(as_floats[~free] * 255), given[~free])
    if not settings:
        bare = np.stack(
            [np.asarray(picture) for picture in inpaint(["a", "b"], pictures, overlay=False, **common).images]
        )
        assert np.array_equal(bare[free], found[free]) and (bare[~free] != given[~free]).mean() > 0.5


def test_from_pipe_shares_the_networks(pipe: StableDiffusionPipeline) -> None:
    assert StableDiffusionInpaintPipeline.from_pipe(pipe).unet is pipe.unet


@pytest.mark.parametrize("kind", [StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline])
def test_tiles_are_carried_over_to_other_pipelines(
    pipe: StableDiffusionPipeline, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing larger than a tile goes through the autoencoder, on its way in or out."""
    sides: list[int] = []
    encode, decode = pipe.vae.encode, pipe.vae.decode
    monkeypatch.setattr(pipe.vae, "encode", lambda x: (sides.append(max(x.shape[2:])), encode(x))[1])
    monkeypatch.setattr(pipe.vae, "decode", lambda x: (sides.append(4 * max(x.shape[2:])), decode(x))[1])
    pictures = {"image": Image.new("RGB", (160, 96)), "mask_image": Image.new("L", (160, 96), 255)}
    if kind is StableDiffusionImg2ImgPipeline:
        del pictures["mask_image"]
    pipe.enable_vae_tiling()
    try:
        kind.from_pipe(pipe)("a river", num_inference_steps=2, seed=0, **pictures)
    finally:
        pipe.disable_vae_tiling()
    assert len(sides) >= 4 and max(sides) <= pipe.vae.config.sample_size


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"height": 33}, "multiple of 4"),
        ({"width": -8}, "multiple of 4"),
        ({"num_inference_steps": 0}, "steps"),
        ({"sampler": "heuns"}, "sampler 'heuns'"),
        ({"eta": 2.0}, "eta"),
        ({"eta": 0.5, "sampler": "euler"}, "eta"),
        ({"seed": [1, 2]}, "2 seeds"),
        ({"seed": -1}, "negative"),
        ({"seed": True}, "a seed must be a whole number, not True"),
        ({"negative_prompt": ["a", "b"]}, "negative prompts"),
        ({"latents": np.zeros((1, 4, 3, 3), np.float32)}, "latents of shape"),
        ({"output_type": "jpeg"}, "output_type"),
        ({"prompt": []}, "prompt"),
        ({"num_images_per_prompt": 0}, "image"),
    ],
)
def test_what_cannot_be_is_one_line(pipe: StableDiffusionPipeline, changes: dict, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        make(pipe, **changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        (StableDiffusionImg2ImgPipeline, {"strength": 1.5}, "strength"),
        (StableDiffusionImg2ImgPipeline, {"strength": 0.01}, "leaves none"),
        (StableDiffusionImg2ImgPipeline, {"image": []}, "no image was given"),
        (
            StableDiffusionInpaintPipeline,
            {"image": Image.new("RGB", (31, 32)), "mask_image": Image.new("L", (31, 32), 255)},
            "multiple",
        ),
        (StableDiffusionInpaintPipeline, {"mask_image": Image.new("L", (16, 16), 255)}, "mask is 16x16"),
        (StableDiffusionInpaintPipeline, {"mask_image": [Image.new("L", (32, 32), 255)] * 2}, "2 masks for 1 pictures"),
        (StableDiffusionInpaintPipeline, {"mask_image": Image.new("L", (32, 32))}, "nowhere white"),
        (StableDiffusionInpaintPipeline, {"mask_image": draw_box((1, 1, 3, 3))}, "too small: of 4x4 pixels"),
        (StableDiffusionInpaintPipeline, {"padding_mask_crop": -1}, "padding_mask_crop must be at least 0"),
    ],
)
def test_what_cannot_be_with_a_picture(pipe: StableDiffusionPipeline, kind: Any, changes: dict, said: str) -> None:
    settings: dict = {"image": Image.new("RGB", (32, 32)), "num_inference_steps": 4, "seed": 0, **changes}
    if kind is StableDiffusionInpaintPipeline:
        settings.setdefault("mask_image", draw_box((8, 8, 24, 24)))
    with pytest.raises(InputError, match=said):
        kind.from_pipe(pipe)("a river", **settings)


def test_the_embedded_model_loads_and_keeps_a_picture() -> None:
    pipe = StableDiffusionPipeline.from_pretrained("tiny")
    pixels = images.to_array([images.fit(images.open_image(SAMPLES / "content" / "house_by_the_sea.png"), 128, 128)])
    decoded = pipe.decode_latents(pipe.encode_images(jt.array(pixels)))
    assert psnr((decoded + 1) / 2, (pixels + 1) / 2) > 25


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"guidance_scale": float("nan")}, "guidance_scale must be a finite number, not nan"),
        ({"guidance_scale": "7"}, "guidance_scale must be a finite number, not '7'"),
        ({"seed": "12"}, "a seed must be a whole number, not '12'"),
        ({"seed": [1.9]}, "a seed must be a whole number, not 1.9"),
        ({"num_images_per_prompt": 10**12}, "num_images_per_prompt must be a whole number from 1 to 100000"),
        ({"height": 10**9}, "a side must be at most 16384 pixels"),
    ],
)
def test_numbers_that_cannot_be_are_refused_before_anything_is_made_ready(
    pipe: StableDiffusionPipeline, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        pipe("a", num_inference_steps=1, **changes)


def test_a_size_that_this_machine_cannot_hold_is_refused_at_once(
    pipe: StableDiffusionPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths, factor = pipe.vae.config.block_out_channels, pipe.vae.config.factor
    decoder = 4 * (widths[0] + widths[1]) * 32 * 32  # what comes into its last block, and what that makes of it
    unet = 4 * 2 * pipe.unet.config.block_out_channels[0] * (32 // factor) ** 2
    for there in (max(decoder, unet), 0):  # 0: the system does not say
        monkeypatch.setattr(latents, "measure_memory", lambda there=there: there)
        assert pipe.latent_shape(32, 32)[1:] == (32 // factor, 32 // factor)
    monkeypatch.setattr(latents, "measure_memory", lambda: max(decoder, unet) - 1)
    with pytest.raises(
        InputError, match=r"32x32 pixels: one layer of the \w+ alone takes .* choose a smaller size, or"
    ):
        pipe("a river", num_inference_steps=1, height=32, width=32)
    monkeypatch.setattr(pipe.vae, "use_tiling", True)
    monkeypatch.setattr(latents, "measure_memory", lambda: unet)
    pipe.latent_shape(32, 32)
    monkeypatch.setattr(latents, "measure_memory", lambda: unet - 1)
    with pytest.raises(InputError, match=r"one layer of the UNet alone .* choose a smaller size$"):
        pipe.latent_shape(32, 32)


def test_weights_and_long_texts_from_python() -> None:
    pipe = StableDiffusionPipeline.from_pretrained("tiny")

    def draw(prompt: str, **options: Any) -> np.ndarray:
        return pipe(prompt, num_inference_steps=2, seed=3, output_type="latent", **options).images

    plain, as_text = draw("a red house"), draw("a (red:1.4) house")
    weighed = draw("a (red:1.4) house", prompt_weights="a1111")
    assert np.array_equal(plain, draw("a (red:1.0) house", prompt_weights="a1111", long_prompts="chunk"))
    assert len({x.tobytes() for x in (plain, as_text, weighed)}) == 3
    long = "a red house by the sea, " * 15
    beside = draw([long, "a red house"], long_prompts="chunk", negative_prompt="fog, " * 100)
    alone = draw(long, long_prompts="chunk", negative_prompt="fog, " * 100)
    assert np.linalg.norm(beside[0] - alone[0]) < 1e-4 * np.linalg.norm(alone[0])
    with pytest.raises(InputError, match="prompt_weights must be one of none, a1111"):
        draw("a", prompt_weights="compel")
