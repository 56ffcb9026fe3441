"""What a run costs, told and counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from jstyle.diffusion.samplers import sampler
from jstyle.events import Evaluated, Remark
from jstyle.pipelines.cost import CountingPipeline, Meter, count_evaluations
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.weights.configuration import read_configurations
from tests.parity.networks import GOLDEN

MODEL = GOLDEN / "diffusers_folder"


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(str(MODEL))


def sample(pipe: StableDiffusionPipeline, name: str, guidance: float, steps: int = 6) -> Iterator[Any]:
    """Two pictures by a sampler, told step by step."""
    denoiser = pipe.denoiser(["a boat", "a tree"], "", guidance)
    meter = Meter("sampling", denoiser)
    method = sampler(name)
    x = jt.ones((2, *pipe.latent_shape(16, 16)))
    for _ in method(denoiser, x, pipe.schedule, steps, noise=lambda index: jt.ones(x.shape)):
        yield meter.read()
    yield Remark(str(denoiser.evaluations))


def test_a_plan_has_no_weights_that_could_be_made(pipe: StableDiffusionPipeline) -> None:
    """Jittor makes all that is pending as soon as it computes anything, as loading the model does."""
    planned = CountingPipeline.like(pipe)
    names = [name for name, _ in pipe.unet.named_parameters()]
    assert [name for name, _ in planned.unet.named_parameters()] == names
    assert planned.unet.num_parameters() == len(names)


@pytest.mark.parametrize(("name", "calls"), [("ddim", 6), ("pndm", 7), ("lms", 6)])
@pytest.mark.parametrize(("guidance", "halves"), [(0.5, 1), (1.0, 1), (7.5, 2)])
def test_every_latent_and_half_is_counted(
    pipe: StableDiffusionPipeline, name: str, calls: int, guidance: float, halves: int
) -> None:
    events = list(sample(pipe, name, guidance))
    expected = calls * 2 * halves
    assert sum(event.count for event in events if isinstance(event, Evaluated)) == expected
    assert events[-1] == Remark(str(expected))
    for counting in (pipe, CountingPipeline.like(pipe), CountingPipeline.of_configurations(read_configurations(MODEL))):
        assert count_evaluations(lambda one: sample(one, name, guidance), counting) == expected


def test_counting_touches_no_weight_and_no_word(pipe: StableDiffusionPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in (type(pipe.vae), type(pipe.text_encoder)):
        monkeypatch.setattr(part, "execute", lambda *_, **__: pytest.fail("computed"))
    counting = CountingPipeline.like(pipe)
    assert counting.encode_images(jt.zeros((2, 3, 16, 24))).shape == [2, *pipe.latent_shape(16, 24)]
    assert counting.decode_latents(jt.zeros((2, 4, 2, 3))).shape[:2] == (2, 3)
    counting.vocabulary.learn("<ink>", np.zeros((1, 16), np.float32))
    counting.vocabulary.remove(["<ink>"])
    assert not pipe.vocabulary.vectors and counting.model_hash == pipe.model_hash
    assert counting.unet.dtype == pipe.unet.dtype


def test_a_meter_begins_where_its_denoiser_stands() -> None:
    class Denoiser:
        evaluations = 5

    denoiser = Denoiser()
    meter = Meter("stage", denoiser)
    assert meter.read() == Evaluated("stage", 0)
    denoiser.evaluations = 8
    assert (meter.read(), meter.read()) == (Evaluated("stage", 3), Evaluated("stage", 0))
