"""What people write for diffusers, once: record_calls.py runs it with diffusers, the tests with jstyle in its place.

``library`` is the module, ``folder`` a model's, and ``noise`` the arguments that fix the noise: diffusers'
image-to-image takes none, so that the recipe makes its draws. Each snippet returns the latents that it has made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from PIL import Image

PROMPT, NEGATIVE = "a painting of the river at night", "a photo of the bridge"
STEPS = 5
COMMON: Mapping[str, Any] = {"num_inference_steps": STEPS, "output_type": "latent"}
SIZE: Mapping[str, Any] = {"height": 64, "width": 32}


def load(library: Any, folder: str, kind: str = "StableDiffusionPipeline") -> Any:
    """As model cards have it."""
    pipe = getattr(library, kind).from_pretrained(folder, safety_checker=None, use_safetensors=True)
    pipe = pipe.to("cpu")
    pipe.enable_attention_slicing(1)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def swap_scheduler(name: str, **changes: Any) -> Callable[..., Any]:
    """Another scheduler on the checkpoint's configuration."""

    def snippet(library: Any, folder: str, noise: Mapping[str, Any]) -> Any:
        pipe = load(library, folder, "DiffusionPipeline")
        pipe.scheduler = getattr(library, name).from_config(pipe.scheduler.config, **changes)
        return pipe(PROMPT, negative_prompt=NEGATIVE, **SIZE, **COMMON, **noise).images[0]

    return snippet


def name_levels(name: str, **levels: Any) -> Callable[..., Any]:
    """Timesteps or sigmas one by one, in the place of a number of steps."""

    def snippet(library: Any, folder: str, noise: Mapping[str, Any]) -> Any:
        pipe = load(library, folder)
        pipe.scheduler = getattr(library, name).from_config(pipe.scheduler.config)
        return pipe(PROMPT, **SIZE, output_type="latent", **levels, **noise)[0][0]

    return snippet


def blend_prompts(library: Any, folder: str, noise: Mapping[str, Any]) -> Any:
    """Half way between two prompts."""
    pipe = load(library, folder)
    first, negative = pipe.encode_prompt(PROMPT, pipe.device, 1, True, NEGATIVE)
    second, _ = pipe.encode_prompt("a drawing of a tree", pipe.device, 1, False)
    blended = 0.5 * first + 0.5 * second
    return pipe(prompt_embeds=blended, negative_prompt_embeds=negative, **SIZE, **COMMON, **noise).images[0]


def skip_layers(library: Any, folder: str, noise: Mapping[str, Any]) -> Any:
    """The text encoder without its last layer, as some fine-tuned models want it."""
    pipe = load(library, folder)
    return pipe(PROMPT, negative_prompt=NEGATIVE, clip_skip=1, **SIZE, **COMMON, **noise).images[0]


def rescale_guidance(library: Any, folder: str, noise: Mapping[str, Any]) -> Any:
    """For checkpoints of zero terminal SNR."""
    pipe = load(library, folder)
    return pipe(PROMPT, guidance_scale=9.0, guidance_rescale=0.7, **SIZE, **COMMON, **noise).images[0]


def end_guidance_early(library: Any, folder: str, noise: Mapping[str, Any]) -> Any:
    """Without the unconditional half from 40% of the steps on."""

    def end_guidance(pipe: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if index == int(pipe.num_timesteps * 0.4):
            pipe._guidance_scale = 0.0
            tensors["prompt_embeds"] = tensors["prompt_embeds"].chunk(2)[-1]
        return tensors

    pipe = load(library, folder)
    watched = {"callback_on_step_end": end_guidance, "callback_on_step_end_tensor_inputs": ["prompt_embeds"]}
    return pipe(PROMPT, guidance_scale=6.5, **watched, **SIZE, **COMMON, **noise).images[0]


def change_latents(library: Any, folder: str, noise: Mapping[str, Any]) -> Any:
    """Latents brightened while a sampler that goes by sigma runs, by what they are in the middle."""
    seen = []

    def brighten(pipe: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        seen.append(int(timestep))
        if index == 1:
            tensors["latents"] = 1.1 * tensors["latents"] + 0.2
        return tensors

    pipe = load(library, folder)
    pipe.scheduler = library.EulerDiscreteScheduler.from_config(pipe.scheduler.config)
    made = pipe([PROMPT], callback_on_step_end=brighten, **SIZE, **COMMON, **noise).images[0]
    assert seen == [801, 601, 401, 201, 1], seen
    return made


def interrupt(library: Any, folder: str, noise: Mapping[str, Any]) -> Any:
    """Ended after three steps."""

    def stop(pipe: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        pipe._interrupt = index == 2
        return tensors

    pipe = load(library, folder)
    return pipe(PROMPT, callback_on_step_end=stop, return_dict=False, **SIZE, **COMMON, **noise)[0][0]


def change_picture(library: Any, folder: str, noise: Mapping[str, Any]) -> Any:
    """A photograph of odd size, changed by half."""
    text_to_image = load(library, folder)
    pipe = library.StableDiffusionImg2ImgPipeline(**text_to_image.components, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe(prompt=PROMPT, image=draw_picture((34, 67)), strength=0.6, **COMMON, **noise).images[0]


def paint_part(library: Any, folder: str, noise: Mapping[str, Any]) -> Any:
    """A part of a large photograph anew, at a size that is named."""
    pipe = library.AutoPipelineForInpainting.from_pipe(load(library, folder))
    pipe.set_progress_bar_config(disable=True)
    mask = Image.new("L", (96, 128))
    mask.paste(255, (20, 40, 70, 90))
    masked = {"image": draw_picture((96, 128)), "mask_image": mask, "strength": 1.0}
    return pipe(prompt=PROMPT, **masked, **SIZE, **COMMON, **noise).images[0]


def write_loop(**levels: Any) -> Callable[..., Any]:
    """The loop by hand, over timesteps or sigmas of its own."""

    def snippet(library: Any, folder: str, noise: Mapping[str, Any]) -> Any:
        pipe = load(library, folder)
        scheduler = library.EulerDiscreteScheduler.from_config(pipe.scheduler.config)
        scheduler.set_timesteps(**levels)
        text, _ = pipe.encode_prompt(PROMPT, pipe.device, 1, False)
        x = noise["latents"] * scheduler.init_noise_sigma
        for t in scheduler.timesteps:
            output = pipe.unet(scheduler.scale_model_input(x, t), t, encoder_hidden_states=text).sample
            x = scheduler.step(output, t, x).prev_sample
        return x[0]

    return snippet


def draw_picture(size: tuple[int, int]) -> Image.Image:
    """A smooth picture, (width, height)."""
    shades = [Image.linear_gradient("L"), Image.radial_gradient("L"), Image.linear_gradient("L").rotate(90)]
    return Image.merge("RGB", [shade.resize(size) for shade in shades])


SNIPPETS: Mapping[str, Callable[..., Any]] = {
    "euler": swap_scheduler("EulerDiscreteScheduler"),
    "karras": swap_scheduler("DPMSolverMultistepScheduler", use_karras_sigmas=True),
    "trailing": swap_scheduler("DDIMScheduler", timestep_spacing="trailing"),
    "unipc": swap_scheduler("UniPCMultistepScheduler"),
    "times": name_levels("DPMSolverMultistepScheduler", timesteps=[999, 850, 600, 300, 50]),
    "sigmas": name_levels("EulerDiscreteScheduler", sigmas=[14.0, 5.5, 2.2, 0.7, 0.1, 0.0]),
    "blend_prompts": blend_prompts,
    "skip_layers": skip_layers,
    "rescale_guidance": rescale_guidance,
    "end_guidance_early": end_guidance_early,
    "change_latents": change_latents,
    "interrupt": interrupt,
    "change_picture": change_picture,
    "paint_part": paint_part,
    "loop_of_times": write_loop(timesteps=[999, 700, 250, 30]),
    "loop_of_sigmas": write_loop(sigmas=[14.0, 3.0, 0.8, 0.1, 0.0]),
}
