"""Prompt-to-Prompt on pictures: edits from Python, and the run of the command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
from PIL import Image

from jstyle.errors import InputError
from jstyle.events import Evaluated, Event, PictureFound, Planned, Remark, Updated, closing
from jstyle.files import check_output, fit_name, hash_files
from jstyle.methods.constructing import require_parts
from jstyle.methods.pairs import NOT_FINITE, publish
from jstyle.methods.prompt_to_prompt.method import SOURCE, PromptToPromptOnLatents
from jstyle.methods.prompt_to_prompt.plan import fill_levels
from jstyle.methods.prompt_to_prompt.settings import EditInputs, EditSubject, PromptToPromptSettings
from jstyle.methods.prompt_to_prompt.words import choose_targets
from jstyle.methods.table import Method
from jstyle.pictures import images
from jstyle.pictures.finished import is_finished
from jstyle.pictures.spec import PictureSpec, identify_model
from jstyle.pipelines.cost import CountingPipeline, count_evaluations
from jstyle.pipelines.opening import open_pipeline
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.settings.model import ModelSettings

Editing = Iterator[Union[Evaluated, Updated, tuple[int, Optional[Image.Image]]]]


class PromptToPrompt:
    """Edits a picture by changing words of its text (arXiv 2208.01626).

    >>> import jstyle
    >>> pipe = jstyle.StableDiffusionPipeline.from_pretrained("tiny")
    >>> settings = jstyle.PromptToPromptSettings(steps=4, guidance=3.0)
    >>> edit = jstyle.PromptToPrompt(pipe, settings)
    >>> red, blue = edit("a red house by the sea", ["a blue house by the sea"], seed=7)
    >>> blue.size
    (128, 128)

    Raises InputError for a size and layers that the model does not have.
    """

    def __init__(
        self,
        pipe: StableDiffusionPipeline,
        settings: PromptToPromptSettings = PromptToPromptSettings(),  # noqa: B008  (frozen)
    ) -> None:
        require_parts("PromptToPrompt", pipe, StableDiffusionPipeline, settings, PromptToPromptSettings)
        self._pipe = pipe
        self._settings = fill_levels(settings, pipe)
        self._frame = pipe.make_frame(settings.width, settings.height, settings.fit)

    def __call__(
        self,
        prompt: str,
        targets: Sequence[str] = (),
        *,
        seed: Optional[int] = None,
        image: Optional[Image.Image] = None,
    ) -> list[Image.Image]:
        """The source and its edits, one a target; without targets the source's own words are reweighted.

        The source is generated, with the noise of ``seed``, by default the settings', or it is ``image``, which
        ``prompt`` describes: that comes back as the autoencoder keeps it. Raises InputError for words that are not in
        the texts, and where a result is not finite.
        """
        texts = choose_targets(self._settings, prompt, targets)
        seed = self._settings.seed if seed is None else seed
        made = self.edit(prompt, texts, range(len(texts) + 1), seed=seed, image=image)
        pictures = dict(event for event in made if isinstance(event, tuple))
        finite = [picture for _, picture in sorted(pictures.items()) if picture is not None]
        if len(finite) <= len(texts):
            raise InputError(NOT_FINITE)
        return finite

    def edit(
        self,
        prompt: str,
        targets: Sequence[str],
        wanted: Sequence[int],
        *,
        seed: int,
        image: Optional[Image.Image],
        null_texts: Optional[Path] = None,
    ) -> Editing:
        """(number, picture) of those that are wanted, the source being 0; None in place of one that is not finite.

        ``null_texts`` is the folder that keeps optimised null texts.
        """
        clean = None if image is None else self._encode(image)
        shape = self._pipe.latent_shape(self._frame.height, self._frame.width)
        on_latents = PromptToPromptOnLatents(
            self._pipe, self._settings, prompt, targets, shape=shape, seed=seed, clean=clean, null_texts=null_texts
        )
        with closing(on_latents.edit(wanted)) as events:
            for event in events:
                if not isinstance(event, tuple):
                    yield event
                    continue
                number, latents = event
                decoded = self._pipe.decode_latents(jt.array(latents[None]))
                yield number, images.to_images(decoded)[0] if np.isfinite(decoded).all() else None

    def _encode(self, picture: Image.Image) -> np.ndarray:
        pixels = jt.array(images.to_array([self._frame.fit(picture)]))
        return np.array(self._pipe.encode_images(pixels).numpy())[0]


def run_prompt_to_prompt(
    method: Method, inputs: EditInputs, settings: PromptToPromptSettings, model: ModelSettings
) -> Iterator[Event]:
    """Make the source's picture and the edits that are not there yet. The model is loaded where there are any.

    Raises InputError where nothing can be made, or where a picture's file is something else.
    """
    targets = choose_targets(settings, inputs.prompt, inputs.target)
    check_output(inputs.output)
    remarks: list[str] = []
    image = None if inputs.image is None else images.open_image(inputs.image, remarks.append)
    counting = CountingPipeline.from_settings(model)
    filled = fill_levels(settings, counting)
    if image is not None:
        frame = counting.make_frame(settings.width, settings.height, settings.fit)
        remarks += frame.describe_losses({str(inputs.image): image.size})
    yield from map(Remark, remarks)
    common = PictureSpec(method.name, identify_model(model, counting), filled, None)
    specs = list_specs(common, inputs, settings, targets)
    paths = list(specs)
    unfinished = [
        number for number, path in enumerate(paths) if not is_finished(path, specs[path], overwrite=inputs.overwrite)
    ]

    def edit(pipe: StableDiffusionPipeline, null_texts: Optional[Path] = None) -> Editing:
        method = PromptToPrompt(pipe, settings)
        seed = settings.seed
        return method.edit(inputs.prompt, targets, unfinished, seed=seed, image=image, null_texts=null_texts)

    updates = settings.steps * settings.null_text if any(number != SOURCE for number in unfinished) else 0
    yield from (PictureFound(path) for number, path in enumerate(paths) if number not in unfinished)
    yield Planned(len(specs), len(specs) - len(unfinished), count_evaluations(edit, counting), updates)
    loaded = open_pipeline(model) if unfinished else None
    with closing(edit(loaded, inputs.null_texts) if loaded else ()) as events:
        for event in events:
            if not isinstance(event, tuple):
                yield event
                continue
            number, picture = event
            yield publish(picture, paths[number], specs[paths[number]], overwrite=inputs.overwrite)
    yield Remark(f"pictures are in {inputs.output}")


def list_specs(
    common: PictureSpec, inputs: EditInputs, settings: PromptToPromptSettings, targets: Sequence[str]
) -> dict[Path, PictureSpec]:
    """What each picture is, by its file, the source first: SEED_source.png, SEED_edit1.png, or PICTURE_source.png."""
    source: dict[str, Any] = {"seed": settings.seed}
    stem = f"{settings.seed:05d}"
    if inputs.image is not None:
        source = {"image": hash_files([inputs.image]), "image_file": str(inputs.image)}
        stem = inputs.image.stem
    subjects = [EditSubject(inputs.prompt, target, **source) for target in (None, *targets)]
    names = [f"{stem}_{'source' if number == SOURCE else f'edit{number}'}" for number in range(len(subjects))]
    return {
        inputs.output / fit_name(name, ".png"): replace(common, subject=subject)
        for name, subject in zip(names, subjects)
    }
