"""The worker that makes a submission's pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
from PIL import Image

from jstyle.competition.recipe import Methods
from jstyle.errors import InputError
from jstyle.pictures import finished as pictures
from jstyle.pictures import images
from jstyle.pipelines.image_to_image import StableDiffusionImg2ImgPipeline
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.workers import adapters, finishes, sets
from jstyle.workers import training as trainers

WORKER = "jstyle.workers.pictures:PictureMaker"
PACKAGES = ("jstyle", "styleid", "style_align", "jstyle/workers")
"""Whose sources decide what a picture looks like."""


def methods() -> Methods:
    """What a recipe may ask for."""
    return Methods(finishes.METHODS, tuple(adapters.LOADERS), sets.METHODS, trainers.METHODS)


class PictureMaker:
    """Holds one pipeline; a task's data is what `jstyle.competition.tasks` makes."""

    def __init__(
        self,
        model: str,
        revision: Optional[str] = None,
        variant: Optional[str] = None,
        precision: str = "fp32",
        backend: str = "native",
    ) -> None:
        self._pipe = StableDiffusionPipeline.from_pretrained(
            model, revision=revision, variant=variant, precision=precision, backend=backend
        )
        self._sets = sets.Sets(self._pipe)

    def run(self, data: Mapping[str, Any]) -> Dict[str, Any]:
        """Write the picture. Returns the hash of its pixels."""
        meaning, files = data["meaning"], data["files"]
        if meaning["model_hash"] != self._pipe.model_hash:
            raise InputError("the checkpoint is another than when the job was planned; run the command again")
        with adapters.attached(self._pipe, meaning["adapters"], files):
            picture = self._picture(meaning, files)
            picture = self._finished(picture, meaning, files)
        return {"pixels": pictures.save(picture, Path(data["output"]), meaning, data["code"])}

    def _picture(self, meaning: Mapping[str, Any], files: Mapping[str, str]) -> Image.Image:
        size, start = (meaning["width"], meaning["height"]), None
        strength = 1.0
        if meaning["start"] is not None:
            start = mean_picture(opened(meaning["start"]["mean_of"], files), size)
            strength = meaning["start"]["strength"]
        if meaning.get("set") is not None:
            return self._sets.picture(meaning, files, start)
        common: Dict[str, Any] = {
            "num_inference_steps": meaning["steps"],
            "guidance_scale": meaning["guidance"],
            "negative_prompt": meaning["negative_prompt"],
            "eta": meaning["eta"],
            "seed": meaning["seed"],
            "sampler": meaning["sampler"],
        }
        if start is None:
            return self._pipe(meaning["prompt"], width=size[0], height=size[1], **common).images[0]
        pipe: Any = StableDiffusionImg2ImgPipeline.from_pipe(self._pipe)
        return pipe(meaning["prompt"], image=start, strength=strength, **common).images[0]

    def _finished(self, picture: Image.Image, meaning: Mapping[str, Any], files: Mapping[str, str]) -> Image.Image:
        finish = meaning["finish"]
        if finish is None:
            return picture
        references = opened(finish["references"], files)
        reference = finishes.chosen(finish["reference"], references, picture, meaning["seed"])
        return finishes.APPLY[finish["method"]](self._pipe, picture, reference, finish["settings"])


def mean_picture(several: Sequence[Image.Image], size: Tuple[int, int]) -> Image.Image:
    """The pixelwise mean of pictures, each cropped and scaled to (width, height)."""
    pixels = [np.asarray(images.fit(one, *size), np.float64) for one in several]
    return Image.fromarray(np.rint(np.mean(pixels, axis=0)).astype(np.uint8))


def opened(hashes: Sequence[str], files: Mapping[str, str]) -> List[Image.Image]:
    """The pictures of these hashes, in order."""
    return [images.open_image(Path(files[digest])) for digest in hashes]
