"""Trains a ControlNet (arXiv 2302.05543, section 3.3): the UNet stands still, and the net learns to steer it."""

from __future__ import annotations

import hashlib
import shutil
import warnings
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np
from PIL import Image

from jstyle.errors import InputError
from jstyle.events import Event, Remark
from jstyle.files import replacing
from jstyle.networks import ControlNetModel
from jstyle.pictures import images
from jstyle.pictures.colours import Tell
from jstyle.pictures.control_maps import make_map, scale_maps
from jstyle.pipelines.controls import Controls, ShownControl
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.training.loss import Question
from jstyle.training.teaching import captioned, examples, tuning
from jstyle.training.teaching.controlnet.settings import ControlNetSettings
from jstyle.training.teaching.cost import count_work
from jstyle.training.teaching.tuning import Answer, Batch, EncodedPictures

FOLDER = "controlnet"


@dataclass(frozen=True)
class SteeredLessons:
    """Pictures with a caption and a map each; maps (pictures, 1 or 3, height, width) are of 8 bits."""

    settings: ControlNetSettings
    taught: EncodedPictures
    captions: list[str]
    maps: np.ndarray

    def make_batch(self, index: int) -> Batch:
        """The batch of this index. Where a picture is shown mirrored its map is, too."""
        indices, latents = tuning.draw_batch(self.taught, self.settings, index)
        captions = captioned.drop_captions(self.captions, indices, self.settings, index)
        mirrored = tuning.draw_mirrored(self.settings, index)
        maps = [self.maps[i][..., ::-1] if flipped else self.maps[i] for i, flipped in zip(indices, mirrored)]
        return Batch(latents, captions, np.ones(len(indices)), scale_maps(np.stack(maps)))

    def steer(self, net: ControlNetModel, number: int) -> Controls:
        """What steers validation picture ``number``: the map of the picture of that number, counted round."""
        shown = np.repeat(self.maps[number % len(self.maps)].transpose(1, 2, 0), 3 // self.maps.shape[1], axis=-1)
        return Controls((ShownControl(net, (Image.fromarray(shown),)),))

    def identity(self) -> dict[str, Any]:
        """What tells these lessons apart."""
        pictures = examples.hash_examples(self.taught.files, self.captions)
        return {"pictures": pictures, "maps": hashlib.sha256(self.maps.tobytes()).hexdigest()}


def train_controlnet(
    settings: ControlNetSettings, pipe: Optional[StableDiffusionPipeline] = None
) -> Generator[Event, None, Path]:
    """Train and write the folder ``controlnet``, whose path is returned.

    ``pipe`` is the settings' model where it is loaded already; afterwards it is as it was. Raises InputError for what
    cannot be. Closing the run writes a checkpoint, from which the next one goes on.
    """
    pipe = tuning.open_model(settings, pipe)
    net = start_net(pipe, settings)
    yield count_work(pipe, settings)
    lessons = yield from prepare_lessons(pipe, settings)
    parameters = {f"{FOLDER}.{name}": parameter for name, parameter in net.named_parameters()}
    read = tuning.make_constant_reader(pipe)
    more = {"answer": make_answer(pipe, net), "steer": lambda number: lessons.steer(net, number)}
    state = yield from tuning.tune(pipe, settings, parameters, lessons.make_batch, read, lessons.identity(), **more)
    with state.averaged():
        return write_net(net, settings)


def make_answer(pipe: StableDiffusionPipeline, net: ControlNetModel) -> Answer:
    """What the UNet answers where the net steers it by a batch's maps."""

    def answer(question: Question, text: jt.Var, batch: Batch) -> jt.Var:
        times = question.times.tolist()
        down, middle = net(question.x, times, text, batch.maps, return_dict=False)
        more = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        return pipe.unet(question.x, times, text, **more).sample

    return answer


def start_net(pipe: StableDiffusionPipeline, settings: ControlNetSettings) -> ControlNetModel:
    """The copy of the UNet that is to learn. Raises InputError where its maps would not come down to the latents."""
    net = ControlNetModel.from_unet(
        pipe.unet, conditioning_embedding_out_channels=settings.widths, seed=settings.loop.seed
    )
    if net.config.factor != pipe.vae.config.factor:
        levels = pipe.vae.config.factor.bit_length()
        raise InputError(f"widths must name {levels} layers for this model's latents, not {len(settings.widths)}")
    net.compute_dtype = pipe.unet.dtype
    if settings.recompute:
        net.enable_gradient_checkpointing()
    return net


def prepare_lessons(
    pipe: StableDiffusionPipeline, settings: ControlNetSettings
) -> Generator[Event, None, SteeredLessons]:
    """Read and encode the pictures, and make their maps."""
    remarks: list[str] = []
    files = images.find_images(settings.data, remarks.append)
    captions = examples.write_captions(files, settings.prompt)
    maps = make_maps(pipe, settings, find_sources(files, settings.maps), remarks.append)
    taught = tuning.encode_pictures(pipe, settings, files, remarks.append)
    yield from map(Remark, remarks)
    return SteeredLessons(settings, taught, captions, maps)


def find_sources(files: Sequence[Path], maps: Optional[Path]) -> list[Path]:
    """What each picture's map is made of: itself, or the picture of its name in the folder ``maps``.

    Raises InputError for a picture that has none there.
    """
    if maps is None:
        return list(files)
    known = {file.stem: file for file in images.find_images((maps,))}
    for file in files:
        if file.stem not in known:
            raise InputError(f"maps: {str(maps)!r} has no picture of the name {file.stem!r}, which {file} needs")
    return [known[file.stem] for file in files]


def make_maps(
    pipe: StableDiffusionPipeline, settings: ControlNetSettings, files: Sequence[Path], tell: Tell = warnings.warn
) -> np.ndarray:
    """The maps at the settings' size, (pictures, channels, height, width) uint8; one channel where all are grey."""
    frame = pipe.make_frame(settings.width, settings.height, settings.fit)
    maps = []
    for file in files:
        fitted = frame.fit(images.open_image(file, tell))
        shown = np.asarray(fitted if settings.preprocess is None else make_map(fitted, settings.preprocess))
        grey = (shown == shown[..., :1]).all()
        maps.append(shown[..., :1] if grey else shown)
    channels = max(one.shape[-1] for one in maps)
    wide = [one if one.shape[-1] == channels else np.repeat(one, channels, axis=-1) for one in maps]
    return np.ascontiguousarray(np.stack(wide).transpose(0, 3, 1, 2))


def write_net(net: ControlNetModel, settings: ControlNetSettings) -> Path:
    """Write the net's folder, in the place of an earlier one of this run; returns its path."""
    folder = settings.output / FOLDER
    dtype = "float16" if settings.save_precision == "fp16" else "float32"
    shutil.rmtree(folder, ignore_errors=True)
    with replacing(folder) as part:
        part.mkdir(parents=True, exist_ok=True)
        net.write(part, dtype)
    return folder
