"""Training that goes on from a model: it begins as that model, with further words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jstyle.diffusion import prompts
from jstyle.diffusion.tokenizer import load_tokenizer
from jstyle.errors import InputError
from jstyle.networks import CLIPTextModel, UNet2DConditionModel
from jstyle.networks.initial import initialise
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from recipes.tiny import pictures, tokenizer
from recipes.tiny.clip import Towers
from recipes.tiny.origin import MEASURED, Origin
from recipes.tiny.recipe import Recipe
from recipes.tiny.settings import PictureSettings, TinySettings
from tests.recipes.tiny.cutouts import write_cutouts
from tests.recipes.tiny.small import settings

KNOWN = ("a red house by the sea, watercolour", "a mosaic of a cat")
NEW = ("a hippopotamus", "an accordion in the snow, glossy 3d")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first")
    Recipe(replace(settings(folder), vocabulary=900)).run()
    return folder / "model"


@pytest.fixture(scope="module")
def extended(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("words") / "tokenizer"
    tokenizer.extend(model / "tokenizer", [*NEW, *KNOWN], 1400, folder)
    return folder


def test_known_words_are_split_as_before_and_new_ones_are_whole(model: Path, extended: Path) -> None:
    old, new = load_tokenizer(model / "tokenizer"), load_tokenizer(extended)
    assert len(old) < len(new) <= 1400
    scenes = pictures.scenes(settings(model).pictures, model)  # those that the model's own words were learnt from
    for text in pictures.write_captions(scenes, 0, 0):
        assert new.tokenize(text) == old.tokenize(text)
    assert len(old.tokenize("hippopotamus")) > 1 and new.tokenize("hippopotamus") == ["hippopotamus</w>"]
    assert (new.bos_token_id, new.eos_token_id) == (len(new) - 2, len(new) - 1)


def test_the_towers_embed_what_they_knew_as_before(model: Path, extended: Path, tmp_path: Path) -> None:
    words, origin = load_tokenizer(extended), Origin(str(model))
    towers = Towers(settings(tmp_path).clip, words)
    initialise(towers, 5)
    origin.fill_towers(towers, words)
    assert np.abs(embed(towers.text, words) - embed(origin.parts.text_encoder, origin.parts.tokenizer)).max() < 1e-6
    picture = jt.array(np.random.default_rng(0).standard_normal((1, 3, 32, 32)).astype(np.float32))
    image_encoder = origin.parts.image_encoder
    assert image_encoder is not None
    np.testing.assert_array_equal(towers.vision(picture).embeds.numpy(), image_encoder(picture).embeds.numpy())


def embed(text: CLIPTextModel, words: object) -> np.ndarray:
    """Hidden states of the known captions up to their ends."""
    return text(jt.array(prompts.token_ids(words, KNOWN)[:, :8]))[0].numpy()


def test_the_denoiser_begins_as_the_models(model: Path, tmp_path: Path) -> None:
    network, origin = settings(tmp_path).unet.network, Origin(str(model))
    unet = UNet2DConditionModel(network)
    origin.fill_unet(unet)
    theirs = dict(origin.parts.unet.named_parameters())
    assert all((value.numpy() == theirs[name].numpy()).all() for name, value in unet.named_parameters())
    wider = UNet2DConditionModel(replace(network, block_out_channels=(16, 16)))
    with pytest.raises(InputError, match=r"cannot go on from this model: .* of its unet is of another size"):
        origin.fill_unet(wider)


def test_a_recipe_goes_on_from_a_model_with_icons(model: Path, tmp_path: Path) -> None:
    write_cutouts(tmp_path / "icons")
    shown = PictureSettings(count=24, size=32, icons=0.5, sceneries=0.2)
    run: TinySettings = settings(tmp_path, pictures=shown, start=str(model), vocabulary=1200)
    Recipe(run).run()
    kinds = {type(scene).__name__ for scene in pictures.scenes(shown, tmp_path)}
    assert kinds == {"Scene", "IconScene", "Scenery"}
    first, then = (StableDiffusionPipeline.from_pretrained(str(path)) for path in (model, tmp_path / "model"))
    kept = dict(first.vae.named_parameters())
    assert all((value.numpy() == kept[name].numpy()).all() for name, value in then.vae.named_parameters())
    assert '"psnr"' in (tmp_path / "vae" / MEASURED).read_text()
    assert len(then.parts.tokenizer) > len(first.parts.tokenizer)


@pytest.mark.parametrize(("icons", "sceneries"), [(-0.1, 0.0), (0.7, 0.4), (0.0, 1.5)])
def test_shares_of_pictures_are_checked(icons: float, sceneries: float) -> None:
    with pytest.raises(ValueError, match="are shares"):
        PictureSettings(icons=icons, sceneries=sceneries)
