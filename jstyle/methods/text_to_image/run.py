"""Images of texts, a file each, batch by batch; what is finished is passed over."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any, Optional, Union

from PIL import Image

from jstyle.errors import InputError
from jstyle.events import Evaluated, Event, PictureFound, PictureWritten, Planned, Remark, closing
from jstyle.files import check_output, hash_files
from jstyle.methods import steering
from jstyle.methods.table import Method
from jstyle.methods.text_to_image.files import ImageFiles
from jstyle.methods.text_to_image.settings import TextSubject, TextToImageInputs, TextToImageSettings
from jstyle.pictures import images, masks
from jstyle.pictures.fitting import Frame, Size
from jstyle.pictures.spec import ControlSubject, PictureSpec, identify_model
from jstyle.pipelines.controls import NO_CONTROLS, Controls
from jstyle.pipelines.cost import CountingPipeline, count_evaluations
from jstyle.pipelines.opening import open_pipeline
from jstyle.pipelines.prompted import tell_evaluations
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.pipelines.starts import FromMaskedPictures, FromNoise, FromPictures, Start
from jstyle.settings.model import ModelSettings
from jstyle.settings.paths import describe_output


def run_text_to_image(
    method: Method, inputs: TextToImageInputs, settings: TextToImageSettings, model: ModelSettings
) -> Iterator[Event]:
    """Make the images that are not there yet. The model is loaded where there are any.

    Raises InputError where nothing can be made, or where an image's file is something else.
    """
    if settings.strength is not None and inputs.image is None:
        raise InputError("strength says how far a picture is changed: give --image too")
    if settings.fit != "keep" and inputs.image is None and not inputs.control:
        raise InputError("fit says how a picture comes to a size: give --image too")
    for option, is_given in (
        ("padding_mask_crop", settings.padding_mask_crop is not None),
        ("no_overlay", not settings.overlay),
    ):
        if is_given and inputs.mask is None:
            raise InputError(f"--{option} says how a mask is painted: give --mask and --image too")
    if inputs.control and settings.padding_mask_crop is not None:
        raise InputError("padding_mask_crop paints a part of the picture, and maps are of all of it: leave it out")
    check_output(inputs.folder)
    remarks: list[str] = []
    pictures = [
        None if path is None else images.open_image(path, remarks.append) for path in (inputs.image, inputs.mask)
    ]
    remarks += [] if inputs.mask is None else masks.describe_file(inputs.mask)
    maps = [images.open_image(path, remarks.append) for path in inputs.control]
    yield from map(Remark, remarks)
    counting = CountingPipeline.from_settings(model)
    shown = steering.deal_maps(maps, len(settings.controls.controlnet))
    nets = steering.locate_nets(settings.controls, counting, model.backend)
    size = choose_size(counting, settings, pictures[0], maps)
    if inputs.image is not None and pictures[0] is not None and settings.padding_mask_crop is None:
        frame = make_frame(counting, settings)
        yield from map(Remark, frame.describe_losses({str(inputs.image): pictures[0].size}))
        yield from map(Remark, describe_size(pictures[0].size, frame.fit(pictures[0]).size, inputs.mask is not None))
    identity = identify_model(model, counting)
    (controls,) = steering.list_control_subjects(nets, steering.deal_maps(inputs.control, len(nets)))
    subjects = list_subjects(inputs, settings, controls)
    specs = [PictureSpec(method.name, identity, settings, subject) for subject in subjects]
    files = ImageFiles(inputs, specs)
    unfinished = files.list_unfinished(overwrite=inputs.overwrite)

    def make(pipe: StableDiffusionPipeline) -> Iterator[Union[Evaluated, tuple[int, Image.Image]]]:
        start = FromNoise(*size[::-1]) if size and not pictures[0] else choose_start(pipe, settings, *pictures)
        controls = NO_CONTROLS
        if size is not None:
            controls = steering.open_controls(pipe, settings.controls, nets, shown, size, settings.fit)
        for first in range(0, len(unfinished), settings.batch_size):
            batch = unfinished[first : first + settings.batch_size]
            subjects = [specs[number].subject for number in batch]
            yield from zip(batch, (yield from generate(pipe, settings, subjects, start, controls)))

    yield from (PictureFound(path) for path in files.list_finished(unfinished))
    yield Planned(len(specs), len(specs) - len(unfinished), count_evaluations(make, counting))
    with closing(make(open_pipeline(model)) if unfinished else ()) as events:
        for event in events:
            if isinstance(event, Evaluated):
                yield event
            else:
                yield PictureWritten(files.write(*event, overwrite=inputs.overwrite))
    yield Remark(describe_output(inputs.output))


def describe_size(given: Size, fitted: Size, masked: bool) -> list[str]:
    """A line where the result is smaller than the picture that it starts from."""
    if fitted[0] >= given[0] and fitted[1] >= given[1]:
        return []
    (width, height), (w, h) = given, fitted
    keep = "--padding_mask_crop N keeps the picture's size" if masked else "--width and --height choose another size"
    return [f"the picture of {width}x{height} is worked on at {w}x{h}, and so is the result; {keep}"]


def generate(
    pipe: StableDiffusionPipeline,
    settings: TextToImageSettings,
    subjects: Sequence[TextSubject],
    start: Start,
    controls: Controls = NO_CONTROLS,
) -> Generator[Evaluated, None, list[Image.Image]]:
    """The images of some texts, in a batch. Raises InputError for what the model cannot take."""
    steps = pipe.sample(
        [subject.prompt for subject in subjects],
        start,
        steps=settings.steps,
        guidance=settings.guidance,
        negative_prompt=settings.negative_prompt or None,
        eta=settings.eta,
        seeds=[subject.seed for subject in subjects],
        sampler=settings.sampler,
        sigmas=settings.sigmas,
        reading=settings.reading,
        controls=controls,
    )
    return (yield from tell_evaluations(steps, "images")).images


def choose_start(
    pipe: StableDiffusionPipeline,
    settings: TextToImageSettings,
    image: Optional[Image.Image] = None,
    mask: Optional[Image.Image] = None,
) -> Start:
    """Noise, or the picture, brought to the size that is wanted, or what of it a white mask leaves.

    Raises InputError for a mask of another shape than the picture's.
    """
    if image is None:
        return FromNoise(settings.height, settings.width)
    frame = make_frame(pipe, settings)
    strength: dict[str, Any] = {} if settings.strength is None else {"strength": settings.strength}
    if mask is None:
        return FromPictures(frame.fit(image), **strength)
    if settings.padding_mask_crop is not None:
        region = {"padding_mask_crop": settings.padding_mask_crop, "size": (frame.width, frame.height)}
        return FromMaskedPictures(image, mask, **strength, **region)
    steering.require_shape("mask", mask.size, image.size, "picture")
    size = frame.choose_size(image.size)
    return FromMaskedPictures(
        frame.fit(image), images.fit(mask, *size, settings.fit), **strength, overlay=settings.overlay
    )


def choose_size(
    pipe: StableDiffusionPipeline,
    settings: TextToImageSettings,
    image: Optional[Image.Image],
    maps: Sequence[Image.Image],
) -> Optional[Size]:
    """The (width, height) of steered images: that of the picture that they start from, else of the first map.

    None without maps. Raises InputError for a map that would keep another shape.
    """
    if not maps:
        return None
    leading, of = (maps[0], "first map") if image is None else (image, "picture")
    if settings.fit == "keep":
        for picture in maps:
            steering.require_shape("map", picture.size, leading.size, of)
    return make_frame(pipe, settings).choose_size(leading.size)


def make_frame(pipe: StableDiffusionPipeline, settings: TextToImageSettings) -> Frame:
    """The size that a picture is brought to. Raises InputError for one that the model cannot take."""
    return pipe.make_frame(settings.width, settings.height, settings.fit)


def list_subjects(
    inputs: TextToImageInputs, settings: TextToImageSettings, controls: tuple[ControlSubject, ...]
) -> list[TextSubject]:
    """What each image of the run is of, the images of a text side by side."""
    image, mask = (None if path is None else hash_files([path]) for path in (inputs.image, inputs.mask))
    files = str(inputs.image or ""), str(inputs.mask or "")
    prompts = enumerate((prompt for prompt in inputs.prompt for _ in range(inputs.images)), settings.seed)
    return [TextSubject(prompt, seed, image, mask, controls, *files) for seed, prompt in prompts]
