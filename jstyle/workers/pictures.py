"""The worker that makes the pictures of recipes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jstyle.competition.making import PictureMaker, take_picture
from jstyle.competition.spec import read_spec
from jstyle.pictures.finished import write_picture
from jstyle.pictures.spec import check_model
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.settings.model import ModelSettings
from jstyle.settings.reader import build
from jstyle.training.teaching.attaching import attach_all


class PictureWorker:
    """Holds one pipeline, built of the fields of `ModelSettings`; a task's data is what
    `jstyle.competition.tasks.PictureTask` makes.
    """

    def __init__(self, **model: Any) -> None:
        self.pipe = StableDiffusionPipeline.from_settings(build(ModelSettings, model, "model"))
        self._maker = PictureMaker(self.pipe)

    def run(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Write the picture. Returns the hash of its pixels."""
        spec = read_spec(data["spec"])
        files = {name: Path(path) for name, path in data["files"].items()}
        check_model(spec.model, self.pipe)
        with attach_all(self.pipe, spec.adapters, files):
            picture = take_picture(self._maker.make(spec, files))
        return {"pixels": write_picture(picture, Path(data["output"]), spec)}
