"""Learnt styles: the folder of a training, or a picture, whose training is found or made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from PIL import Image

from jstyle.adapters.inst_words import PICTURE, hash_style
from jstyle.errors import InputError
from jstyle.events import Event, Remark
from jstyle.files import hash_files
from jstyle.holding import held
from jstyle.methods.inst import files as inst_files
from jstyle.methods.inst import training as inst_training
from jstyle.methods.inst.encoder import hash_image_encoder
from jstyle.methods.inst.files import LearntStyle
from jstyle.methods.inst.settings import InstTrainSettings
from jstyle.pictures import images
from jstyle.pictures.spec import Identifiable
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline


@dataclass(frozen=True)
class Style:
    """A learnt style: where the user named it, its training's folder, its picture, and the hash of both its files."""

    path: Path
    folder: Path
    picture: Image.Image
    learnt: LearntStyle
    digest: str


def plan_trainings(
    paths: Sequence[Path], folder: Path, settings: Callable[[Path, Path], InstTrainSettings]
) -> dict[Path, Optional[InstTrainSettings]]:
    """How each picture's style is to be learnt, None for the folder of a training; each path once, in order.

    A picture's training lies in ``folder``, named by the picture's hash; ``settings(picture, folder)`` are those of
    the training, which is not begun. Raises InputError for a folder without a training, a picture that cannot be
    read, and settings with which nothing can be learnt.
    """
    trainings: dict[Path, Optional[InstTrainSettings]] = {}
    for path in dict.fromkeys(paths):
        if path.is_dir():
            read_style(path, path)
            trainings[path] = None
        else:
            images.open_image(path)
            trainings[path] = settings(path, folder / hash_files([path])[:16])
    return trainings


def learn_style(path: Path, settings: InstTrainSettings, pipe: StableDiffusionPipeline) -> Iterator[Event]:
    """Learn the style of the picture at ``path``. ``pipe`` is the settings' model.

    Raises InputError for a training of this picture with other settings.
    """
    yield Remark(f"learning the style of {path} in {settings.output}")
    with held(settings.output):
        yield from inst_training.train_inst(settings, pipe)


def is_learnt(settings: InstTrainSettings, model: Identifiable) -> bool:
    """Whether the output folder holds the result of this very training, on this model."""
    try:
        images.open_image(settings.output / PICTURE)
        about = inst_files.read(settings.output).about
    except InputError:  # nothing there, or damaged: the training writes it again
        return False
    wanted = {
        "picture": hash_files(settings.data),
        "model": model.model_hash,
        "configuration": model.configuration,
        "image_encoder": hash_image_encoder(settings),
        "settings": inst_training.describe_training(settings),
    }
    return {name: about.get(name) for name in wanted} == wanted


def read_style(path: Path, folder: Path) -> Style:
    """The style in a training's folder. Raises InputError where it is not whole."""
    learnt = inst_files.read(folder)
    picture = images.open_image(folder / PICTURE)
    return Style(path, folder, picture, learnt, hash_style(folder))
