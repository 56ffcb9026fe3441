"""Trains InST (arXiv 2211.13203): one picture becomes a word, through CLIP and an attention that alone learns."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import numpy as np
from PIL import Image, ImageOps

from jstyle.adapters.inst_words import PICTURE, require_one_encoder
from jstyle.adapters.textual_inversion import TABLE
from jstyle.errors import InputError
from jstyle.events import Event, Remark
from jstyle.files import hash_files
from jstyle.methods.inst import files as inst_files
from jstyle.methods.inst.encoder import hash_image_encoder
from jstyle.methods.inst.network import DROPOUTS, ComputedEmbedding, Sizes, StyleAttention
from jstyle.methods.inst.settings import InstTrainSettings
from jstyle.networks import CLIPVisionModelWithProjection
from jstyle.networks.clip_vision import normalised
from jstyle.networks.editing import swapped
from jstyle.networks.initial import initialise
from jstyle.pictures import images, png_texts
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.settings.identity import identity
from jstyle.training.teaching import tuning
from jstyle.training.teaching.cost import count_work
from jstyle.training.teaching.dropout import Dropout
from jstyle.training.teaching.tuning import Clock
from jstyle.weights import checkpoint, hub

_MIRRORED = "~mirrored"  # ends the word that stands for the mirrored picture while it is trained


def train_inst(
    settings: InstTrainSettings, pipe: Optional[StableDiffusionPipeline] = None
) -> Generator[Event, None, Path]:
    """Train and write ``inst.safetensors``, whose path is returned, and the picture beside it.

    ``pipe`` is the settings' model where it is loaded already; afterwards it is as it was. Raises InputError for what
    cannot be. Closing the run writes a checkpoint, from which the next one goes on.
    """
    settings = resolve_settings(settings)
    (file,) = settings.data
    remarks: list[str] = []
    picture = images.open_image(file, lambda line: None)  # what there is to tell, `encode_pictures` does
    pipe, clock = tuning.open_model(settings, pipe), Clock()
    require_one_encoder(pipe)
    yield count_work(pipe, settings)
    tokens = show_to_clip(pipe, settings, picture)
    shown = tuning.encode_pictures(pipe, settings, [file], remarks.append)
    yield from map(Remark, remarks)
    network = start_network(pipe, settings, tokens.shape[2])
    hashes = {
        "picture": hash_files([file]),
        "model": pipe.model_hash,
        "configuration": pipe.configuration,
        "image_encoder": hash_image_encoder(settings),
    }
    words = [settings.token, settings.token + _MIRRORED][: tokens.shape[0]]

    def make_of_index(index: int) -> tuning.Batch:
        return make_batch(shown, settings, words, index)

    with ExitStack() as stack:
        stack.enter_context(swapped(network, make_dropouts(settings, clock)))
        read = make_word_reader(stack, pipe, network, tokens, words)
        parameters = {f"style.{name}": parameter for name, parameter in network.named_parameters()}
        state = yield from tuning.tune(pipe, settings, parameters, make_of_index, read, hashes, clock)
        with state.averaged(), jt.no_grad():
            embedding = np.array(network(tokens[:1]).numpy())
            about = {**hashes, "steps": state.step, "settings": describe_training(settings)}
            png_texts.save_png(picture, settings.output / PICTURE, {"picture": hashes["picture"]})
            return inst_files.write(inst_files.LearntStyle(settings.token, embedding, network, about), settings.output)


def resolve_settings(settings: InstTrainSettings) -> InstTrainSettings:
    """The settings as they act: the picture found, the rate scaled, the word in its places. Once done stays done.

    Raises InputError where no picture has the name that is asked for.
    """
    scale = settings.batch * settings.loop.accumulate if settings.scale_rate else 1
    return replace(
        settings,
        data=(find_picture(settings),),
        picture=None,
        scale_rate=False,
        loop=replace(settings.loop, rate=settings.loop.rate * scale),
        validation_prompts=tuple(prompt.replace("{token}", settings.token) for prompt in settings.validation_prompts),
    )


def describe_training(settings: InstTrainSettings) -> dict[str, Any]:
    """What tells this training from others of the same picture on the same model, as it comes back from JSON."""
    return identity(resolve_settings(settings))


def find_picture(settings: InstTrainSettings) -> Path:
    """The picture to learn from. Raises InputError where none has the name that is asked for."""
    files = sorted(images.find_images(settings.data, lambda line: None), key=lambda file: file.name)
    if settings.picture is None:
        return files[0]
    matches = [file for file in files if settings.picture in (file.name, file.stem)]
    if not matches:
        there = ", ".join(file.name for file in files)
        raise InputError(f"there is no picture {settings.picture!r} (there are: {there})")
    return matches[0]


def make_batch(
    shown: tuning.EncodedPictures, settings: InstTrainSettings, words: list[str], index: int
) -> tuning.Batch:
    """The batch of this index: the picture upright under the first word, mirrored under the second."""
    _, latents = tuning.draw_batch(shown, settings, index)
    captions = [settings.prompt.replace("{token}", words[turned]) for turned in tuning.draw_mirrored(settings, index)]
    return tuning.Batch(latents, captions, np.ones(len(captions)))


def start_network(pipe: StableDiffusionPipeline, settings: InstTrainSettings, width: int) -> StyleAttention:
    """The network before any training; it depends on the seed alone."""
    sizes = Sizes(width, pipe.text_encoder.config.hidden_size, settings.heads, settings.head_width)
    network = StyleAttention(sizes)
    initialise(network, settings.loop.seed)
    return network


def make_dropouts(settings: InstTrainSettings, clock: Clock) -> dict[str, Dropout]:
    """Dropout at each of its places, by path; it acts while a batch is computed."""
    if settings.dropout == 0:
        return {}
    return {path: Dropout(settings.dropout, settings.loop.seed, f"inst {path}", clock) for path in DROPOUTS}


def make_word_reader(
    stack: ExitStack, pipe: StableDiffusionPipeline, network: StyleAttention, tokens: jt.Var, words: list[str]
) -> tuning.Reader:
    """Reads captions while ``stack`` is open: each of ``words`` has the embedding that the network makes of its row
    of ``tokens`` (words, tokens, width), computed anew each time.
    """
    others = list(pipe.vocabulary.vectors.values())
    placeholder = jt.zeros([1, pipe.text_encoder.config.hidden_size])
    pipe.vocabulary.add({word: placeholder for word in words})
    stack.callback(pipe.vocabulary.remove, words)
    first = len(pipe.tokenizer) - sum(vectors.shape[0] for vectors in others) - len(words)
    table = ComputedEmbedding(
        pipe.text_encoder.text_model.embeddings.token_embedding,
        lambda: jt.concat([*others, network(tokens)], dim=0),
        first,
    )
    stack.enter_context(swapped(pipe.text_encoder, {TABLE: table}))
    return tuning.make_learning_reader(pipe)


def show_to_clip(pipe: StableDiffusionPipeline, settings: InstTrainSettings, picture: Image.Image) -> jt.Var:
    """What CLIP sees of the picture, and of the mirrored one where it is shown, (pictures, 1 + patches, width).

    Raises InputError where there is no image encoder.
    """
    encoder = pipe.parts.image_encoder
    if settings.image_encoder is not None:
        part = CLIPVisionModelWithProjection.kind.folder
        folder = hub.locate_part(settings.image_encoder, part, variant=settings.model.variant)
        encoder = checkpoint.load_image_encoder(folder, settings.model.variant)
    if encoder is None:
        raise InputError(
            f"the model {settings.model.model!r} has no image encoder; "
            "give --image_encoder, a model or folder that has one"
        )
    fitted = pipe.make_frame(settings.width, settings.height, settings.fit).fit(picture)
    pictures = [fitted, ImageOps.mirror(fitted)] if settings.flip else [fitted]
    return encode_by_clip(encoder, pictures, compat=settings.compat)


def encode_by_clip(
    encoder: CLIPVisionModelWithProjection, pictures: list[Image.Image], *, compat: bool = False
) -> jt.Var:
    """(pictures, 1 + patches, projection_dim). ``compat`` shows the encoder what the paper's code does."""
    side = encoder.config.image_size
    squares = [images.fit(truncate_pixels(picture) if compat else picture, side, side) for picture in pictures]
    with jt.no_grad():
        features = encoder(jt.array(normalised(np.stack([np.asarray(square) for square in squares]))))
        tokens = encoder.projected(features).stop_grad()
        tokens.sync()
    return tokens


def truncate_pixels(picture: Image.Image) -> Image.Image:
    """The paper's code turns [-1, 1] into 8-bit numbers: 0 but for pure white, 1, and pure black, 255."""
    array = images.to_array([picture])[0].transpose(1, 2, 0)
    return Image.fromarray(np.trunc(array).astype(np.int64).astype(np.uint8))
