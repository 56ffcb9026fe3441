"""What a picture is: a frozen, typed value, whose digest is the picture's identity.

`jstyle.settings.identity` takes the digest over every field that is not marked as free; files are named by content.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional, Protocol, Union

from jstyle.errors import InputError
from jstyle.settings.adapted import AdaptedModelSettings
from jstyle.settings.fields import flat, free, later
from jstyle.settings.model import ArtFusionModelSettings, ModelSettings
from jstyle.settings.prompts import PromptSettings
from jstyle.settings.reader import plain
from jstyle.settings.vocabulary import Backend, Operations, Precision, SamplerName, Sigmas


@dataclass(frozen=True)
class ModelIdentity:
    """Which weights compute, and how."""

    hash: str
    """SHA-256 over the weights, what is put on them included (`StableDiffusionPipeline.model_hash`)."""

    configuration: str
    """SHA-256 over noise schedule, networks' configurations and tokenizer
    (`jstyle.weights.configuration.hash_configuration`).
    """

    precision: Precision = "fp32"
    backend: Backend = "native"
    vae_tiling: bool = False

    operations: Operations = later("kernels")
    """Whose arithmetic computes."""

    name: str = free("", because="the weights' hash stands for it")
    """How the user named the model."""

    named: dict[str, Any] = free(default_factory=dict, because="the digests stand for it")
    """What else the user named it by, such as a LoRA or another VAE: settings of the model that are not as by default.
    """

    files: str = free("", because="the hash of all is over them too")
    """SHA-256 over the weight files alone, without what is put on them."""

    contents: dict[str, list[str]] = free(default_factory=dict, because="the hash of all is over them too")
    """SHA-256 of each LoRA and each word, in the order in which ``named`` has them."""

    sampler: str = free("", because="the configuration's digest stands for it")
    """The model's own sampler, which draws where no other is named."""

    curve: str = free("", because="the configuration's digest stands for it")
    """The model's own curve of sigmas, which samplers follow where no other is named."""


class Identifiable(Protocol):
    """A model that is loaded (`StableDiffusionPipeline`), or a folder (`jstyle.weights.description.Checkpoint`)."""

    @property
    def model_hash(self) -> str:
        """SHA-256 over the weights."""
        ...

    @property
    def files_hash(self) -> str:
        """SHA-256 over the weights without what is put on them."""
        ...

    @property
    def configuration(self) -> str:
        """SHA-256 over the rest."""
        ...

    @property
    def operations(self) -> Operations:
        """Whose arithmetic computes it in this process."""
        ...

    @property
    def own_sampler(self) -> str:
        """The sampler that it draws with by default; nothing where that is not here."""
        ...

    @property
    def own_curve(self) -> str:
        """The curve of sigmas that its samplers follow by default; nothing where there is none."""
        ...


def identify_model(settings: Union[ModelSettings, ArtFusionModelSettings], model: Identifiable) -> ModelIdentity:
    """What specs say of the model of these settings."""
    return ModelIdentity(
        hash=model.model_hash,
        configuration=model.configuration,
        precision=settings.precision,
        backend=settings.backend,
        vae_tiling=settings.vae_tiling,
        operations=model.operations,
        name=str(settings.model),
        named=_list_named(settings) if isinstance(settings, ModelSettings) else {},
        files=model.files_hash,
        contents=settings.hash_contents() if isinstance(settings, AdaptedModelSettings) else {},
        sampler=model.own_sampler,
        curve=model.own_curve,
    )


def _list_named(settings: ModelSettings) -> dict[str, Any]:
    """The settings that have no field of their own in `ModelIdentity`, as far as they say anything."""
    usual = plain(type(settings)())
    own = ("model", "precision", "backend", "vae_tiling")
    return {name: value for name, value in plain(settings).items() if name not in own and value != usual[name]}


def check_model(identity: ModelIdentity, model: Identifiable) -> None:
    """Raise InputError unless a spec was planned with this very model, computed by the same operations."""
    if (identity.hash, identity.configuration) != (model.model_hash, model.configuration):
        raise InputError("the checkpoint is another than when this was planned; run the command again")
    if identity.operations != model.operations:
        raise InputError(
            f"this was planned with {identity.operations}, but in this process {model.operations} computes, with "
            "other last bits; `jstyle doctor` says why, and the same command, given again, plans anew"
        )


@dataclass(frozen=True)
class PictureSpec:
    """One picture of a method: ``settings`` is the method's dataclass or what it holds, ``subject`` what it is of."""

    method: str
    model: ModelIdentity
    settings: Any
    subject: Any

    beyond: Optional[dict[str, Any]] = later(None)
    """What made it that no command can be told, from Python, by name; arrays and pictures by their digests."""


@dataclass(frozen=True)
class ControlSubject:
    """A ControlNet, and the file that its map is, or is made of, by their digests."""

    net: str
    map: str
    map_file: str = free("", because="the hash stands for it")


@dataclass(frozen=True)
class PairSubject:
    """A content in a style, by the hashes of their files."""

    content: str
    style: str
    content_file: str = free("", because="the hash stands for it")
    style_file: str = free("", because="the hash stands for it")
    controls: tuple[ControlSubject, ...] = later(())


@dataclass(frozen=True)
class AdapterSpec:
    """An adapter on a model: how it was taught, and by what it is known. Its file travels beside the spec."""

    kind: str
    """The way of teaching (`jstyle.training.teaching.table.TEACHINGS`) that knows how to attach it."""

    identity: str
    """The hash of its file, or the identity of the training that makes it."""

    weight: float = 1.0
    """How much of it is added."""


@dataclass(frozen=True)
class PromptedPicture:
    """A picture of a prompt, (width, height) pixels; what it is depends on nothing else."""

    model: ModelIdentity
    width: int
    height: int
    prompt: str
    steps: int
    guidance: float
    seed: int
    negative_prompt: str = ""
    reading: PromptSettings = flat(PromptSettings)

    sampler: Optional[SamplerName] = None
    """The model's own by default."""

    sigmas: Optional[Sigmas] = later(None)
    """The curve of the sampler's levels; the model's own by default."""

    eta: float = 0.0
    """Noise of ddim and of tcd."""

    adapters: tuple[AdapterSpec, ...] = ()
    """What is put on the model, in this order."""
