"""What a job must know of a checkpoint before any process loads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional

from jstyle.errors import InputError
from jstyle.files import hash_files
from jstyle.settings.model import ModelSettings
from jstyle.settings.vocabulary import Operations
from jstyle.table import load_attribute

if TYPE_CHECKING:
    from jstyle.weights.model_files import ModelFiles

_USUAL_SIDE = 512


@dataclass(frozen=True)
class Checkpoint:
    """A model as it is on disk."""

    model: Optional[ModelFiles]
    """None where it was only planned with, and is not on this machine."""

    model_hash: str
    """Over the weights, as a loaded pipeline has it; empty where there are none."""

    configuration: str
    """Over all that a model is beside its weights, as a loaded pipeline has it; empty where there are none."""

    size: tuple[int, int]
    """(width, height) of the pictures, in pixels."""

    own_sampler: str = ""
    """The sampler that its files name; nothing where it is not here."""

    files_hash: str = ""
    """Over the weights, without what is put on them."""

    own_curve: str = ""
    """The curve of sigmas that its files ask for; nothing where there is none."""

    @property
    def operations(self) -> Operations:
        """Whose arithmetic computes in this process, where Jittor is started for it."""
        return load_attribute("jstyle.ops.kernels.operator:find_operations")()


def describe_for_plan(model: ModelSettings, width: Optional[int] = None, height: Optional[int] = None) -> Checkpoint:
    """As `describe_checkpoint`, but nothing is fetched: of a hub's model that is not here the digests are not known,
    and its size is taken to be 512 where none is given.
    """
    from jstyle.weights import fetching

    with fetching.nothing_fetched():
        try:
            return describe_checkpoint(model, width, height)
        except fetching.NotHere:
            return Checkpoint(None, "", "", (width or _USUAL_SIDE, height or _USUAL_SIDE))


def describe_unknown(model: str) -> str:
    """One line for people who plan with a model that is not here."""
    return (
        f"{model} is not wholly on this machine, and a plan fetches nothing: its digests are not known, so all counts "
        "as unfinished, and it is taken to be of Stable Diffusion's usual shape"
    )


def describe_checkpoint(model: ModelSettings, width: Optional[int] = None, height: Optional[int] = None) -> Checkpoint:
    """The checkpoint that settings name. Its pictures have the size that it was trained on, or the sides given here.

    Raises InputError for a checkpoint that is not there, and a size that its VAE cannot halve often enough.
    """
    found: ModelFiles = load_attribute("jstyle.weights.model_files:locate_model")(model)
    read = found.configurations
    factor = read.vae.factor
    width, height = (read.unet.sample_size * factor if side is None else side for side in (width, height))
    if min(width, height) <= 0 or width % factor or height % factor:
        raise InputError(f"width and height must be positive multiples of {factor}, not {width}x{height}")
    own_sampler = read.schedule.sampler or ""
    weights = hash_files(found.files)
    return Checkpoint(
        found, weights, found.configuration, (width, height), own_sampler, weights, read.schedule.sigmas or ""
    )
