"""Text to image; with --image image to image, with --mask inpainting."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, List, Literal, Optional, Tuple

from command_line import parse, run


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

    model: str = "tiny"
    """A folder in diffusers' layout, a hub id, or tiny, the embedded model."""

    revision: Optional[str] = None
    """Commit or branch of a hub id."""

    variant: Optional[str] = None
    """fp16 reads the half-precision files of a model."""

    vae_tiling: bool = False
    """Decode large images in tiles, in the memory that one tile takes."""

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


def main() -> int:
    settings = parse(Settings, "Make images from texts with Stable Diffusion.")
    from tqdm import tqdm

    from jstyle import images
    from jstyle.outputs import Finished
    from jstyle.pipeline import StableDiffusionPipeline

    pipe: Any = StableDiffusionPipeline.from_pretrained(
        settings.model, revision=settings.revision, variant=settings.variant
    )
    if settings.vae_tiling:
        pipe.enable_vae_tiling()
    pipe, inputs = with_pictures(pipe, settings)
    texts = [prompt for prompt in settings.prompt for _ in range(settings.images)]
    tasks = [(prompt, settings.seed + i) for i, prompt in enumerate(texts)]
    paths = [settings.output / f"{seed:05d}.png" for _, seed in tasks]
    common = {**asdict(settings), "model_hash": pipe.model_hash}
    for name in ("prompt", "images", "output", "batch_size", "overwrite"):
        del common[name]
    described = [{"prompt": prompt, "method": "txt2img", **common, "seed": seed} for prompt, seed in tasks]
    finished = Finished(settings.output, overwrite=settings.overwrite)
    todo = [i for i, path in enumerate(paths) if not finished.has(path, described[i])]
    print(f"{len(tasks)} images, {len(tasks) - len(todo)} of them finished before")
    with tqdm(total=len(todo) * settings.steps, unit="step", disable=not todo) as bar:
        for start in range(0, len(todo), settings.batch_size):
            batch: List[int] = todo[start : start + settings.batch_size]
            out = pipe(
                [tasks[i][0] for i in batch],
                num_inference_steps=settings.steps,
                guidance_scale=settings.guidance,
                negative_prompt=settings.negative_prompt,
                eta=settings.eta,
                seed=[tasks[i][1] for i in batch],
                sampler=settings.sampler,
                on_step=lambda step: bar.update(step.x.shape[0]),
                **inputs,
            )
            for i, picture in zip(batch, out.images):
                images.save_png(picture, paths[i], described[i])
    print(f"pictures are in {settings.output}")
    return 0


def with_pictures(pipe: Any, settings: Settings) -> Tuple[Any, Dict[str, Any]]:
    """The pipeline that the options ask for, and what it takes besides the text."""
    from jstyle import images
    from jstyle.image_to_image import StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline

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
