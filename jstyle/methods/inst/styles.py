"""Learnt styles: the folder of a training, or a picture, whose training is found or made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import List

from PIL import Image

from jstyle.errors import InputError
from jstyle.files import hash_files
from jstyle.methods.inst import files as inst_files
from jstyle.methods.inst import training as inst
from jstyle.methods.inst.files import LearntStyle
from jstyle.pictures import images
from jstyle.training.teaching.settings import InstTrainSettings

Settings = Callable[[Path, Path], InstTrainSettings]
Train = Callable[[InstTrainSettings], Path]


@dataclass(frozen=True)
class Style:
    """A learnt style: where the user named it, its picture, and the hash of both its files."""

    path: Path
    picture: Image.Image
    learnt: LearntStyle
    digest: str


def prepared(paths: Sequence[Path], folder: Path, settings: Settings, train: Train, model_hash: str) -> List[Style]:
    """A ``Style`` for each path: a folder of a finished training, or a picture.

    A picture's training lies in ``folder``, named by the picture's hash; ``settings(picture, folder)`` are those it
    should have. Where it is not finished, ``train`` is asked to. Raises InputError for a folder without a training and
    a picture that cannot be read, before anything is trained, and for a training of this picture with other settings.
    """
    several = list(dict.fromkeys(paths))
    for path in several:  # all of them are looked at before the first one is trained
        if path.is_dir():
            opened(path, path)
        else:
            images.open_image(path)
    found = []
    for path in several:
        own = path
        if not path.is_dir():
            own = folder / hash_files([path])[:16]
            wanted = settings(path, own)
            if not finished(own, wanted, model_hash):
                train(wanted)
        found.append(opened(path, own))
    return found


def finished(folder: Path, settings: InstTrainSettings, model_hash: str) -> bool:
    """Whether the folder holds the result of this very training, on this model."""
    try:
        images.open_image(folder / inst.PICTURE)
        about = inst_files.read(folder).about
    except InputError:  # nothing there, or damaged: the training writes it again
        return False
    told = inst.described(inst.acting(settings))
    wanted = {"picture": hash_files(settings.data), "model": model_hash, "settings": told}
    return {name: about.get(name) for name in wanted} == wanted


def opened(path: Path, folder: Path) -> Style:
    """The style in a training's folder. Raises InputError where it is not whole."""
    learnt = inst_files.read(folder)
    picture = images.open_image(folder / inst.PICTURE)
    return Style(path, picture, learnt, hash_files([folder / inst_files.FILE, folder / inst.PICTURE]))
