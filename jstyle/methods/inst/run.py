"""InST on pictures: contents in learnt styles, and the run that learns each style first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Optional, Union

from PIL import Image

from jstyle.adapters.inst_words import require_one_encoder
from jstyle.errors import InputError
from jstyle.events import Evaluated, Event, Remark
from jstyle.methods.constructing import require_parts
from jstyle.methods.inst.inputs import InstInputs
from jstyle.methods.inst.method import stylise
from jstyle.methods.inst.settings import InstSettings, InstTraining, InstTrainSettings
from jstyle.methods.inst.styles import Style, is_learnt, learn_style, plan_trainings, read_style
from jstyle.methods.pairs import (
    Pair,
    PairFiles,
    Stylised,
    check_output,
    list_pairs,
    open_pictures,
    split_batches,
    take_picture,
    write_pairs,
)
from jstyle.methods.table import Method
from jstyle.pictures import images
from jstyle.pictures.spec import identify_model
from jstyle.pipelines.cost import CountingPipeline
from jstyle.pipelines.opening import open_pipeline
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.settings.model import ModelSettings
from jstyle.settings.paths import describe_output


class InST:
    """Puts contents into styles that were learnt (arXiv 2211.13203). Learning first, then a picture:

    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> import jstyle
    >>> from PIL import Image
    >>> pipe = jstyle.StableDiffusionPipeline.from_pretrained("tiny")
    >>> folder, loop = Path(mkdtemp()), jstyle.LoopSettings(steps=2, rate=1e-3)
    >>> learning = jstyle.InstTrainSettings(data=(Path("samples/style/woodcut.png"),), output=folder, loop=loop)
    >>> file = jstyle.train(learning, pipe)
    >>> jstyle.InST(pipe)(Image.open("samples/content/house_by_the_sea.png"), folder).size
    (128, 128)

    The pipeline knows a style's word while its pictures are made, and no longer. Raises InputError for a size the
    model cannot take.
    """

    def __init__(
        self,
        pipe: StableDiffusionPipeline,
        settings: InstSettings = InstSettings(),  # noqa: B008  (frozen)
    ) -> None:
        require_parts("InST", pipe, StableDiffusionPipeline, settings, InstSettings)
        self._frame = pipe.make_frame(settings.width, settings.height, settings.fit)
        self._pipe = pipe
        self._settings = settings

    def __call__(self, content: Image.Image, style: Union[str, Path]) -> Image.Image:
        """The content in the style that a training has left in a folder. Raises InputError where it is not finite."""
        return take_picture(self.stylise_pairs([content], [read_style(Path(style), Path(style))]))

    def stylise_pairs(
        self, contents: Sequence[Image.Image], styles: Sequence[Style], pairs: Optional[Collection[Pair]] = None
    ) -> Iterator[Union[Evaluated, Stylised]]:
        """Every pair, all of them by default, as it is done, style by style, with `Evaluated` after each step.

        Raises InputError for a style that was learnt with a text encoder of another width.
        """
        pairs = list_pairs(len(contents), len(styles)) if pairs is None else pairs
        ordered = sorted(pairs, key=lambda pair: pair[::-1])
        fitted = {content: self._frame.fit(contents[content]) for content, _ in ordered}
        for style in dict.fromkeys(style for _, style in ordered):
            reference = self._encode([self._frame.fit(styles[style].picture)]) if self._settings.adain else None
            of_style = [content for content, other in ordered if other == style]
            for batch in split_batches(of_style, self._settings.batch_size, lambda i: fitted[i].size):
                with self._word_of(styles[style]) as token:
                    clean = self._encode([fitted[i] for i in batch])
                    x = yield from stylise(self._pipe, self._settings, clean, token, reference)
                for row, content in enumerate(batch):
                    yield Stylised.from_array(content, style, self._pipe.decode_latents(x[row : row + 1]))

    @contextmanager
    def _word_of(self, style: Style) -> Iterator[str]:
        """The style's token, which the pipeline knows meanwhile."""
        require_one_encoder(self._pipe)
        token, vocabulary = style.learnt.token, self._pipe.vocabulary
        vocabulary.learn(token, style.learnt.embedding)
        try:
            yield token
        finally:
            vocabulary.remove([token])

    def _encode(self, pictures: Sequence[Image.Image]) -> jt.Var:
        return self._pipe.encode_images(jt.array(images.to_array(pictures)))


def run_inst(method: Method, inputs: InstInputs, settings: InstSettings, model: ModelSettings) -> Iterator[Event]:
    """Learn each style picture, then put every content into every style, a file each, and a contact sheet.

    What is learnt or made already is skipped, and the model loaded where anything is left. Raises InputError where
    nothing can be made, a pair's file is something else, or a picture's training was begun with other settings.
    """
    check_output(inputs.folder)
    folder = inputs.styles or inputs.folder / "styles"
    trainings = plan_trainings(inputs.style, folder, training_settings(inputs, settings, model))
    counting = CountingPipeline.from_settings(model)
    frame = counting.make_frame(settings.width, settings.height, settings.fit)
    contents = (yield from open_pictures(inputs.content, frame, inputs.folder)) if inputs.content else {}

    @lru_cache(maxsize=1)
    def load() -> StableDiffusionPipeline:
        return open_pipeline(model)

    styles = []
    for path, training in trainings.items():
        if training is not None and not is_learnt(training, counting):
            yield from learn_style(path, training, load())
        style = read_style(path, path if training is None else training.output)
        styles.append(replace(style, picture=frame.fit(style.picture)))
    if not contents:
        yield Remark(f"{len(styles)} styles are learnt; those of pictures are in {folder}")
        return
    digests = {style.path: style.digest for style in styles}
    identity = identify_model(model, counting)
    files = PairFiles(
        inputs.output,
        method.name,
        settings,
        identity,
        list(contents),
        list(digests),
        digests,
        {style.path: style.folder for style in styles},
        overwrite=inputs.overwrite,
    )
    pictures = list(contents.values())

    def stylise_all(pipe: StableDiffusionPipeline, pairs: Collection[Pair]) -> Iterator[Union[Evaluated, Stylised]]:
        return InST(pipe, settings).stylise_pairs(pictures, styles, pairs)

    pairs = files.list_unfinished()
    yield from write_pairs(files, pairs, stylise_all, counting, load=load)
    files.write_sheet(pictures, [style.picture for style in styles])
    yield Remark(describe_output(inputs.output))


def training_settings(
    inputs: InstInputs, settings: InstSettings, model: ModelSettings
) -> Callable[[Path, Path], InstTrainSettings]:
    """(picture, folder) -> its training: on the model and at the size of the stylisation.

    Raises InputError where the model computes in what nothing is learnt in.
    """
    training = {field.name: getattr(inputs.training, field.name) for field in fields(InstTraining)}

    def of_picture(picture: Path, folder: Path) -> InstTrainSettings:
        try:
            return InstTrainSettings(
                data=(picture,),
                output=folder,
                model=model,
                width=settings.width,
                height=settings.height,
                fit="crop" if settings.fit == "keep" else settings.fit,
                image_encoder=inputs.image_encoder,
                compat=inputs.compat,
                **training,
            )
        except ValueError as error:
            hint = f"learn the style of {str(picture)!r} in a run of its own, and give its folder here"
            raise InputError(f"{error}: {hint}") from error

    return of_picture
