"""Imagic on pictures: edits from Python, and the run of the command."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Optional, Union

import numpy as np
from PIL import Image

from jstyle.errors import InputError, InputWarning
from jstyle.events import Evaluated, Event, PictureFound, Planned, Remark, Updated, closing
from jstyle.files import check_output
from jstyle.methods.constructing import require_parts
from jstyle.methods.imagic.files import ImagicFiles
from jstyle.methods.imagic.settings import ETAS, ImagicInputs, ImagicSettings, require_etas
from jstyle.methods.imagic.stages import Stages
from jstyle.methods.pairs import NOT_FINITE, split_batches
from jstyle.methods.table import Method
from jstyle.pictures import images
from jstyle.pictures.finished import hash_pixels
from jstyle.pictures.fitting import Size
from jstyle.pictures.spec import PictureSpec, identify_model
from jstyle.pipelines.cost import CountingPipeline, count_evaluations
from jstyle.pipelines.prompted import tell_evaluations
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.pipelines.starts import FromNoise
from jstyle.runtime import jt
from jstyle.settings.messages import Where
from jstyle.settings.model import ModelSettings
from jstyle.settings.reader import read_value
from jstyle.training.teaching.tuning import require_teachable
from jstyle.training.teaching.whole_networks import open_whole_model

Made = tuple[int, Optional[Image.Image]]
"""An eta's place, and its picture, or None where that is not finite."""


class Imagic:
    """Edits a picture by a text (arXiv 2210.09276).

    >>> from pathlib import Path
    >>> import jstyle
    >>> from PIL import Image
    >>> pipe = jstyle.StableDiffusionPipeline.from_pretrained("tiny")
    >>> few = jstyle.LoopSettings(steps=2, rate=1e-3)
    >>> settings = jstyle.ImagicSettings(embedding_loop=few, unet_loop=few, steps=4, guidance=3.0)
    >>> picture = Image.open("samples/content/house_by_the_sea.png")
    >>> near, far = jstyle.Imagic(pipe, settings)(picture, "a castle by the sea", etas=(0.5, 1.0))
    >>> far.size
    (128, 128)

    Afterwards the pipeline is as it was, to the bit. Raises InputError for a size that the model cannot take, and for a
    UNet that cannot be tuned as it is loaded.
    """

    def __init__(
        self,
        pipe: StableDiffusionPipeline,
        settings: ImagicSettings = ImagicSettings(),  # noqa: B008  (frozen)
    ) -> None:
        require_parts("Imagic", pipe, StableDiffusionPipeline, settings, ImagicSettings)
        if pipe.unet.dtype == "bfloat16":
            raise InputError("bf16 is too coarse to learn in; load the model in fp32")
        if pipe.unet.config.has_addition:
            raise InputError("Imagic learns what a UNet reads of one text, and SDXL's reads more: take SD 1.x or 2.x")
        self._pipe = require_teachable(pipe, "the model")
        self._settings = settings
        for line in settings.describe_unused():
            warnings.warn(line, InputWarning, stacklevel=2)
        self._frame = pipe.make_frame(settings.width, settings.height, settings.fit)

    def __call__(
        self, image: Image.Image, prompt: str, etas: Sequence[float] = ETAS, folder: Union[str, Path, None] = None
    ) -> list[Image.Image]:
        """A picture for each eta, from -1 to 2: 0 is the picture as it was learnt, 1 what the text makes of it.

        The trainings are kept in ``folder``, where another call finds them; by default nowhere. Raises InputError for
        arguments that are none of these, and where a result is not finite.
        """
        image, etas, folder = images.require_rgb(image), _read_etas(etas), _read_folder(folder)
        prompt = read_value(str, prompt, Where(path="prompt"))
        with TemporaryDirectory() as temporary:
            events = self.edit(image, prompt, etas, range(len(etas)), Path(temporary) if folder is None else folder)
            made = dict(event for event in events if isinstance(event, tuple))
        pictures = [made[place] for place in range(len(etas))]
        finite = [picture for picture in pictures if picture is not None]
        if len(finite) < len(pictures):
            raise InputError(NOT_FINITE)
        return finite

    def edit(
        self, image: Image.Image, prompt: str, etas: Sequence[float], wanted: Sequence[int], folder: Path
    ) -> Iterator[Union[Updated, Evaluated, Made]]:
        """Learn what ``folder`` has not yet, and draw the etas at these places. Closing it writes a checkpoint."""
        pipe, fitted = self._pipe, self._frame.fit(image)
        stages = Stages(self._settings, pipe, pipe.unet.dtype, hash_pixels(fitted), prompt, folder)
        latents = np.array(pipe.encode_images(jt.array(images.to_array([fitted]))).numpy())
        optimised = yield from stages.optimise_embedding(pipe, latents)
        text = np.array(pipe.encode_texts(prompt).numpy())
        with ExitStack() as stack:
            yield from stages.tune_network(stack, pipe, latents, optimised)
            embeddings = interpolate(text, optimised, [etas[place] for place in wanted])
            yield from self.draw(dict(zip(wanted, embeddings)), fitted.size)

    def draw(self, embeddings: Mapping[int, np.ndarray], size: Size) -> Iterator[Union[Evaluated, Made]]:
        """A picture of (width, height) for each embedding (tokens, hidden_size), all from one noise."""
        settings, (width, height) = self._settings, size
        for batch in split_batches(list(embeddings), settings.batch_size):
            steps = self._pipe.sample(
                jt.array(np.stack([embeddings[place] for place in batch])),
                FromNoise(height, width),
                steps=settings.steps,
                guidance=settings.guidance,
                negative_prompt=settings.negative_prompt,
                seeds=[settings.seed] * len(batch),
                sampler=settings.sampler,
                output_type="latent",
            )
            latents = (yield from tell_evaluations(steps, "pictures")).images
            for place, row in zip(batch, latents):
                decoded = self._pipe.decode_latents(jt.array(row[None]))
                yield place, images.to_images(decoded)[0] if np.isfinite(decoded).all() else None


def _read_etas(etas: Sequence[float]) -> tuple[float, ...]:
    read = read_value(tuple[float, ...], etas.tolist() if isinstance(etas, np.ndarray) else etas, Where(path="etas"))
    try:
        require_etas("etas", read)
    except ValueError as error:
        raise InputError(str(error)) from None
    return read


def _read_folder(folder: Union[str, Path, None]) -> Optional[Path]:
    read: Optional[Path] = read_value(Optional[Path], folder, Where(path="folder"))
    if read is not None:
        check_output(read)
    return read


def interpolate(text: np.ndarray, optimised: np.ndarray, etas: Sequence[float]) -> np.ndarray:
    """eta text + (1 - eta) optimised (equation 3): (etas, tokens, hidden_size) of two (1, tokens, hidden_size)."""
    shares = np.asarray(etas, np.float32)[:, None, None]
    return shares * text + (1 - shares) * optimised


def run_imagic(method: Method, inputs: ImagicInputs, settings: ImagicSettings, model: ModelSettings) -> Iterator[Event]:
    """Learn the picture, draw every eta, a file each, and a sheet of them; what is learnt or drawn already is kept.

    The model is loaded where there is anything to make. Raises InputError where nothing can be made, or where a
    picture's file is something else.
    """
    check_output(inputs.output)
    if model.precision == "bf16":
        raise InputError("precision must be fp32 or fp16 for Imagic, not bf16: it learns")
    remarks: list[str] = []
    image = images.open_image(inputs.image, remarks.append)
    counting = CountingPipeline.from_settings(model)
    frame = counting.make_frame(settings.width, settings.height, settings.fit)
    remarks += frame.describe_losses({str(inputs.image): image.size})
    yield from map(Remark, remarks)
    files = ImagicFiles(inputs, PictureSpec(method.name, identify_model(model, counting), settings, None))
    unfinished = files.list_unfinished()
    folder, fitted = inputs.trainings or inputs.output / "trainings", frame.fit(image)
    stages = Stages(settings, counting, counting.unet.dtype, hash_pixels(fitted), inputs.prompt, folder)
    nothing = dict.fromkeys(unfinished, np.zeros((1, 1), np.float32))
    evaluations = count_evaluations(lambda pipe: Imagic(pipe, settings).draw(nothing, fitted.size), counting)
    updates = stages.count_updates() if unfinished else 0
    yield from map(PictureFound, files.list_finished(unfinished))
    yield Planned(len(inputs.eta), len(inputs.eta) - len(unfinished), evaluations, updates)

    def edit() -> Iterator[Union[Updated, Evaluated, Made]]:
        pipe = load_model(settings, model)
        return Imagic(pipe, settings).edit(image, inputs.prompt, inputs.eta, unfinished, folder)

    with closing(edit() if unfinished else ()) as events:
        for event in events:
            yield files.write(*event) if isinstance(event, tuple) else event
    files.write_sheet(fitted)
    yield Remark(f"pictures are in {inputs.output}")


def load_model(settings: ImagicSettings, model: ModelSettings) -> StableDiffusionPipeline:
    """The model that is to learn; of one whose UNet is tuned, the weights are in fp32, whatever it computes in."""
    return open_whole_model(model) if settings.tune == "unet" else StableDiffusionPipeline.from_settings(model)
