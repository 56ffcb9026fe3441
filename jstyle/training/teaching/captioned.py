"""What LoRA and DreamBooth learn from: captioned pictures, and pictures of the class that must not be forgotten."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Protocol

import numpy as np

from jstyle.events import Event, PictureWritten, Remark
from jstyle.pictures import images
from jstyle.pictures.finished import hash_pixels, read_state, write_picture
from jstyle.pictures.spec import PromptedPicture, identify_model
from jstyle.pipelines.prompted import draw_prompted
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.training.draws import make_generator
from jstyle.training.settings import LoopSettings
from jstyle.training.teaching import examples, tuning
from jstyle.training.teaching.settings import CaptionedSettings
from jstyle.training.teaching.tuning import Batch, EncodedPictures

CLASS = "class"  # the folder of the class's pictures


class Dropping(Protocol):
    """Settings of a way to teach that leaves captions out."""

    @property
    def caption_dropout(self) -> float:
        """The share of examples shown without a caption."""
        ...

    @property
    def loop(self) -> LoopSettings:
        """How it is trained."""
        ...


@dataclass(frozen=True)
class Lessons:
    """Pictures with a caption each, and those of the class, where there are any."""

    settings: CaptionedSettings
    taught: EncodedPictures
    captions: list[str]
    prior: Optional[EncodedPictures]

    def make_batch(self, index: int) -> Batch:
        """The batch of this index: pictures and as many of the class."""
        settings = self.settings
        indices, latents = tuning.draw_batch(self.taught, settings, index)
        count = len(indices)
        captions = drop_captions(self.captions, indices, settings, index)
        if self.prior is None:
            return Batch(latents, captions, np.ones(count))
        classes = settings.class_pictures
        _, of_class = tuning.draw_batch(self.prior, settings, index, "prior")
        # the mean over both halves, times 2, is the sum of their means (equation 2)
        weights = 2 * np.repeat([1.0, classes.prior_weight], count)
        of_class_captions = [classes.class_prompt or ""] * count
        return Batch(np.concatenate([latents, of_class]), captions + of_class_captions, weights)

    def identity(self) -> dict[str, Any]:
        """What tells these lessons apart."""
        hashes = {"pictures": examples.hash_examples(self.taught.files, self.captions)}
        if self.prior is not None:
            hashes["class_pictures"] = _hash_all_pixels(self.prior.files)
        return hashes


def drop_captions(captions: Sequence[str], indices: np.ndarray, settings: Dropping, index: int) -> list[str]:
    """The captions of these pictures in the batch of this index, some of them empty."""
    draws = make_generator(settings.loop.seed, index, "dropped").random(len(indices))
    return ["" if draw < settings.caption_dropout else captions[int(i)] for i, draw in zip(indices, draws)]


def prepare_lessons(pipe: StableDiffusionPipeline, settings: CaptionedSettings) -> Generator[Event, None, Lessons]:
    """Read and encode everything, drawing the pictures of the class first."""
    remarks: list[str] = []
    files = images.find_images(settings.data, remarks.append)
    captions = examples.write_captions(files, settings.prompt)
    prior = None
    if settings.class_pictures.class_prompt is not None:
        prior = tuning.encode_pictures(pipe, settings, (yield from draw_class_pictures(pipe, settings)))
    taught = tuning.encode_pictures(pipe, settings, files, remarks.append)
    yield from map(Remark, remarks)
    return Lessons(settings, taught, captions, prior)


def draw_class_pictures(
    pipe: StableDiffusionPipeline, settings: CaptionedSettings
) -> Generator[Event, None, list[Path]]:
    """The class's pictures as the model draws them; those that are there already are kept."""
    specs = plan_class_pictures(pipe, settings)
    for file in list_unfinished(specs):
        write_picture((yield from draw_prompted(pipe, specs[file])), file, specs[file])
        yield PictureWritten(file)
    return list(specs)


def plan_class_pictures(pipe: StableDiffusionPipeline, settings: CaptionedSettings) -> dict[Path, PromptedPicture]:
    """What each of the class's pictures is, by its file; none without a class."""
    classes, seed = settings.class_pictures, settings.loop.seed
    count = 0 if classes.class_prompt is None else classes.class_images
    return {
        settings.output / CLASS / f"{i:05d}.png": _specify_class_picture(pipe, settings, seed + i) for i in range(count)
    }


def list_unfinished(specs: Mapping[Path, PromptedPicture]) -> list[Path]:
    """The files that are still to be drawn."""
    return [file for file, spec in specs.items() if read_state(file, spec) != "finished"]


def _specify_class_picture(pipe: StableDiffusionPipeline, settings: CaptionedSettings, seed: int) -> PromptedPicture:
    classes = settings.class_pictures
    _, height, width = pipe.latent_shape(settings.height, settings.width)
    factor = pipe.vae.config.factor
    return PromptedPicture(
        model=identify_model(settings.model, pipe),
        width=width * factor,
        height=height * factor,
        prompt=classes.class_prompt or "",
        steps=classes.class_steps,
        guidance=classes.class_guidance,
        seed=seed,
    )


def _hash_all_pixels(files: Sequence[Path]) -> str:
    """SHA-256 over the pixels of pictures; what their files say beside them does not count."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(hash_pixels(images.open_image(file)).encode())
    return digest.hexdigest()
