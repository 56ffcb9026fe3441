"""Text to image; with --image image to image, with --mask inpainting."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, List, Literal, Optional, Tuple

from command_line import parse, run
from model_options import ModelOptions


@dataclass(frozen=True)
class Settings:
    """What to make."""

    prompt: Tuple[str, ...]
    """One or more texts; each becomes its own images."""

    output: Path = Path("outputs/txt2img")
    """Folder for the results; made where it is missing."""

    negative_prompt: str = ""
    """What the images should not show."""

    image: Optional[Path] = None
    """Start from this picture (image-to-image)."""

    mask: Optional[Path] = None
    """White where the picture is to change (inpainting)."""

    strength: Optional[float] = None
    """Share of the steps that run on a picture: 0.8 by default, 1 for inpainting."""

    images: int = 1
    """Images per prompt."""

    steps: int = 50
    """Sampling steps."""

    guidance: float = 7.5
    """Classifier-free guidance; 1 turns it off."""

    sampler: Optional[Literal["ddim", "ddpm", "pndm", "lms", "euler", "dpmpp_2m"]] = None
    """By default the checkpoint's own."""

    eta: float = 0.0
    """Noise of ddim: 0 none, 1 as much as ddpm."""

    seed: int = 0
    """Image i of the run has seed + i."""

    width: Optional[int] = None
    """Width in pixels; the model's own size by default."""

    height: Optional[int] = None
    """Height in pixels; the model's own size by default."""

    batch_size: int = 1
    """Images that go through the UNet together."""

    overwrite: bool = False
    """Make finished images again."""

    def __post_init__(self) -> None:
        for name in ("images", "batch_size", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, not {self.seed}")
        if self.mask is not None and self.image is None:
            raise ValueError("a mask needs the picture it belongs to: give --image too")
        if self.strength is not None and self.image is None:
            raise ValueError("strength says how far a picture is changed: give --image too")


@dataclass(frozen=True)
class Task:
    """One image: its text, its seed, its file, and the settings that its file records."""

    prompt: str
    seed: int
    path: Path
    metadata: Dict[str, object]


def main() -> int:
    settings, model = parse(Settings, "Make images from texts with Stable Diffusion.", extra=ModelOptions)
    from jstyle.pictures.outputs import Finished

    pipe: Any = model.pipeline()
    pipe, inputs = with_pictures(pipe, settings)
    tasks = planned(settings, model.recorded(pipe.model_hash))
    finished = Finished(settings.output, overwrite=settings.overwrite, ignored={"model", "image", "mask"})
    todo = [task for task in tasks if not finished.has(task.path, task.metadata)]
    print(f"{len(tasks)} images, {len(tasks) - len(todo)} of them finished before")
    generate(pipe, settings, todo, inputs)
    print(f"pictures are in {settings.output}")
    return 0


def planned(settings: Settings, model: Dict[str, object]) -> List[Task]:
    """Every image of the run. Pictures are recorded by their content, so that a changed one is noticed."""
    from jstyle.files import hash_files

    common = {**asdict(settings), **model, "method": "txt2img"}
    for name in ("images", "output", "batch_size", "overwrite"):
        del common[name]
    for name, path in (("image", settings.image), ("mask", settings.mask)):
        common[f"{name}_hash"] = None if path is None else hash_files([path])
    texts = [prompt for prompt in settings.prompt for _ in range(settings.images)]
    return [
        Task(text, seed, settings.output / f"{seed:05d}.png", {**common, "prompt": text, "seed": seed})
        for seed, text in enumerate(texts, settings.seed)
    ]


def generate(pipe: Any, settings: Settings, tasks: List[Task], inputs: Dict[str, Any]) -> None:
    """Make the images batch by batch and write each as soon as it is there."""
    from tqdm import tqdm

    from jstyle.pictures.images import save_png

    with tqdm(total=len(tasks) * settings.steps, unit="step", disable=not tasks) as bar:
        for start in range(0, len(tasks), settings.batch_size):
            batch = tasks[start : start + settings.batch_size]
            out = pipe(
                [task.prompt for task in batch],
                num_inference_steps=settings.steps,
                guidance_scale=settings.guidance,
                negative_prompt=settings.negative_prompt,
                eta=settings.eta,
                seed=[task.seed for task in batch],
                sampler=settings.sampler,
                on_step=lambda step: bar.update(step.x.shape[0]),
                **inputs,
            )
            for task, picture in zip(batch, out.images):
                save_png(picture, task.path, task.metadata)


def with_pictures(pipe: Any, settings: Settings) -> Tuple[Any, Dict[str, Any]]:
    """The pipeline that the options ask for, and what it takes besides the text."""
    from jstyle.pictures import images
    from jstyle.pipelines.image_to_image import StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline

    if settings.image is None:
        return pipe, {"width": settings.width, "height": settings.height}
    width, height = settings.width or pipe.size, settings.height or pipe.size
    pipe.latent_shape(height, width)
    inputs: Dict[str, Any] = {"image": images.fit(images.open_image(settings.image), width, height)}
    if settings.strength is not None:
        inputs["strength"] = settings.strength
    if settings.mask is None:
        return StableDiffusionImg2ImgPipeline.from_pipe(pipe), inputs
    inputs["mask_image"] = images.fit(images.open_image(settings.mask), width, height)
    return StableDiffusionInpaintPipeline.from_pipe(pipe), inputs


if __name__ == "__main__":
    run(main)
