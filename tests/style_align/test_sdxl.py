"""Style Aligned on Stable Diffusion XL's shape, against an independent float64 rendering of the paper in PyTorch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import jstyle
from jstyle.diffusion.guidance import GuidedDenoiser
from jstyle.diffusion.schedule import Schedule
from jstyle.methods.sets import ImageReference
from jstyle.networks import Condition, UNet2DConditionModel
from jstyle.networks.condition import Sizes
from jstyle.networks.config import UNetConfig
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from style_align.features import Recorder
from style_align.reference import Reference, References
from style_align.share import Aligned
from tests.golden import tiny
from tests.parity.networks import GOLDEN, golden, relative_error, seeded
from tests.style_align import test_parity
from tests.style_align.small import CHUNK_TOLERANCE, TARGETS, TRAIN, latents, picture
from tests.style_align.test_parity import STEPS, TOLERANCE, preset

RECORDED = golden("style_align_sdxl")


class Case(test_parity.Case):
    """The tiny SDXL's UNet with its recorded inputs."""

    def __init__(self) -> None:
        self.name = "sdxl"
        self.unet = seeded(UNet2DConditionModel, UNetConfig.from_dict(tiny.SDXL["unet"]))
        config = test_parity.Case("sd1").schedule.config
        self.schedule = Schedule(replace(config, prediction_type="epsilon"))

    def recorded(self, what: str) -> np.ndarray:
        return RECORDED[f"sdxl_{what}"]

    def denoiser(self, rows: list[int], guidance: float) -> GuidedDenoiser:
        halves = [
            Condition(jt.array(self.recorded("texts")[chosen]), jt.array(self.recorded("vectors")[chosen])).say(
                Sizes(4)
            )
            for chosen in ([1 + row for row in rows], [0] * len(rows))
        ]
        return GuidedDenoiser(self.unet, "epsilon", *halves, guidance)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def case() -> Case:
    return Case()


@pytest.mark.parametrize("name", ["sdxl", "sd"])
@pytest.mark.parametrize("keep", [None, "float32"])
def test_a_set_from_texts(case: Case, name: str, keep: str) -> None:
    sharing, guidance = preset(name)
    reference = case.generated(sharing, guidance, keep)
    aligned = Aligned(case.denoiser([1, 2], guidance), References([reference], [1.0], sharing), sharing)
    expected = case.recorded(name)
    assert relative_error(case.sample(aligned, case.recorded("noise")[1:]), expected[1:]) < TOLERANCE
    assert relative_error(reference.path()[1][-1:], expected[:1]) < TOLERANCE


def test_targets_beside_an_inverted_reference(case: Case) -> None:
    assert relative_error(case.path().latents, case.recorded("path")) < TOLERANCE
    sharing, guidance = preset("image")
    recorder = Recorder(case.denoiser([0], guidance), sharing)
    reference = Reference(recorder, trajectory=case.path(), offset=STEPS // 10)
    aligned = Aligned(case.denoiser([1, 2], guidance), References([reference], [1.0], sharing), sharing)
    assert relative_error(case.sample(aligned, case.recorded("noise")[1:]), case.recorded("image")) < TOLERANCE


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionPipeline:
    return jstyle.DiffusionPipeline.from_pretrained(str(GOLDEN / "sdxl_folder"))


def test_features_that_are_computed_again_are_those_that_are_kept(pipe: StableDiffusionPipeline) -> None:
    kept, again = (
        latents(pipe, TARGETS[:2], features=how, preset="sdxl", batch_size=1) for how in ("memory", "recompute")
    )
    for target in (0, 1, -1):
        assert relative_error(again[target], kept[target]) < CHUNK_TOLERANCE
    generated = pipe(TRAIN.prompt, num_inference_steps=4, guidance_scale=5.0, seed=0, output_type="latent").images
    assert relative_error(kept[-1], generated[0]) < 1e-5


def test_a_set_in_the_style_of_a_picture(pipe: StableDiffusionPipeline) -> None:
    reference = ImageReference("a woodcut", picture(3, 64, 64))
    made = latents(pipe, TARGETS[:1], [reference], features="recompute")
    assert np.isfinite(made[0]).all() and made[0].shape == (4, 16, 16)
