"""Attention Distillation on pictures: contents in styles, textures of styles, and the run of the command."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Optional, Union

from PIL import Image

from jstyle.diffusion.noise import NoiseSource
from jstyle.events import Evaluated, Event, Remark
from jstyle.files import check_output, fit_name
from jstyle.methods.attention_distillation.method import (
    AttentionDistillationOnLatents,
    refuse_coarse,
    require_gradients,
)
from jstyle.methods.attention_distillation.pictures import Making, decode_picture, run_pictures, take_first
from jstyle.methods.attention_distillation.settings import (
    AttentionDistillationInputs,
    AttentionDistillationSettings,
    TextureSubject,
)
from jstyle.methods.attention_distillation.styles import (
    NamedStyle,
    Style,
    encode_pictures,
    encode_style,
    make_style_frame,
    name_styles,
    show_style,
)
from jstyle.methods.constructing import require_parts
from jstyle.methods.pairs import (
    Pair,
    PairFiles,
    Stylised,
    fill_size,
    list_pairs,
    name_uniquely,
    open_pictures,
    split_batches,
    take_picture,
    write_pairs,
)
from jstyle.methods.table import Method
from jstyle.pictures.spec import PictureSpec, identify_model
from jstyle.pipelines.cost import CountingPipeline
from jstyle.pipelines.opening import open_pipeline
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.settings.model import ModelSettings
from jstyle.settings.paths import describe_output, names_picture


class AttentionDistillation:
    """Moves pictures until their attention gathers what it would gather of a style (arXiv 2502.20235).

    >>> import jstyle
    >>> from PIL import Image
    >>> pipe = jstyle.StableDiffusionPipeline.from_pretrained("tiny")
    >>> settings = jstyle.AttentionDistillationSettings(steps=2, width=128, height=128)
    >>> distil = jstyle.AttentionDistillation(pipe, settings)
    >>> content, style = Image.open("samples/content/house_by_the_sea.png"), Image.open("samples/style/woodcut.png")
    >>> distil(content, style).size
    (128, 128)
    >>> distil.make_texture(style, seed=1).size
    (128, 128)

    A style is a picture, or a `StyleMix` of several. Raises InputError for a size and a precision that the model cannot
    take, and for layers that it does not have.
    """

    def __init__(
        self,
        pipe: StableDiffusionPipeline,
        settings: AttentionDistillationSettings = AttentionDistillationSettings(),  # noqa: B008  (frozen)
    ) -> None:
        require_parts("AttentionDistillation", pipe, StableDiffusionPipeline, settings, AttentionDistillationSettings)
        self._pipe = require_gradients(pipe)
        self._settings = settings = fill_size(settings, pipe)
        self._frame = pipe.make_frame(settings.width, settings.height, settings.fit)
        self._style_frame = make_style_frame(pipe, settings)

    def __call__(self, content: Image.Image, style: Style) -> Image.Image:
        """The content in the style, of the size that it comes to. Raises InputError where it is not finite."""
        return take_picture(self.stylise_pairs([content], [style]))

    def make_texture(self, style: Style, *, seed: Optional[int] = None) -> Image.Image:
        """A texture of the style, from the noise of ``seed``, by default the settings'.

        Raises InputError where it is not finite.
        """
        return take_first(self.make_textures({0: (style, self._settings.seed if seed is None else seed)}))

    def stylise_pairs(
        self, contents: Sequence[Image.Image], styles: Sequence[Style], pairs: Optional[Collection[Pair]] = None
    ) -> Iterator[Union[Evaluated, Stylised]]:
        """Every pair, all of them by default, as it is done, style by style, with `Evaluated` after each time."""
        pairs = list_pairs(len(contents), len(styles)) if pairs is None else pairs
        ordered = sorted(pairs, key=lambda pair: pair[::-1])
        fitted = {content: self._frame.fit(contents[content]) for content, _ in ordered}
        for style in dict.fromkeys(style for _, style in ordered):
            method = self._open_style(styles[style])
            of_style = [content for content, other in ordered if other == style]
            for batch in split_batches(of_style, self._settings.batch_size, lambda i: fitted[i].size):
                clean = encode_pictures(self._pipe, [fitted[i] for i in batch])
                x = yield from method.optimise(clean, clean, self._settings.content_weight)
                for row, content in enumerate(batch):
                    yield Stylised.from_array(content, style, self._pipe.decode_latents(x[row : row + 1]))

    def make_textures(self, wanted: Mapping[int, tuple[Style, int]]) -> Making:
        """Textures of these (style, seed), by their numbers, with `Evaluated` after each time."""
        shape = self._pipe.latent_shape(self._settings.height, self._settings.width)
        for number, (style, seed) in wanted.items():
            noise = NoiseSource([seed]).normal("latents", shape)
            x = yield from self._open_style(style).optimise(noise)
            yield number, decode_picture(self._pipe, x)

    def _open_style(self, style: Style) -> AttentionDistillationOnLatents:
        latents = encode_style(self._pipe, style, self._style_frame)
        return AttentionDistillationOnLatents(self._pipe, self._settings, latents)


def run_attention_distillation(
    method: Method, inputs: AttentionDistillationInputs, settings: AttentionDistillationSettings, model: ModelSettings
) -> Iterator[Event]:
    """Every content in every style, a file each, and a contact sheet; without contents, textures of the styles.

    What is finished is skipped, and the model loaded where there is anything to make. Raises InputError where nothing
    can be made, or where a picture's file is something else.
    """
    check_output(inputs.folder)
    refuse_coarse(model)
    counting = CountingPipeline.from_settings(model)
    require_gradients(counting)
    settings = fill_size(settings, counting)
    opened = yield from open_pictures(inputs.style, make_style_frame(counting, settings))
    styles = name_styles(opened, inputs.mix)
    common = PictureSpec(method.name, identify_model(model, counting), settings, None)
    if inputs.content:
        yield from _run_pairs(inputs, common, model, counting, styles)
    else:
        yield from _run_textures(inputs, common, model, counting, styles)


def _run_pairs(
    inputs: AttentionDistillationInputs,
    common: PictureSpec,
    model: ModelSettings,
    counting: CountingPipeline,
    styles: Sequence[NamedStyle],
) -> Iterator[Event]:
    settings = common.settings
    frame = counting.make_frame(settings.width, settings.height, settings.fit)
    contents = yield from open_pictures(inputs.content, frame, inputs.folder)
    digests = {style.path: style.digest for style in styles}
    files = PairFiles(
        inputs.output,
        common.method,
        settings,
        common.model,
        list(contents),
        list(digests),
        digests,
        overwrite=inputs.overwrite,
    )
    given = list(contents.values()), [style.style for style in styles]

    def stylise(pipe: StableDiffusionPipeline, pairs: Collection[Pair]) -> Iterator[Union[Evaluated, Stylised]]:
        return AttentionDistillation(pipe, settings).stylise_pairs(*given, pairs)

    pairs = files.list_unfinished()
    yield from write_pairs(files, pairs, stylise, counting, load=lambda: open_pipeline(model))
    files.write_sheet(given[0], [show_style(style) for style in given[1]])
    yield Remark(describe_output(inputs.output))


def _run_textures(
    inputs: AttentionDistillationInputs,
    common: PictureSpec,
    model: ModelSettings,
    counting: CountingPipeline,
    styles: Sequence[NamedStyle],
) -> Iterator[Event]:
    settings = common.settings
    wanted = [(style, settings.seed + i) for style in range(len(styles)) for i in range(inputs.images)]
    specs = list_textures(inputs, common, styles, wanted)

    def make(pipe: StableDiffusionPipeline, numbers: Sequence[int]) -> Making:
        asked = {number: wanted[number] for number in numbers}
        given = {number: (styles[style].style, seed) for number, (style, seed) in asked.items()}
        return AttentionDistillation(pipe, settings).make_textures(given)

    yield from run_pictures(specs, make, counting, model, inputs.output, overwrite=inputs.overwrite)


def list_textures(
    inputs: AttentionDistillationInputs,
    common: PictureSpec,
    styles: Sequence[NamedStyle],
    wanted: Sequence[tuple[int, int]],
) -> dict[Path, PictureSpec]:
    """What each texture is, by its file: STYLE_texture_SEED.png, or the one that was named."""
    names = name_uniquely([style.path for style in styles])
    specs = {}
    for style, seed in wanted:
        file = inputs.folder / fit_name(f"{names[style]}_texture_{seed:05d}", ".png")
        subject = TextureSubject(styles[style].digest, seed, str(styles[style].path))
        specs[inputs.output if names_picture(inputs.output) else file] = replace(common, subject=subject)
    return specs
