"""Style Aligned on pictures: a set from Python, and the run of the command."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
from PIL import Image

from jstyle.errors import InputError
from jstyle.events import Evaluated, Event, PictureFound, Planned, Remark, closing, exhaust
from jstyle.files import check_output, hash_files, sweep_dead
from jstyle.methods import steering
from jstyle.methods.constructing import require_parts
from jstyle.methods.pairs import NOT_FINITE
from jstyle.methods.sets import ImageReference, TextReference
from jstyle.methods.table import Method
from jstyle.pictures import images
from jstyle.pictures.colours import Tell
from jstyle.pictures.fitting import Frame, Size
from jstyle.pictures.given import GivenPictures, open_given
from jstyle.pictures.sheets import check_sheet
from jstyle.pictures.spec import ControlSubject, identify_model
from jstyle.pipelines.controls import NO_CONTROLS, Controls
from jstyle.pipelines.cost import CountingPipeline, count_evaluations
from jstyle.pipelines.opening import open_pipeline
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.settings.model import ModelSettings
from style_align import panorama
from style_align.files import SHEET, ReferenceSubject, SetFiles, SetSubject
from style_align.inputs import SetInputs
from style_align.method import LatentReference, Row, StyleAlignedOnLatents
from style_align.panorama import latent_shapes
from style_align.reference import Trajectory, load_trajectory
from style_align.settings import StyleAlignSettings

AnyReference = Union[TextReference, ImageReference, Trajectory]
Making = Iterator[Union[Evaluated, tuple[Path, Optional[Image.Image]], Trajectory]]
"""What a run makes, in order: pictures by their files, None where one is not finite; at last what is to be saved."""


@dataclass(frozen=True)
class Target:
    """A picture to make; it starts from ``image`` where there is one."""

    prompt: str
    seed: int
    image: Optional[Image.Image] = None


class StyleAligned:
    """Pictures in one style (arXiv 2312.02133).

    >>> from jstyle import StableDiffusionPipeline, StyleAligned
    >>> from style_align.settings import SamplingSettings, StyleAlignSettings
    >>> pipe = StableDiffusionPipeline.from_pretrained("tiny")
    >>> settings = StyleAlignSettings(sampling=SamplingSettings(steps=4, guidance=3.0))
    >>> boat, house = StyleAligned(pipe, settings)(["a red boat, watercolour", "a blue house, watercolour"], seed=0)
    >>> boat.size
    (128, 128)
    """

    def __init__(self, pipe: StableDiffusionPipeline, settings: Optional[StyleAlignSettings] = None) -> None:
        settings = StyleAlignSettings() if settings is None else settings
        require_parts("StyleAligned", pipe, StableDiffusionPipeline, settings, StyleAlignSettings)
        self._pipe = pipe
        self._settings = settings

    def __call__(
        self,
        prompts: Sequence[str],
        *,
        seed: Optional[int] = None,
        reference: Union[AnyReference, Sequence[AnyReference], None] = None,
        weights: Optional[Sequence[float]] = None,
        starts: Optional[Sequence[Image.Image]] = None,
        maps: GivenPictures = (),
    ) -> list[Image.Image]:
        """A picture of each text, all in the style of ``reference``, or of several mixed by ``weights``.

        Without a reference it is the first text's picture, which has the noise of ``seed``, by default the settings'.
        The further pictures have seed + 1, seed + 2, ..., and begin at ``starts`` where these are given, one each. They
        are steered by the ControlNets that the settings name, each with one of the ``maps`` for all, or one each, net
        by net. Raises InputError for what the model cannot take, and where a result is not finite.
        """
        seed = self._settings.sampling.seed if seed is None else seed
        texts, shown = list(prompts), open_given(maps, "maps")
        if reference is None:
            if not texts:
                raise InputError("give at least one text, the first for the reference")
            reference = TextReference(texts.pop(0), seed)
            pictures = self.open_set([reference])
            made = pictures.make_all(make_targets(texts, seed, starts), pictures.open_controls(shown, len(texts)))
            return [*exhaust(pictures.make_references()), *made]
        references = [reference] if isinstance(reference, (TextReference, ImageReference, Trajectory)) else reference
        pictures = self.open_set(references, weights)
        return pictures.make_all(make_targets(texts, seed, starts), pictures.open_controls(shown, len(texts)))

    def open_set(self, references: Sequence[AnyReference], weights: Optional[Sequence[float]] = None) -> AlignedSet:
        """A set that more and more pictures can be made of; its references are evaluated once where that is kept."""
        return AlignedSet(self._pipe, self._settings, references, weights)


class AlignedSet:
    """Pictures of a set of references; errors as those of `StyleAlignedOnLatents`."""

    def __init__(
        self,
        pipe: StableDiffusionPipeline,
        settings: StyleAlignSettings,
        references: Sequence[AnyReference],
        weights: Optional[Sequence[float]] = None,
    ) -> None:
        self._pipe = pipe
        self._settings = settings
        self._shape, self._reference_shape = latent_shapes(pipe, settings)
        factor, how = pipe.vae.config.factor, settings.canvas.fit
        self.frame, self.reference_frame = (
            Frame(shape[2] * factor, shape[1] * factor, how) for shape in (self._shape, self._reference_shape)
        )
        rows = [self._to_latents(reference) for reference in references]
        self.on_latents = StyleAlignedOnLatents(pipe, settings, rows, weights)

    def open_controls(self, maps: Sequence[Image.Image], pictures: int) -> Controls:
        """The ControlNets that the settings name, each with one of the maps for all of so many pictures, or one each.

        Raises InputError for other numbers of maps, and for nets that are not there or not this model's.
        """
        settings = self._settings.controls
        dealt = steering.deal_maps(maps, len(settings.controlnet), pictures)
        nets = steering.locate_nets(settings, self._pipe)
        size = self.frame.width, self.frame.height
        return steering.open_controls(self._pipe, settings, nets, dealt, size, self.frame.how)

    def make_pictures(
        self, targets: Sequence[Target], controls: Controls = NO_CONTROLS
    ) -> Iterator[Union[Evaluated, tuple[int, Optional[Image.Image]]]]:
        """Make the targets: (number, picture) as soon as it is there, None in its place where it is not finite."""
        side, circular = self._reference_shape[2], self._settings.canvas.circular
        rows = [
            Row(target.prompt, target.seed, None if target.image is None else self._encode(target.image, self.frame))
            for target in targets
        ]
        with closing(self.on_latents.align(rows, controls)) as events:
            for event in events:
                if isinstance(event, Evaluated):
                    yield event
                    continue
                number, latents = event
                with jt.no_grad():
                    decoded = panorama.decode(self._pipe, jt.array(latents[None]), side, circular=circular)
                yield number, images.to_images(decoded)[0] if np.isfinite(decoded).all() else None

    def make_references(self) -> Generator[Evaluated, None, list[Image.Image]]:
        """The references' pictures; a picture that was given comes back as the autoencoder keeps it."""
        ends = yield from self.on_latents.finish_references()
        return [images.to_images(self._pipe.decode_latents(jt.array(end[None])))[0] for end in ends]

    def make_all(self, targets: Sequence[Target], controls: Controls = NO_CONTROLS) -> list[Image.Image]:
        """The targets' pictures, in order. Raises InputError where one is not finite."""
        pictures = dict(event for event in self.make_pictures(targets, controls) if not isinstance(event, Evaluated))
        finite = [picture for _, picture in sorted(pictures.items()) if picture is not None]
        if len(finite) < len(targets):
            raise InputError(NOT_FINITE)
        return finite

    def _to_latents(self, reference: AnyReference) -> LatentReference:
        if isinstance(reference, Trajectory):
            return reference
        if isinstance(reference, TextReference):
            return Row(reference.prompt, reference.seed)
        return Row(reference.prompt, 0, self._encode(reference.image, self.reference_frame))

    def _encode(self, picture: Image.Image, frame: Frame) -> np.ndarray:
        """The latents (channels, height, width) of a picture as it is fitted."""
        pixels = images.to_array([frame.fit(picture)])
        return np.array(self._pipe.encode_images(jt.array(pixels)).numpy())[0]


def make_targets(prompts: Sequence[str], seed: int, starts: Optional[Sequence[Image.Image]] = None) -> list[Target]:
    """Targets behind a reference that has ``seed``; ``starts`` are one for all, or one each.

    Raises InputError for another number of ``starts``.
    """
    count = len(prompts)
    pictures: list[Any] = list(starts or ())
    if len(pictures) not in (0, 1, count):
        raise InputError(f"{len(pictures)} pictures to start {count} from: give one, or one each")
    pictures = pictures if len(pictures) == count else (pictures or [None]) * count
    return [Target(prompt, seed + 1 + i, picture) for i, (prompt, picture) in enumerate(zip(prompts, pictures))]


@dataclass(frozen=True)
class SetPlan:
    """What a command's set is of, and what of it is still to be made."""

    references: Sequence[AnyReference]
    targets: Sequence[Target]
    maps: Sequence[Image.Image]
    files: SetFiles
    unfinished: AbstractSet[Path]
    saves_reference: bool

    @property
    def wanted(self) -> list[int]:
        """The numbers of the targets that are to be made."""
        return [number for number, path in enumerate(self.files.targets) if path in self.unfinished]


def run_set(method: Method, inputs: SetInputs, settings: StyleAlignSettings, model: ModelSettings) -> Iterator[Event]:
    """Make the pictures of a set that are not there yet, its references' pictures, and a contact sheet.

    The model is loaded where there is anything to make. Raises InputError where nothing can be made, or where a
    picture's file is something else.
    """
    check_output(inputs.output)
    if inputs.save_reference is not None:
        sweep_dead(inputs.save_reference.parent)
    counting = CountingPipeline.from_settings(model)
    plan = yield from plan_set(method, inputs, settings, model, counting)

    def make(pipe: StableDiffusionPipeline) -> Making:
        return make_set(AlignedSet(pipe, settings, plan.references, inputs.reference_weights), plan)

    wanted = plan.files.wanted
    finished = sum(path not in plan.unfinished for path in wanted)
    yield from (PictureFound(path) for path in plan.files.list_finished(plan.unfinished))
    yield Planned(len(wanted), finished, count_evaluations(make, counting))
    is_finished = not plan.unfinished and not plan.saves_reference
    with closing(() if is_finished else make(open_pipeline(model))) as events:
        for event in events:
            if isinstance(event, Trajectory):
                assert inputs.save_reference is not None
                event.save(inputs.save_reference, overwrite=inputs.overwrite)
            else:
                yield event if isinstance(event, Evaluated) else plan.files.write(*event)
    plan.files.write_sheet()
    yield Remark(f"pictures are in {inputs.output}")


def plan_set(
    method: Method, inputs: SetInputs, settings: StyleAlignSettings, model: ModelSettings, counting: CountingPipeline
) -> Generator[Remark, None, SetPlan]:
    """Open what the set is made from and look at what is there. Raises InputError as `run_set` does."""
    remarks: list[str] = []
    references, reference_subjects = open_references(inputs, settings, remarks.append)
    starts = [images.open_image(path, remarks.append) for path in inputs.image]
    targets = make_targets(inputs.target_prompts, settings.sampling.seed, starts)
    maps = [images.open_image(path, remarks.append) for path in inputs.control]
    controls = list_controls(inputs, settings, model, counting)
    planned = AlignedSet(counting, settings, references, inputs.reference_weights)
    given = [reference.image for reference in references if isinstance(reference, ImageReference)]
    remarks += planned.reference_frame.describe_losses(measure(inputs.reference_image, given))
    remarks += planned.frame.describe_losses(measure([*inputs.image, *inputs.control], [*starts, *maps]))
    yield from map(Remark, remarks)
    files = SetFiles(
        inputs.output,
        method.name,
        identify_model(model, counting),
        settings.fill(planned.on_latents.of_picture),
        describe_targets(inputs, targets, reference_subjects, controls),
        reference_subjects,
        begins_set=not inputs.names_reference,
        overwrite=inputs.overwrite,
    )
    if not inputs.overwrite:
        check_sheet(inputs.output / SHEET)
    shares_everything = planned.on_latents.sharing.full_attention_share
    unfinished = files.list_unfinished(whole=shares_everything)
    saved = inputs.save_reference
    if saved is not None and saved.exists() and not inputs.overwrite:
        planned.on_latents.check_saved(saved)
    misses = any(path in unfinished for path in files.targets)
    saves = saved is not None and (misses or not saved.exists())
    return SetPlan(references, targets, maps, files, unfinished, saves)


def make_set(pictures: AlignedSet, plan: SetPlan) -> Making:
    """Make what is to be made: each picture with its file, None for one that is not finite; then the path to save."""
    wanted, count = plan.wanted, len(plan.targets)
    controls = pictures.open_controls(plan.maps, count).take(wanted, count) if wanted else NO_CONTROLS
    with closing(pictures.make_pictures([plan.targets[number] for number in wanted], controls)) as events:
        for event in events:
            yield event if isinstance(event, Evaluated) else (plan.files.targets[wanted[event[0]]], event[1])
    if not plan.unfinished.isdisjoint(plan.files.references):
        yield from zip(plan.files.references, (yield from pictures.make_references()))
    if plan.saves_reference:
        yield (yield from pictures.on_latents.make_trajectory())


def measure(paths: Sequence[Path], pictures: Sequence[Image.Image]) -> dict[str, Size]:
    """The sizes of pictures by their files."""
    return {str(path): picture.size for path, picture in zip(paths, pictures)}


def open_references(
    inputs: SetInputs, settings: StyleAlignSettings, tell: Tell
) -> tuple[list[AnyReference], list[ReferenceSubject]]:
    """The references, saved ones first, and what pictures' files say of them; ``tell`` hears what is odd in a picture.

    Raises InputError for files that cannot be read.
    """
    references: list[AnyReference] = [load_trajectory(file) for file in inputs.reference]
    subjects = [
        ReferenceSubject(trajectory.prompt, file=hash_files([file]), saved_file=str(file))
        for trajectory, file in zip(references, inputs.reference)
    ]
    for number, prompt in enumerate(inputs.reference_prompts):
        if inputs.reference_image:
            path = inputs.reference_image[number]
            references.append(ImageReference(prompt, images.open_image(path, tell)))
            subjects.append(ReferenceSubject(prompt, file=hash_files([path]), picture_file=str(path)))
        else:
            seed = settings.sampling.seed + number
            references.append(TextReference(prompt, seed))
            subjects.append(ReferenceSubject(prompt, seed))
    return references, subjects


def list_controls(
    inputs: SetInputs, settings: StyleAlignSettings, model: ModelSettings, pipe: StableDiffusionPipeline
) -> list[tuple[ControlSubject, ...]]:
    """What steers each target. Raises InputError for other numbers of maps, and nets that are not the model's."""
    count = len(inputs.target_prompts)
    maps = steering.deal_maps(inputs.control, len(settings.controls.controlnet), count)
    nets = steering.locate_nets(settings.controls, pipe, model.backend)
    return steering.list_control_subjects(nets, maps, count)


def describe_targets(
    inputs: SetInputs,
    targets: Sequence[Target],
    references: Sequence[ReferenceSubject],
    controls: Sequence[tuple[ControlSubject, ...]],
) -> list[SetSubject]:
    """What each target's picture is of."""
    starts: list[tuple[Optional[str], str]] = [(hash_files([path]), str(path)) for path in inputs.image]
    starts = starts if len(starts) == len(targets) else (starts or [(None, "")]) * len(targets)
    weights = inputs.reference_weights
    return [
        SetSubject(target.prompt, target.seed, tuple(references), weights, start, (), steered, file)
        for target, (start, file), steered in zip(targets, starts, controls)
    ]
