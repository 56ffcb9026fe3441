"""Trains InST (arXiv 2211.13203): one picture becomes a word, through CLIP and an attention that alone learns."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
from PIL import Image, ImageOps

from jstyle.adapters.textual_inversion import TABLE
from jstyle.errors import InputError
from jstyle.files import hash_files
from jstyle.methods.inst import files as inst_files
from jstyle.methods.inst.network import DROPOUTS, ComputedEmbedding, Sizes, StyleAttention
from jstyle.networks import CLIPVisionModelWithProjection
from jstyle.networks.clip_vision import normalised
from jstyle.networks.editing import swapped
from jstyle.ops.precision import unet_dtype
from jstyle.pictures import images
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.training.initial import initialise
from jstyle.training.teaching import tuning
from jstyle.training.teaching.dropout import Dropout
from jstyle.training.teaching.settings import InstTrainSettings
from jstyle.training.teaching.tuning import Clock
from jstyle.weights import checkpoint, hub

PICTURE = "style.png"  # the picture itself, beside the result: a transfer asks for its colours
_MIRRORED = "~mirrored"  # ends the word that stands for the mirrored picture while it is trained


def train(settings: InstTrainSettings, pipe: Optional[StableDiffusionPipeline] = None) -> Path:
    """Train and write ``inst.safetensors``, whose path is returned, and the picture beside it.

    ``pipe`` is the model where it is loaded already; afterwards it is as it was. Raises InputError for what cannot be,
    and KeyboardInterrupt, with a checkpoint written, after Ctrl-C or SIGTERM.
    """
    settings = acting(settings)
    file = one_picture(settings)
    picture = images.open_image(file)
    if pipe is None or pipe.unet.dtype != unet_dtype(settings.precision):
        pipe = tuning.opened(settings)
    pipe, clock = tuning.trainable(pipe, settings), Clock()
    tokens, seen_by = seen(pipe, settings, picture)
    shown = tuning.pictures(pipe, settings, [file])
    network = initial(pipe, settings, tokens.shape[2])
    own = {"picture": hash_files([file]), "model": pipe.model_hash, "image_encoder": seen_by}
    words = [settings.token, settings.token + _MIRRORED][: tokens.shape[0]]

    with ExitStack() as stack:
        stack.enter_context(swapped(network, dropouts(settings, clock)))
        read = learning(stack, pipe, network, tokens, words)
        parameters = {f"style.{name}": one for name, one in network.named_parameters()}
        state = tuning.tune(
            pipe,
            settings,
            parameters,
            lambda index: batch(shown, settings, words, index),
            read,
            {**own, "method": "inst"},
            clock,
        )
        with state.averaged(), jt.no_grad():
            embedding = np.array(network(tokens[:1]).numpy())
            about = {**own, "steps": state.step, "settings": described(settings)}
            images.save_png(picture, settings.output / PICTURE, {"picture": own["picture"]})
            return inst_files.write(inst_files.LearntStyle(settings.token, embedding, network, about), settings.output)


def acting(settings: InstTrainSettings) -> InstTrainSettings:
    """The settings as they act: the rate scaled, the word in its places."""
    scale = settings.batch * settings.loop.accumulate if settings.scale_rate else 1
    said = tuple(one.replace("{token}", settings.token) for one in settings.validation_prompts)
    return replace(settings, loop=replace(settings.loop, rate=settings.loop.rate * scale), validation_prompts=said)


def described(settings: InstTrainSettings) -> Dict[str, Any]:
    """What tells this training from others of the same picture, as it comes back from JSON."""
    loop = {**settings.loop.identity(), "steps": settings.loop.steps}
    told = {**tuning.own_settings(settings), **loop, "model": settings.model, "revision": settings.revision}
    return json.loads(json.dumps(told))


def one_picture(settings: InstTrainSettings) -> Path:
    """The picture to learn from. Raises InputError where none has the name that is asked for."""
    files = sorted(images.find_images(settings.data), key=lambda file: file.name)
    if settings.picture is None:
        return files[0]
    named = [file for file in files if settings.picture in (file.name, file.stem)]
    if not named:
        raise InputError(f"there is no picture {settings.picture!r} (there are: {', '.join(f.name for f in files)})")
    return named[0]


def batch(shown: tuning.Pictures, settings: InstTrainSettings, words: List[str], index: int) -> tuning.Batch:
    """The batch of this index: the picture upright under the first word, mirrored under the second."""
    _, latents = tuning.chosen(shown, settings, index)
    said = [settings.prompt.replace("{token}", words[turned]) for turned in tuning.mirrored(settings, index)]
    return tuning.Batch(latents, said, np.ones(len(said)))


def initial(pipe: StableDiffusionPipeline, settings: InstTrainSettings, width: int) -> StyleAttention:
    """The network before any training; it depends on the seed alone."""
    sizes = Sizes(width, pipe.text_encoder.config.hidden_size, settings.heads, settings.head_width)
    network = StyleAttention(sizes)
    initialise(network, settings.loop.seed)
    return network


def dropouts(settings: InstTrainSettings, clock: Clock) -> Dict[str, Dropout]:
    """Dropout at each of its places, by path; it acts while a batch is computed."""
    if settings.dropout == 0:
        return {}
    return {path: Dropout(settings.dropout, settings.loop.seed, f"inst {path}", clock) for path in DROPOUTS}


def learning(
    stack: ExitStack, pipe: StableDiffusionPipeline, network: StyleAttention, tokens: jt.Var, words: List[str]
) -> tuning.Read:
    """Reads captions while ``stack`` is open: each of ``words`` has the embedding that the network makes of its row
    of ``tokens`` (words, tokens, width), computed anew each time.
    """
    before = list(pipe.vocabulary.vectors.values())
    spelt = jt.zeros([1, pipe.text_encoder.config.hidden_size])
    pipe.vocabulary.add({word: spelt for word in words})
    stack.callback(pipe.vocabulary.remove, words)
    known = len(pipe.tokenizer) - sum(one.shape[0] for one in before) - len(words)
    table = ComputedEmbedding(
        pipe.text_encoder.text_model.embeddings.token_embedding,
        lambda: jt.concat([*before, network(tokens)], dim=0),
        known,
    )
    stack.enter_context(swapped(pipe.text_encoder, {TABLE: table}))
    return tuning.learning(pipe)


def seen(
    pipe: StableDiffusionPipeline, settings: InstTrainSettings, picture: Image.Image
) -> Tuple[jt.Var, Optional[str]]:
    """What CLIP sees of the picture, and of the mirrored one where it is shown, (pictures, 1 + patches, width).

    Also the hash of the image encoder where it is not the model's own. Raises InputError where there is none.
    """
    encoder, digest = pipe.components.image_encoder, None
    if settings.image_encoder is not None:
        folder = hub.locate_part(settings.image_encoder, checkpoint.VISION[0], variant=settings.variant)
        encoder, files = checkpoint.image_encoder(folder, settings.variant)
        digest = hash_files(files)
    if encoder is None:
        raise InputError(
            f"the model {settings.model!r} has no image encoder; give --image_encoder, a model or folder that has one"
        )
    _, height, width = pipe.latent_shape(settings.height, settings.width)
    factor = pipe.vae.config.factor
    fitted = images.fit(picture, width * factor, height * factor)
    several = [fitted, ImageOps.mirror(fitted)] if settings.flip else [fitted]
    return clip_tokens(encoder, several, compat=settings.compat), digest


def clip_tokens(encoder: CLIPVisionModelWithProjection, pictures: List[Image.Image], *, compat: bool = False) -> jt.Var:
    """(pictures, 1 + patches, projection_dim). ``compat`` shows the encoder what the paper's code does."""
    side = encoder.config.image_size
    shown = [images.fit(as_whole_numbers(one) if compat else one, side, side) for one in pictures]
    with jt.no_grad():
        features = encoder(jt.array(normalised(np.stack([np.asarray(one) for one in shown]))))
        tokens = encoder.projected(features).stop_grad()
        tokens.sync()
    return tokens


def as_whole_numbers(picture: Image.Image) -> Image.Image:
    """The paper's code turns [-1, 1] into 8-bit numbers: 0 but for pure white, 1, and pure black, 255."""
    array = images.to_array([picture])[0].transpose(1, 2, 0)
    return Image.fromarray(np.trunc(array).astype(np.int64).astype(np.uint8))
