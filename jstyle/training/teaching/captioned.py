"""What LoRA and DreamBooth learn from: captioned pictures, and pictures of the class that must not be forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np
from tqdm import tqdm

from jstyle.pictures import images
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.training.draws import generator
from jstyle.training.teaching import examples, tuning
from jstyle.training.teaching.settings import CaptionedSettings
from jstyle.training.teaching.tuning import Batch, Pictures

CLASS = "class"  # the folder of the class's pictures


@dataclass(frozen=True)
class Lessons:
    """Captioned pictures, and those of the class, where there are any."""

    settings: CaptionedSettings
    own: Pictures
    captions: List[str]
    prior: Optional[Pictures]

    def batch(self, index: int) -> Batch:
        """The batch of this index: pictures and as many of the class."""
        settings = self.settings
        which, latents = tuning.chosen(self.own, settings, index)
        dropped = generator(settings.loop.seed, index, "dropped").random(len(which)) < settings.caption_dropout
        said = ["" if gone else self.captions[i] for i, gone in zip(which, dropped)]
        if self.prior is None:
            return Batch(latents, said, np.ones(len(which)))
        _, more = tuning.chosen(self.prior, settings, index, "prior")
        # the mean over both halves, times 2, is the sum of their means (equation 2)
        weights = 2 * np.repeat([1.0, settings.prior_weight], len(which))
        return Batch(np.concatenate([latents, more]), said + [settings.class_prompt or ""] * len(which), weights)

    def identity(self) -> Dict[str, Any]:
        """What tells these lessons apart."""
        told: Dict[str, Any] = {"pictures": examples.fingerprint(self.own.files, self.captions)}
        if self.prior is not None:
            told["class_pictures"] = examples.fingerprint(self.prior.files, self.prior.names)
        return told


def lessons(pipe: StableDiffusionPipeline, settings: CaptionedSettings) -> Lessons:
    """Read and encode everything, drawing the pictures of the class first."""
    files = images.find_images(settings.data)
    captions = [
        examples.filled(settings.prompt, name=name, article=examples.article(name)) for name in examples.names(files)
    ]
    prior = None
    if settings.class_prompt is not None:
        prior = tuning.pictures(pipe, settings, draw_class(pipe, settings))
    return Lessons(settings, tuning.pictures(pipe, settings, files), captions, prior)


def draw_class(pipe: StableDiffusionPipeline, settings: CaptionedSettings) -> List[Path]:
    """The class's pictures as the model draws them; those that are there already are kept."""
    files = []
    (settings.output / CLASS).mkdir(parents=True, exist_ok=True)
    for i in tqdm(range(settings.class_images), "class", unit="picture", mininterval=1):
        files.append(settings.output / CLASS / f"{i:05d}.png")
        seed = settings.loop.seed + i
        made = {
            "prompt": settings.class_prompt,
            "seed": seed,
            "steps": settings.validation_steps,
            "guidance": settings.guidance,
            "model_hash": pipe.model_hash,
        }
        if files[-1].is_file() and images.read_metadata(files[-1]) == made:
            continue
        size = (settings.height, settings.width)
        (picture,) = pipe(
            settings.class_prompt or "", *size, settings.validation_steps, settings.guidance, seed=seed
        ).images
        images.save_png(picture, files[-1], made)
    return files
