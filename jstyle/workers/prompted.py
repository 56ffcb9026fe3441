"""The worker that draws pictures of prompts, on a model that something learnt may be put on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jstyle.events import exhaust
from jstyle.pictures.finished import write_picture
from jstyle.pictures.spec import PromptedPicture, check_model
from jstyle.pipelines.prompted import draw_prompted
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.settings.model import ModelSettings
from jstyle.settings.reader import build
from jstyle.training.teaching.attaching import attach_all


class PromptedPictureWorker:
    """Holds one pipeline, built of the fields of `ModelSettings`.

    A task's data are ``spec``, a plain `PromptedPicture`, ``files``, where its adapters lie by their identities, and
    ``output``, the picture's file.
    """

    def __init__(self, **model: Any) -> None:
        self._pipe = StableDiffusionPipeline.from_settings(build(ModelSettings, model, "model"))

    def run(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Write the picture. Returns the hash of its pixels."""
        spec = build(PromptedPicture, data["spec"], "picture")
        check_model(spec.model, self._pipe)
        with attach_all(self._pipe, spec.adapters, {name: Path(file) for name, file in data["files"].items()}):
            picture = exhaust(draw_prompted(self._pipe, spec))
        return {"pixels": write_picture(picture, Path(data["output"]), spec)}
