"""Textual inversion (arXiv 2208.01618): a new word's vectors, through a model that stands still."""

from __future__ import annotations

from jstyle.training.teaching.table import Teaching
from jstyle.training.teaching.textual_inversion.settings import TextualInversionSettings

TEACHING = Teaching(
    name="textual_inversion",
    title="Textual inversion",
    summary="learns a new word's vectors and leaves the model as it is",
    paper="arXiv 2208.01618",
    settings=TextualInversionSettings,
    run="jstyle.training.teaching.textual_inversion.train:train_textual_inversion",
    result="learned_embeds.safetensors",
    serves="words",
    foremost=("token", "kind", "loop.steps", "loop.rate", "validation_prompts", "validation_every"),
    attach="jstyle.adapters.attaching:attach_word",
)
