"""The arguments of a call: what is obeyed, what is shown while it runs, and one line for what cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from jstyle import StableDiffusionImg2ImgPipeline, StableDiffusionPipeline
from jstyle.errors import InputError, InputWarning
from jstyle.pictures import images
from jstyle.runtime import jt
from tests.parity.networks import GOLDEN, relative_error

SIZE = {"height": 32, "width": 32, "num_inference_steps": 3}


@pytest.fixture(scope="module")
def pipe() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(str(GOLDEN / "diffusers_folder"))


def make(pipe: StableDiffusionPipeline, prompt: Any = "a river", **changes: Any) -> np.ndarray:
    return pipe(prompt, **{"output_type": "latent", "seed": 7, **SIZE, **changes}).images


class TorchGenerator:
    """As PyTorch's answers; asking for a new seed would change it."""

    def initial_seed(self) -> int:
        return 7

    def seed(self) -> int:
        raise AssertionError("asked for a new seed")


class JtorchGenerator:
    """As JTorch's answers."""

    seed = 7


@pytest.mark.parametrize("generator", [7, np.int64(7), TorchGenerator(), JtorchGenerator(), [7], [TorchGenerator()]])
def test_a_generator_is_a_seed(pipe: StableDiffusionPipeline, generator: Any) -> None:
    assert np.array_equal(make(pipe, seed=None, generator=generator), make(pipe))


@pytest.mark.parametrize("kind", [np.random.default_rng, np.random.RandomState])
def test_numpys_generators_move_on(pipe: StableDiffusionPipeline, kind: Any) -> None:
    def draw(generator: Any) -> list[tuple[int, ...]]:
        return [pipe("a", seed=None, generator=generator, num_images_per_prompt=2, **SIZE).seeds for _ in range(2)]

    first, second = draw(kind(3))
    assert len(set(first) | set(second)) == 4 and draw(kind(3)) == [first, second]
    assert pipe(["a", "b"], generator=[kind(3), 9], **SIZE).seeds[1] == 9


def test_what_a_text_encoder_made_stands_for_its_texts(pipe: StableDiffusionPipeline) -> None:
    texts, negative = ["a river", "a bridge"], "a tree"
    embeds, against = pipe.encode_prompt(texts, "cuda", 2, True, negative)
    assert against is not None and embeds.shape == against.shape and embeds.shape[0] == 4
    wanted = make(pipe, texts, negative_prompt=negative, num_images_per_prompt=2)
    assert np.array_equal(make(pipe, None, prompt_embeds=embeds, negative_prompt_embeds=against), wanted)
    single = np.array(pipe.encode_prompt(texts, "cuda", 1, False)[0].numpy())
    assert pipe.encode_prompt(texts, "cuda", 1, False)[1] is None
    copied = make(pipe, None, prompt_embeds=single, negative_prompt=negative, num_images_per_prompt=2)
    assert relative_error(copied, wanted) < 1e-6


@pytest.mark.parametrize("output_type", ["pil", "np", "pt"])
def test_outputs_are_of_one_picture(pipe: StableDiffusionPipeline, output_type: str) -> None:
    made = pipe("a river", seed=7, output_type=output_type, return_dict=False, **SIZE)
    assert isinstance(made, tuple) and made[1] is None
    reference = np.asarray(pipe("a river", seed=7, **SIZE)["images"][0])
    if output_type == "pt":
        assert isinstance(made[0], jt.Var) and made[0].shape == [1, 3, 32, 32]
        found = np.rint(made[0].numpy()[0].transpose(1, 2, 0) * 255)
    else:
        found = np.asarray(made[0][0]) if output_type == "pil" else np.rint(made[0][0] * 255)
    assert np.array_equal(found, reference)


def test_callbacks_see_every_step_and_no_bit_changes(pipe: StableDiffusionPipeline) -> None:
    seen: list[Any] = []

    def watch(of: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        assert of is pipe and of.do_classifier_free_guidance and of.guidance_scale == 3.0
        seen.append((index, timestep.item(), *(tuple(tensors[name].shape) for name in names)))
        return tensors

    names = ["latents", "prompt_embeds", "negative_prompt_embeds"]
    settings = {"guidance_scale": 3.0, "sampler": "euler"}
    made = make(pipe, callback_on_step_end=watch, callback_on_step_end_tensor_inputs=names, **settings)
    assert np.array_equal(made, make(pipe, **settings)) and pipe.num_timesteps == 3
    assert [one[:2] for one in seen] == [(0, 667), (1, 334), (2, 1)]
    text = pipe.encode_texts("a river").shape
    assert set(one[2:] for one in seen) == {((1, 4, 8, 8), (2, *text[1:]), tuple(text))}


@pytest.mark.parametrize(
    ("sampler", "every", "expected"),
    [
        ("ddim", 1, [(0, 667), (1, 334), (2, 1)]),
        ("ddim", 2, [(0, 667), (2, 1)]),
        ("pndm", 1, [(1, 334), (2, 334), (3, 1)]),
        ("heun", 1, [(0, 334), (1, 1), (2, 1)]),
    ],
)
def test_the_older_callback_hears_of_steps(
    pipe: StableDiffusionPipeline, sampler: str, every: int, expected: list[tuple[int, int]]
) -> None:
    """The rule of diffusers 0.42.1: a step is told when its last call is done."""
    seen: list[tuple[int, int]] = []
    make(pipe, sampler=sampler, callback=lambda i, t, x: seen.append((i, int(t))), callback_steps=every)
    assert seen == expected


@pytest.mark.parametrize("levels", [{"timesteps": [900, 500, 20]}, {"sigmas": np.array([9.0, 2.0, 0.3, 0.0])}])
def test_levels_that_are_named_are_the_steps(pipe: StableDiffusionPipeline, levels: dict[str, Any]) -> None:
    steps: list[Any] = []
    make(pipe, sampler="euler", on_step=steps.append, **levels)
    assert len(steps) == pipe.num_timesteps == 3
    if "timesteps" in levels:
        assert [step.level.t for step in steps] == levels["timesteps"]
    else:
        found = [(1 / step.level.alpha_bar - 1) ** 0.5 for step in steps]
        assert np.allclose(found, levels["sigmas"][:3])


def test_what_a_callback_changes_without_effect_is_said(pipe: StableDiffusionPipeline) -> None:
    def double(_: Any, __: int, ___: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        return {name: 2 * tensor for name, tensor in tensors.items()}

    with pytest.warns(InputWarning, match="change the first half of prompt_embeds"):
        make(pipe, callback_on_step_end=double, callback_on_step_end_tensor_inputs=["negative_prompt_embeds"])


def test_pictures_and_their_latents_begin_alike(pipe: StableDiffusionPipeline) -> None:
    changing = StableDiffusionImg2ImgPipeline.from_pipe(pipe)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 40, 3), np.uint8))
    latents = np.array(pipe.encode_images(jt.array(images.to_array([picture]))).numpy())
    common: dict[str, Any] = {"num_inference_steps": 4, "seed": 1, "output_type": "latent"}
    wanted = changing("a river", picture, **common).images
    assert np.array_equal(changing("a river", latents, **common).images, wanted)
    floats = jt.array(np.asarray(picture, np.float32).transpose(2, 0, 1)[None] / 255)
    assert np.array_equal(changing("a river", image=floats, **common).images, wanted)


def test_a_size_that_latents_do_not_have_is_rounded_down(pipe: StableDiffusionPipeline) -> None:
    changing = StableDiffusionImg2ImgPipeline.from_pipe(pipe)
    made = changing("a river", Image.new("RGB", (35, 34)), num_inference_steps=2, seed=0).images
    assert made[0].size == (32, 32)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"prompt": 5}, "prompt must be a text or a list of texts, not 5"),
        ({"prompt": None}, "no prompt was given: give a text, or prompt_embeds"),
        ({"prompt_embeds": np.zeros((1, 77, 32))}, "give prompt or prompt_embeds, not both"),
        ({"prompt": None, "prompt_embeds": np.zeros((77, 32))}, "must be .prompts, tokens, width., not .77, 32."),
        ({"negative_prompt": [1]}, "negative_prompt must be a text"),
        ({"negative_prompt_embeds": np.zeros((1, 5, 32))}, "must be .prompts, tokens, 16."),
        ({"num_inference_steps": "ten"}, "the number of steps must be a whole number from 1 to 1000, not 'ten'"),
        ({"num_images_per_prompt": "2"}, "num_images_per_prompt must be a whole number"),
        ({"height": "512"}, "a size must be a whole number of pixels, not '512'"),
        ({"guidence_scale": 3}, "no argument 'guidence_scale'; did you mean guidance_scale?"),
        ({"guidance_rescale": "x"}, "guidance_rescale must be a finite number"),
        ({"eta": None}, "eta must be a finite number"),
        ({"generator": "cuda", "seed": None}, "generator must be a number, NumPy's Generator"),
        ({"generator": [1, 2], "seed": None}, "2 generators were given for 1 images"),
        ({"generator": 3}, "give seed or generator, not both"),
        ({"prompt": "a \ud800"}, "prompt has half a character"),
        ({"latents": "noise"}, "wanted latents as a jt.Var or an array of real numbers, got str"),
        ({"latents": jt.zeros((1, 3, 8, 8))}, "latents of shape .1, 4, 8, 8. are needed"),
        ({"clip_skip": 9}, "clip_skip must be a whole number from 0 to"),
        ({"ip_adapter_image": Image.new("RGB", (8, 8))}, "ip_adapter_image: IP-Adapters are not here"),
        ({"timesteps": [900, 100]}, "ddim takes no list of timesteps or sigmas"),
        ({"timesteps": [100, 900], "sampler": "euler"}, "timesteps must fall from the first to the last"),
        ({"timesteps": [1e9], "sampler": "euler"}, "time 1e.09 is beyond the last training time"),
        ({"timesteps": [[9]], "sampler": "euler"}, "timesteps must be a list of numbers"),
        ({"timesteps": [900], "sigmas": [1, 0], "sampler": "euler"}, "timesteps or sigmas, not both"),
        ({"sigmas": [9.0, 1.0], "sampler": "euler"}, "sigmas must end with 0"),
        ({"sigmas": "karas", "sampler": "euler"}, "karas"),
        ({"cross_attention_kwargs": {"gligen": 1}}, "cross_attention_kwargs has nothing of the name 'gligen'"),
        ({"cross_attention_kwargs": {"scale": "x"}}, "must be a finite number"),
        ({"callback_on_step_end": 5}, "callback_on_step_end must be a function"),
        ({"callback_on_step_end": lambda *_: None}, "must return a dictionary of tensors, not NoneType"),
        ({"callback_on_step_end": lambda *_: {"latents": np.zeros(3)}}, "latents of a callback must be"),
        ({"callback_on_step_end": lambda *_: {"prompt_embeds": np.zeros(3)}}, "prompt_embeds of a callback must be"),
        ({"callback_on_step_end_tensor_inputs": ["mask"]}, "may be latents, prompt_embeds"),
        ({"callback_steps": 0}, "callback_steps must be a whole number from 1 to"),
    ],
)
def test_what_cannot_be_is_one_line(pipe: StableDiffusionPipeline, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        make(pipe, **changes)
    assert "\n" not in str(caught.value)
    make(pipe)  # and the next call is as ever
