"""StyleID on pictures: N contents in M styles for N + M inversions."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Optional, Union

import numpy as np
from PIL import Image

from jstyle.diffusion.control import Steering
from jstyle.errors import InputError
from jstyle.events import Evaluated
from jstyle.methods import steering
from jstyle.methods.blocks import Picture, order_blocks
from jstyle.methods.constructing import require_parts
from jstyle.methods.kept import Kept
from jstyle.methods.pairs import Pair, Stylised, fill_size, list_pairs, take_picture
from jstyle.methods.room import count_features
from jstyle.pictures import images
from jstyle.pictures.given import GivenPictures, open_given
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from styleid.bank import count_arrays
from styleid.inverter import Inverter
from styleid.keeping import choose_keeping
from styleid.method import StyleIDOnLatents
from styleid.settings import StyleIDSettings
from styleid.store import FeatureStore


class StyleID:
    """Puts contents into the styles of pictures (arXiv 2312.09008).

    >>> import jstyle
    >>> from PIL import Image
    >>> pipe = jstyle.StableDiffusionPipeline.from_pretrained("tiny")
    >>> content = Image.open("samples/content/house_by_the_sea.png")
    >>> style = Image.open("samples/style/woodcut.png")
    >>> jstyle.StyleID(pipe, jstyle.StyleIDSettings(steps=10))(content, style).size
    (256, 256)

    ``store`` is the folder of disk features. ControlNets that the settings name steer the stylisation and no inversion.
    Raises InputError for a size the model cannot take, layers it does not have, nets that are not its, and disk
    features without a store.
    """

    def __init__(
        self,
        pipe: StableDiffusionPipeline,
        settings: StyleIDSettings = StyleIDSettings(),  # noqa: B008  (frozen)
        *,
        store: Optional[Path] = None,
    ) -> None:
        require_parts("StyleID", pipe, StableDiffusionPipeline, settings, StyleIDSettings)
        self._settings = fill_size(settings, pipe)
        self._frame = pipe.make_frame(self._settings.width, self._settings.height, self._settings.fit)
        self._pipe = pipe
        self._latents = StyleIDOnLatents(pipe.unet, pipe.condition_texts(""), pipe.schedule, self._settings)
        if settings.features == "disk" and settings.injection and store is None:
            raise InputError("features that are kept on disk need a folder, the store; or keep them in memory")
        self._folder = store
        self._nets = [pipe.open_net(net) for net in steering.locate_nets(self._settings.controls, pipe)]

    def __call__(self, content: Image.Image, style: Image.Image, *, maps: GivenPictures = ()) -> Image.Image:
        """The content in the style, of the size that it comes to.

        ``maps`` are one a net; without them they are made of the content. Raises InputError for other numbers of them,
        and where the result is not finite.
        """
        return take_picture(self.stylise_pairs([content], [style], maps=open_given(maps, "maps")))

    def settle(self, pairs: Collection[Pair]) -> tuple[StyleIDSettings, str]:
        """The settings with the keeping of features decided by the room that there is, and a line that says how.

        The line is empty where nothing was left to decide.
        """
        if self._settings.features != "auto":
            return self._settings, ""
        if not self._settings.injection or not pairs:
            return replace(self._settings, features="memory"), ""
        shape = self._pipe.latent_shape(self._settings.height, self._settings.width)  # or one of about that area
        numbers = count_features(self._pipe.unet, self._latents.paths, shape) * self._settings.steps
        blocks = order_blocks(pairs, self._settings.batch_size, weigh=count_arrays)
        keeping, line = choose_keeping(blocks, numbers * np.dtype(self._settings.feature_dtype).itemsize, self._folder)
        return replace(self._settings, features=keeping), line

    def stylise_pairs(
        self,
        contents: Sequence[Image.Image],
        styles: Sequence[Image.Image],
        pairs: Optional[Collection[Pair]] = None,
        *,
        maps: Sequence[Image.Image] = (),
    ) -> Iterator[Union[Evaluated, Stylised]]:
        """Every pair, all of them by default, as it is done, with `Evaluated` after each step.

        A picture is inverted when a pair first needs it; what that leaves stays until its last pair is done. ``maps``
        are one of each net for all contents, or one each, net by net; without any they are made of the contents.
        """
        pairs = list_pairs(len(contents), len(styles)) if pairs is None else pairs
        settings, _ = self.settle(pairs)
        fitted: dict[Picture, Image.Image] = {}
        for content, style in pairs:
            fitted["content", content] = self._frame.fit(contents[content])
            fitted["style", style] = self._frame.fit(styles[style])
        inverter = Inverter(self._pipe, settings, self._latents, fitted, self._open_store(settings))
        inversions = Kept(inverter.invert)
        shown = self._fit_maps(maps, len(contents), {content: fitted["content", content] for content, _ in pairs})
        blocks = order_blocks(pairs, settings.batch_size, lambda content: fitted["content", content].size, count_arrays)
        for block in blocks:
            (reference,) = yield from inversions.fetch([("style", block.style)])
            batch = yield from inversions.fetch([("content", content) for content in block.contents])
            steer = self._steer([shown[content] for content in block.contents], batch[0].latent.shape[1:])
            x = yield from self._latents.stylise(batch, reference, steer)
            del batch, reference
            inversions.forget(block.last)
            for row, content in enumerate(block.contents):
                yield Stylised.from_array(content, block.style, self._pipe.decode_latents(x[row : row + 1]))

    def _fit_maps(
        self, maps: Sequence[Image.Image], count: int, contents: Mapping[int, Image.Image]
    ) -> dict[int, list[Image.Image]]:
        """For each of the contents, of ``count``, what every net's map is, or is made of, of the content's size."""
        nets, frame = len(self._nets), self._frame
        if nets and not maps and not self._settings.controls.preprocess:
            raise InputError(
                "a ControlNet needs maps: give --preprocess, which makes them of the contents, or maps as --control"
            )
        if not maps:
            return {content: [picture] * nets for content, picture in contents.items()}
        dealt, fitted = steering.deal_maps(maps, nets, count), {}
        for content, picture in contents.items():
            given = [images.require_rgb(net[content if len(net) == count else 0]) for net in dealt]
            for one in given:
                if frame.how == "keep" and frame.choose_size(one.size) != picture.size:
                    steering.require_shape("map", one.size, picture.size, "content")
            fitted[content] = [images.fit(one, *picture.size, frame.how) for one in given]
        return fitted

    def _steer(self, maps: Sequence[Sequence[Image.Image]], size: Sequence[int]) -> Optional[Steering]:
        """What steers contents by these maps, one of each net, whose latents are of that (height, width)."""
        controls = steering.show_maps(self._settings.controls, self._nets, list(zip(*maps)))
        return controls.steer(self._pipe, size, len(maps), self._settings.steps, self._settings.first_step)

    def _open_store(self, settings: StyleIDSettings) -> Optional[FeatureStore]:
        if settings.features != "disk" or not settings.injection:
            return None
        assert self._folder is not None
        return FeatureStore(self._folder, self._pipe, settings, self._latents.paths)


def settle(
    pipe: StableDiffusionPipeline, settings: StyleIDSettings, pairs: Collection[Pair], *, store: Optional[Path] = None
) -> tuple[StyleIDSettings, str]:
    """What `StyleID.settle` decides, as the run of the command asks for it."""
    return StyleID(pipe, settings, store=store).settle(pairs)
