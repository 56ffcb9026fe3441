"""Texts in the styles of pictures: from Python, and the run of the command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Optional

from PIL import Image

from jstyle.diffusion.noise import NoiseSource
from jstyle.events import Event
from jstyle.files import check_output, fit_name
from jstyle.methods.attention_distillation.method import (
    AttentionDistillationOnLatents,
    refuse_coarse,
    require_gradients,
)
from jstyle.methods.attention_distillation.pictures import Making, decode_picture, run_pictures, take_first
from jstyle.methods.attention_distillation.styles import (
    NamedStyle,
    Style,
    encode_style,
    make_style_frame,
    name_styles,
)
from jstyle.methods.attention_distillation.text.settings import (
    DistilledTextInputs,
    DistilledTextSettings,
    StyledTextSubject,
)
from jstyle.methods.constructing import require_parts
from jstyle.methods.pairs import name_uniquely, number_repeated, open_pictures
from jstyle.methods.table import Method
from jstyle.pictures.spec import PictureSpec, identify_model
from jstyle.pipelines.cost import CountingPipeline
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.settings.model import ModelSettings
from jstyle.settings.name_patterns import shorten
from jstyle.settings.paths import names_picture
from jstyle.settings.vocabulary import is_guided


class DistilledText:
    """Draws texts in the styles of pictures (arXiv 2502.20235, section 4.3).

    >>> import jstyle
    >>> from PIL import Image
    >>> pipe = jstyle.StableDiffusionPipeline.from_pretrained("tiny")
    >>> draw = jstyle.DistilledText(pipe, jstyle.DistilledTextSettings(steps=2))
    >>> draw("a house by the sea", Image.open("samples/style/woodcut.png"), seed=1).size
    (128, 128)

    Raises InputError for a size and a precision that the model cannot take, and for layers that it does not have.
    """

    def __init__(
        self,
        pipe: StableDiffusionPipeline,
        settings: DistilledTextSettings = DistilledTextSettings(),  # noqa: B008  (frozen)
    ) -> None:
        require_parts("DistilledText", pipe, StableDiffusionPipeline, settings, DistilledTextSettings)
        self._pipe = require_gradients(pipe)
        self._settings = settings
        self._shape = pipe.latent_shape(settings.height, settings.width)
        self._style_frame = make_style_frame(pipe, settings)

    def __call__(self, prompt: str, style: Style, *, seed: Optional[int] = None) -> Image.Image:
        """The text in the style, from the noise of ``seed``, by default the settings'.

        Raises InputError where it is not finite.
        """
        return take_first(self.draw_texts({0: (prompt, style, self._settings.seed if seed is None else seed)}))

    def draw_texts(self, wanted: Mapping[int, tuple[str, Style, int]]) -> Making:
        """The pictures of these (text, style, seed), by their numbers, with `Evaluated` after each step."""
        settings = self._settings
        for number, (prompt, style, seed) in wanted.items():
            latents = encode_style(self._pipe, style, self._style_frame)
            method, noise = AttentionDistillationOnLatents(self._pipe, settings, latents), NoiseSource([seed])
            negative = settings.negative_prompt if is_guided(settings.guidance) else None
            denoiser = self._pipe.denoiser(prompt, negative, settings.guidance, reading=settings.reading)
            first = noise.normal("latents", self._shape)
            x = yield from method.sample(denoiser, first, noise, match_statistics=settings.adain)
            yield number, decode_picture(self._pipe, x)


def run_distilled_text(
    method: Method, inputs: DistilledTextInputs, settings: DistilledTextSettings, model: ModelSettings
) -> Iterator[Event]:
    """Every text in every style, as many pictures as are asked for, a file each; what is finished is skipped.

    The model is loaded where there is anything to make. Raises InputError where nothing can be made, or where a
    picture's file is something else.
    """
    check_output(inputs.folder)
    refuse_coarse(model)
    counting = CountingPipeline.from_settings(model)
    require_gradients(counting)
    opened = yield from open_pictures(inputs.style, make_style_frame(counting, settings))
    styles = name_styles(opened, inputs.mix)
    common = PictureSpec(method.name, identify_model(model, counting), settings, None)
    wanted = [
        (prompt, style, settings.seed + i)
        for prompt in inputs.prompt
        for style in range(len(styles))
        for i in range(inputs.images)
    ]
    specs = list_texts(inputs, common, styles, wanted)

    def make(pipe: StableDiffusionPipeline, numbers: Sequence[int]) -> Making:
        asked = {number: wanted[number] for number in numbers}
        given = {number: (prompt, styles[style].style, seed) for number, (prompt, style, seed) in asked.items()}
        return DistilledText(pipe, settings).draw_texts(given)

    yield from run_pictures(specs, make, counting, model, inputs.output, overwrite=inputs.overwrite)


def list_texts(
    inputs: DistilledTextInputs,
    common: PictureSpec,
    styles: Sequence[NamedStyle],
    wanted: Sequence[tuple[str, int, int]],
) -> dict[Path, PictureSpec]:
    """What each picture is, by its file: TEXT_SEED_in_STYLE.png, or the one that was named."""
    names = name_uniquely([style.path for style in styles])
    stems = number_repeated(f"{name_text(prompt)}_{seed:05d}_in_{names[style]}" for prompt, style, seed in wanted)
    specs = {}
    for stem, (prompt, style, seed) in zip(stems, wanted):
        file = inputs.output if names_picture(inputs.output) else inputs.folder / fit_name(stem, ".png")
        subject = StyledTextSubject(prompt, styles[style].digest, seed, str(styles[style].path))
        specs[file] = replace(common, subject=subject)
    return specs


def name_text(prompt: str) -> str:
    """What a text is called in the name of a file."""
    return shorten(prompt) if prompt.strip() else "texture"
