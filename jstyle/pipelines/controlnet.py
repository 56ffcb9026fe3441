"""diffusers' pipelines with ControlNets: those without, and nets that the call is given maps for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union

from jstyle.errors import InputError
from jstyle.networks import ControlNetModel
from jstyle.networks.network import CONFIG
from jstyle.pictures.given import GivenPictures, open_given
from jstyle.pipelines.call import CallOptions, run_call
from jstyle.pipelines.controls import Controls, ShownControl, check_net
from jstyle.pipelines.image_processor import fit_pictures
from jstyle.pipelines.image_to_image import (
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    require_given,
)
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.pipelines.starts import FromNoise
from jstyle.pipelines.texts import Prompt
from jstyle.settings.arguments import read_yes

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack


class MultiControlNetModel:
    """Several nets, as ``nets``, that steer together."""

    def __init__(self, controlnets: Sequence[ControlNetModel]) -> None:
        self.nets = list(controlnets)


Nets = Union[ControlNetModel, Sequence[ControlNetModel], MultiControlNetModel]


class ControlOptions(CallOptions, total=False):
    """What the calls of these pipelines may be told besides; diffusers' names."""

    controlnet_conditioning_scale: Union[float, Sequence[float]]
    """How strongly nets steer, one number for all or one each: 1, from a picture 0.8, under a mask 0.5."""

    guess_mode: bool
    """Steer the conditional half alone, most of all its coarse maps, so that the map is enough without a text."""

    control_guidance_start: Union[float, Sequence[float]]
    """The share of the steps after which nets steer, 0, one number for all or one each."""

    control_guidance_end: Union[float, Sequence[float]]
    """The share of the steps up to which they do, 1."""


class ControlNetLoading(StableDiffusionPipeline):
    """A pipeline that holds ControlNets.

    Its nets are given as ``controlnet=``; a folder that diffusers wrote of such a pipeline brings its own.
    """

    _controlnet: Optional[Nets] = None
    usual_scale = 1.0

    def __init__(self, parts: Any = None, *, controlnet: Optional[Nets] = None, **components: Any) -> None:
        super().__init__(parts, **components)
        if controlnet is not None:
            self.controlnet = controlnet

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: Union[str, Path], *, controlnet: Optional[Nets] = None, **options: Any
    ) -> Self:
        """As of every pipeline, with ``controlnet``, a net or several, by default that in the model's own folder."""
        pipe = super().from_pretrained(pretrained_model_name_or_path, **options)
        own = Path(pretrained_model_name_or_path).expanduser() / ControlNetModel.kind.folder
        if controlnet is None and (own / CONFIG).is_file():
            controlnet = ControlNetModel.from_pretrained(own)
        return cls.from_pipe(pipe, controlnet=controlnet)

    @classmethod
    def from_single_file(
        cls, pretrained_model_link_or_path: Union[str, Path], *, controlnet: Optional[Nets] = None, **options: Any
    ) -> Self:
        """As of every pipeline, with ``controlnet``, a net or several."""
        return cls.from_pipe(super().from_single_file(pretrained_model_link_or_path, **options), controlnet=controlnet)

    @classmethod
    def from_pipe(
        cls, pipeline: StableDiffusionPipeline, *, controlnet: Optional[Nets] = None, **components: Any
    ) -> Self:
        """This kind of pipeline on another's networks, with ``controlnet``, by default the other's, if it has any."""
        pipe = super().from_pipe(pipeline, **components)
        nets = getattr(pipeline, "_controlnet", None) if controlnet is None else controlnet
        if nets is not None:
            pipe.controlnet = nets
        return pipe

    @property
    def controlnet(self) -> Nets:
        """The net, or of several a `MultiControlNetModel`. Raises InputError where there is none."""
        if self._controlnet is None:
            raise InputError("this pipeline has no ControlNet: give controlnet=ControlNetModel.from_pretrained(...)")
        return self._controlnet

    @controlnet.setter
    def controlnet(self, nets: Nets) -> None:
        """Exchange the net or the nets. Raises InputError for what is none, and for one of another model's family."""
        given = getattr(nets, "nets", nets)
        listed: list[Any] = list(given) if isinstance(given, (list, tuple)) else [given]
        for net in listed:
            if not isinstance(net, ControlNetModel):
                raise InputError(f"controlnet must be a jstyle.ControlNetModel or several, not {type(net).__name__}")
            check_net(net.config, self)
            if net.dtype != self.unet.dtype:
                net.to(self.unet.dtype)
        if not listed:
            raise InputError("controlnet is an empty list: give a net, or several")
        self._controlnet = nets if isinstance(nets, ControlNetModel) else MultiControlNetModel(listed)

    @property
    def nets(self) -> list[ControlNetModel]:
        """The nets, of one as of several."""
        held = self.controlnet
        return [held] if isinstance(held, ControlNetModel) else list(held.nets)  # type: ignore[union-attr]

    @property
    def components(self) -> dict[str, Any]:
        """The parts by diffusers' names, the nets among them."""
        return {**super().components, "controlnet": self._controlnet}

    def to(self, *places: Any, **options: Any) -> Any:
        """As of every pipeline, and the nets with it."""
        super().to(*places, **options)
        for net in self.nets if self._controlnet is not None else ():
            net.to(self.unet.dtype)
        return self

    def save_pretrained(self, *_: Any, **__: Any) -> None:
        """Refused: raises InputError."""
        raise InputError(
            "model and nets are saved apart: StableDiffusionPipeline.from_pipe(pipe).save_pretrained(folder), and "
            "save_pretrained of each net"
        )

    def take_controls(self, given: Optional[GivenPictures], name: str, options: dict[str, Any]) -> Controls:
        """The nets with their maps, which an argument ``name`` brings; takes what concerns them out of the options.

        Raises InputError where their counts do not fit.
        """
        nets = self.nets
        scales, starts, ends = (
            spread_numbers(options.pop(key, usual), len(nets), key)
            for key, usual in (
                ("controlnet_conditioning_scale", self.usual_scale),
                ("control_guidance_start", 0.0),
                ("control_guidance_end", 1.0),
            )
        )
        maps = part_maps(require_given(given, name), len(nets), name)
        shown = [ShownControl(*each) for each in zip(nets, maps, scales, starts, ends)]
        return Controls(tuple(shown), read_yes("guess_mode", options.pop("guess_mode", False)))


class StableDiffusionControlNetPipeline(ControlNetLoading):
    """Text-to-image that ControlNets steer.

    >>> import jstyle
    >>> pipe = jstyle.StableDiffusionPipeline.from_pretrained("tiny")
    >>> net = jstyle.ControlNetModel.from_unet(pipe.unet)
    >>> pipe = jstyle.StableDiffusionControlNetPipeline.from_pipe(pipe, controlnet=net)
    >>> edges = "samples/content/house_by_the_sea.png"
    >>> pipe("a house by the sea", image=edges, num_inference_steps=2, seed=7).images[0].size
    (128, 128)
    """

    def __call__(  # type: ignore[override]
        self,
        prompt: Optional[Prompt] = None,
        image: Optional[GivenPictures] = None,
        height: Optional[int] = None,
        width: Optional[int] = None,
        num_inference_steps: int = 50,
        **options: Unpack[ControlOptions],
    ) -> Any:
        """``image`` is the map: one for all prompts or one each; of several nets a list with one for each.

        Without ``height`` and ``width`` images are as large as the first map. Other arguments and errors as in
        text-to-image.
        """
        rest: Any = dict(options)
        controls = self.take_controls(image, "image", rest)
        first = fit_pictures(list(controls.shown[0].pictures[:1]), self.vae_scale_factor)[0]
        start = FromNoise(first.height if height is None else height, first.width if width is None else width)
        return run_call(self, prompt, start, num_inference_steps, rest, controls)


class StableDiffusionControlNetImg2ImgPipeline(ControlNetLoading, StableDiffusionImg2ImgPipeline):
    """Image-to-image that ControlNets steer."""

    usual_scale = 0.8

    def __call__(  # type: ignore[override]
        self,
        prompt: Optional[Prompt] = None,
        image: Optional[GivenPictures] = None,
        control_image: Optional[GivenPictures] = None,
        height: Optional[int] = None,
        width: Optional[int] = None,
        strength: float = 0.8,
        num_inference_steps: int = 50,
        **options: Unpack[ControlOptions],
    ) -> Any:
        """``image`` is what is started from, scaled to ``height`` and ``width`` where these are given.

        ``control_image`` is the map, as of `StableDiffusionControlNetPipeline`; other arguments and errors as in
        image-to-image.
        """
        rest: Any = dict(options)
        controls = self.take_controls(control_image, "control_image", rest)
        if height is not None or width is not None:
            image = fit_pictures(open_given(require_given(image, "image")), self.vae_scale_factor, height, width)
        return run_call(self, prompt, self.choose_start(image, strength), num_inference_steps, rest, controls)


class StableDiffusionControlNetInpaintPipeline(ControlNetLoading, StableDiffusionInpaintPipeline):
    """Inpainting that ControlNets steer."""

    usual_scale = 0.5

    def __call__(  # type: ignore[override]
        self,
        prompt: Optional[Prompt] = None,
        image: Optional[GivenPictures] = None,
        mask_image: Optional[GivenPictures] = None,
        control_image: Optional[GivenPictures] = None,
        height: Optional[int] = None,
        width: Optional[int] = None,
        padding_mask_crop: Optional[int] = None,
        strength: float = 1.0,
        num_inference_steps: int = 50,
        *,
        overlay: bool = True,
        **options: Unpack[ControlOptions],
    ) -> Any:
        """``control_image`` is the map, as of `StableDiffusionControlNetPipeline`; the rest as in inpainting."""
        rest: Any = dict(options)
        controls = self.take_controls(control_image, "control_image", rest)
        start = self.choose_start(image, mask_image, height, width, padding_mask_crop, strength, overlay=overlay)
        return run_call(self, prompt, start, num_inference_steps, rest, controls)


def part_maps(given: Any, nets: int, name: str) -> list[tuple[Any, ...]]:
    """The maps of each net. Of one net they are one, or one a prompt; of several a list with one for each net, or, as
    in diffusers, a list for each prompt with one for each net. Raises InputError for other counts.
    """
    if nets == 1:
        return [tuple(open_given(given, name))]
    if not isinstance(given, (list, tuple)):
        raise InputError(f"{name} must be a list with a map for each of the {nets} nets")
    rows = list(given) if given and isinstance(given[0], (list, tuple)) else [given]
    for row in rows:
        if not isinstance(row, (list, tuple)) or len(row) != nets:
            count = len(row) if isinstance(row, (list, tuple)) else 1
            raise InputError(f"{name} has {count} maps for {nets} ControlNets: give one each")
    return [tuple(picture for row in rows for picture in open_given(row[i], name)) for i in range(nets)]


def spread_numbers(value: Any, nets: int, name: str) -> list[Any]:
    """A number for each net. Raises InputError for a list of another length."""
    if not isinstance(value, (list, tuple)):
        return [value] * nets
    if len(value) != nets:
        raise InputError(f"{name} has {len(value)} numbers for {nets} ControlNets: give one for all, or one each")
    return list(value)
