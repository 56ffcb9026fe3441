"""Prompt-to-Prompt against a float64 rendering with whole matrices of attention, and the paper's own code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jstyle.errors import InputError
from jstyle.methods.prompt_to_prompt.alignment import align
from jstyle.methods.prompt_to_prompt.method import PromptToPromptOnLatents
from jstyle.methods.prompt_to_prompt.settings import PromptToPromptSettings
from jstyle.methods.prompt_to_prompt.words import Located
from jstyle.networks.editing import QKV, Site, attached
from jstyle.ops import KeyValue
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from tests.parity.networks import GOLDEN, golden, relative_error

RECORDED, PUBLISHED = golden("prompt_to_prompt"), golden("prompt_to_prompt_published")
SHAPE = (4, 16, 16)
CAT = "a cat on a mat"
DOG = "a dog on a mat"
REFINED = "a red cat on the mat at night"
NO_LAYOUT: dict[str, Any] = {"self_replace_steps": (0.0, 0.0)}
RUNS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "replace": ([DOG], NO_LAYOUT),
    "layout": ([DOG], {"cross_replace_steps": (0.0, 0.0), "self_replace_steps": (0.2, 0.7)}),
    "unequal": (["a zebra, on a rug"], {}),
    "refine": ([REFINED], {"cross_replace_steps": (0.2, 0.8)}),
    "word_steps": ([DOG], {"cross_replace_steps": (0.0, 1.0), "word_steps": {"dog": (0.0, 0.3)}}),
    "reweight": ([CAT], {"cross_replace_steps": (0.0, 1.0), "reweight": {"mat": 3.0, "cat": -1.0}}),
    "refine_reweight": ([REFINED], {"reweight": {"night": 4.0}}),
    "blend": ([DOG], {"blend_words": ("cat", "dog"), "blend_threshold": 0.9}),
    "two": ([DOG, "a cat on a rug"], {}),
    "given": ([REFINED], {}),
    "null_text": ([REFINED], {"null_text": 4}),
}
GIVEN = ("given", "null_text")


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(str(GOLDEN / "diffusers_folder"))


def open_run(pipe: StableDiffusionPipeline, name: str, **changes: Any) -> PromptToPromptOnLatents:
    targets, chosen = RUNS[name]
    settings = PromptToPromptSettings(
        **{"steps": 6, "guidance": 4.0, "self_level": 1, "blend_level": 1, **chosen, **changes}
    )
    clean = RECORDED["clean"] if name in GIVEN else None
    return PromptToPromptOnLatents(pipe, settings, CAT, targets, shape=SHAPE, seed=5, clean=clean)


def edit(pipe: StableDiffusionPipeline, name: str, wanted: Any = None, **changes: Any) -> dict[int, np.ndarray]:
    numbers = range(len(RUNS[name][0]) + 1) if wanted is None else wanted
    events = open_run(pipe, name, **changes).edit(numbers)
    return dict(event for event in events if isinstance(event, tuple))


@pytest.mark.parametrize("name", RUNS)
def test_final_latents(pipe: StableDiffusionPipeline, name: str) -> None:
    made = edit(pipe, name)
    assert sorted(made) == list(range(len(RECORDED[name])))
    for number, latents in made.items():
        assert relative_error(latents, RECORDED[name][number]) < 1e-4


@pytest.mark.parametrize(
    ("name", "target", "changes"),
    [
        ("replace", "a bridge on a hat", {}),
        ("refine", REFINED, {}),
        ("reweight", CAT, {"cross_replace_steps": (0.0, 1.0), "reweight": {"mat": 3.0, "cat": -1.0}, **NO_LAYOUT}),
    ],
)
def test_the_papers_own_controllers(
    pipe: StableDiffusionPipeline, name: str, target: str, changes: dict[str, Any]
) -> None:
    settings = PromptToPromptSettings(**{"steps": 6, "guidance": 4.0, "self_level": 0, "blend_level": 1, **changes})
    events = PromptToPromptOnLatents(pipe, settings, CAT, [target], shape=SHAPE, seed=5, clean=None).edit(range(2))
    for number, latents in dict(event for event in events if isinstance(event, tuple)).items():
        assert relative_error(latents, PUBLISHED[name][number]) < 1e-4


def test_an_edit_is_the_same_in_any_batch(pipe: StableDiffusionPipeline) -> None:
    alone = edit(pipe, "two", [2])
    apart = edit(pipe, "two", batch_size=1)
    for number, latents in {**alone, **apart}.items():
        assert relative_error(latents, RECORDED["two"][number]) < 1e-4


def test_the_source_is_plain_text_to_image_to_the_bit(pipe: StableDiffusionPipeline) -> None:
    plain = pipe(
        CAT,
        num_inference_steps=6,
        guidance_scale=4.0,
        seed=5,
        height=64,
        width=64,
        sampler="ddim",
        output_type="latent",
    ).images[0]
    for name in ("two", "blend"):
        assert np.array_equal(edit(pipe, name)[0], plain)


def test_a_given_picture_stays_as_it_is_to_the_bit(pipe: StableDiffusionPipeline) -> None:
    assert np.array_equal(edit(pipe, "given")[0], RECORDED["clean"])


def test_without_windows_and_words_edits_are_plain_pictures(pipe: StableDiffusionPipeline) -> None:
    made = edit(pipe, "replace", cross_replace_steps=(0.0, 0.0), negative_prompt="")
    assert relative_error(made[1], RECORDED["unedited"][1]) < 1e-4


def test_samplers_with_fresh_noise_and_second_calls_keep_the_source(pipe: StableDiffusionPipeline) -> None:
    """The whole of a text taken from itself is itself: noise, windows and calls go together in every sampler."""
    for sampler in ("euler_a", "heun", "dpmpp_2m"):
        made = edit(
            pipe, "reweight", sampler=sampler, reweight={"mat": 1.0}, self_replace_steps=(0.0, 1.0), self_level=0
        )
        assert relative_error(made[1], made[0]) < 1e-4


def test_other_editors_may_not_add_to_the_attention(pipe: StableDiffusionPipeline) -> None:
    def share(site: Site, step: int, qkv: QKV) -> QKV:
        return QKV(qkv.q, qkv.k, qkv.v, shared=KeyValue(qkv.k, qkv.v))

    with attached(pipe.unet, share), pytest.raises(InputError, match="goes with no other editor"):
        edit(pipe, "replace")
    assert pipe.unet.attachments == ()


def test_refinement_aligns_as_the_papers_code(pipe: StableDiffusionPipeline) -> None:
    source, target = (Located.read(pipe.tokenizer, text) for text in (CAT, REFINED))
    aligned = align(source, target, 77, "refine")
    share, mapper = RECORDED["refine_share"] > 0, RECORDED["refine_mapper"]
    assert np.array_equal(aligned.aligned, share)
    assert np.array_equal(aligned.matrix.argmax(axis=0)[share], mapper[share])
