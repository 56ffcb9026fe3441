"""Trains textual inversion (arXiv 2208.01618): the vectors of a new word, through a model that stands still."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Optional

import numpy as np

from jstyle.adapters import Vocabulary, textual_inversion
from jstyle.events import Event, Remark
from jstyle.pictures import images
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.training.draws import make_generator
from jstyle.training.teaching import examples, tuning
from jstyle.training.teaching.cost import count_work
from jstyle.training.teaching.textual_inversion.settings import TextualInversionSettings

INITIAL = {"style": "painting", "object": "thing"}


def train_textual_inversion(
    settings: TextualInversionSettings, pipe: Optional[StableDiffusionPipeline] = None
) -> Generator[Event, None, Path]:
    """Train and write ``learned_embeds.safetensors``, whose path is returned.

    ``pipe`` is the settings' model where it is loaded already; afterwards it is as it was. Raises InputError for what
    cannot be. Closing the run writes a checkpoint, from which the next one goes on.
    """
    remarks: list[str] = []
    files = images.find_images(settings.data, remarks.append)
    pipe = tuning.open_model(settings, pipe)
    yield count_work(pipe, settings)
    pictures = tuning.encode_pictures(pipe, settings, files, remarks.append)
    yield from map(Remark, remarks)
    rows = [start_rows(vocabulary, settings) for vocabulary in pipe.vocabularies]
    prompts = tuple(prompt.replace("{token}", settings.token) for prompt in settings.validation_prompts)
    settings = replace(settings, validation_prompts=prompts)

    def make_batch(index: int) -> tuning.Batch:
        indices, latents = tuning.draw_batch(pictures, settings, index)
        captions = draw_captions(settings, [pictures.names[i] for i in indices], index)
        return tuning.Batch(latents, captions, np.ones(len(indices)))

    draw_captions(settings, pictures.names, 0)  # a prompt that cannot be filled in is said at once
    # the model without the word, whose vectors change
    identity = {"pictures": examples.hash_examples(pictures.files, pictures.names), "model": pipe.model_hash}
    with ExitStack() as stack:
        for vocabulary, of_encoder in zip(pipe.vocabularies, rows):
            vocabulary.add({settings.token: of_encoder})
            stack.callback(vocabulary.remove, [settings.token])
        parameters: dict[str, jt.Var] = dict(zip(("token", "token_2"), rows))
        read = tuning.make_learning_reader(pipe)
        state = yield from tuning.tune(pipe, settings, parameters, make_batch, read, identity)
        with state.averaged():
            first, *others = (np.array(of_encoder.numpy()) for of_encoder in rows)
            return textual_inversion.write(settings.token, first, settings.output, *others)


def start_rows(vocabulary: Vocabulary, settings: TextualInversionSettings) -> jt.Var:
    """(vectors, hidden_size) for a text encoder: the initial word's, over and over."""
    word = settings.initial or INITIAL[settings.kind]
    start = textual_inversion.from_word(vocabulary.tokenizer, vocabulary.text_encoder, word, settings.vectors)
    with jt.no_grad():
        return jt.array(start)


def draw_captions(settings: TextualInversionSettings, names: Sequence[str], index: int) -> list[str]:
    """What is said of pictures that show these names, at this index."""
    templates = examples.STYLE_TEMPLATES if settings.kind == "style" else examples.OBJECT_TEMPLATES
    if settings.prompt is not None or settings.captions == "name":
        templates = (settings.prompt or examples.NAMED[settings.kind],)
    indices = make_generator(settings.loop.seed, index, "templates").integers(len(templates), size=len(names))
    return [
        examples.fill_template(templates[i], name=name, article=examples.find_article(name), token=settings.token)
        for i, name in zip(indices, names)
    ]
