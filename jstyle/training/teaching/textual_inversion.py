"""Trains textual inversion (arXiv 2208.01618): the vectors of a new word, through a model that stands still."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import List, Sequence

import numpy as np

from jstyle.adapters import textual_inversion
from jstyle.pictures import images
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.training.draws import generator
from jstyle.training.teaching import examples, tuning
from jstyle.training.teaching.settings import TextualInversionSettings

INITIAL = {"style": "painting", "object": "thing"}


def train(settings: TextualInversionSettings) -> Path:
    """Train and write ``learned_embeds.safetensors``, whose path is returned.

    Raises InputError for what cannot be, and KeyboardInterrupt, with a checkpoint written, after Ctrl-C or SIGTERM.
    """
    files = images.find_images(settings.data)
    pipe = tuning.opened(settings)
    shown = tuning.pictures(pipe, settings, files)
    rows = initial_rows(pipe, settings)
    named = [one.replace("{token}", settings.token) for one in settings.validation_prompts]
    settings = replace(settings, validation_prompts=tuple(named))

    def batch(index: int) -> tuning.Batch:
        which, latents = tuning.chosen(shown, settings, index)
        said = captions(settings, [shown.names[i] for i in which], index)
        return tuning.Batch(latents, said, np.ones(len(which)))

    captions(settings, shown.names, 0)  # a prompt that cannot be filled in is said at once
    identity = {"pictures": examples.fingerprint(shown.files, shown.names), "method": "textual inversion"}
    own = pipe.model_hash
    pipe.vocabulary.add({settings.token: rows})
    try:
        state = tuning.tune(pipe, settings, {"token": rows}, batch, tuning.learning(pipe), {**identity, "model": own})
        with state.averaged():
            return textual_inversion.write(settings.token, np.array(rows.numpy()), settings.output)
    finally:
        pipe.vocabulary.remove()


def initial_rows(pipe: StableDiffusionPipeline, settings: TextualInversionSettings) -> jt.Var:
    """(vectors, hidden_size): the initial word's, over and over."""
    word = settings.initial or INITIAL[settings.kind]
    start = textual_inversion.from_word(pipe.tokenizer, pipe.text_encoder, word, settings.vectors)
    with jt.no_grad():
        return jt.array(start)


def captions(settings: TextualInversionSettings, names: Sequence[str], index: int) -> List[str]:
    """What is said of pictures that show these names, at this index."""
    templates = examples.STYLE_TEMPLATES if settings.kind == "style" else examples.OBJECT_TEMPLATES
    if settings.prompt is not None or settings.captions == "name":
        templates = (settings.prompt or examples.NAMED[settings.kind],)
    drawn = generator(settings.loop.seed, index, "templates").integers(len(templates), size=len(names))
    return [
        examples.filled(templates[i], name=name, article=examples.article(name), token=settings.token)
        for i, name in zip(drawn, names)
    ]
