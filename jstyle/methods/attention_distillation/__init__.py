"""Attention Distillation: pictures moved until their attention gathers what it would of a style (arXiv 2502.20235)."""

from __future__ import annotations

from jstyle.methods.attention_distillation.settings import AttentionDistillationInputs, AttentionDistillationSettings
from jstyle.methods.table import Method

METHOD = Method(
    name="attention_distillation",
    title="Attention Distillation",
    summary="puts contents into the styles of pictures, or makes textures of them, by gradients of attention",
    paper="arXiv 2502.20235",
    settings=AttentionDistillationSettings,
    inputs=AttentionDistillationInputs,
    run="jstyle.methods.attention_distillation.run:run_attention_distillation",
    fill="jstyle.methods.pairs:fill_size",
    stylise="jstyle.methods.attention_distillation.run:AttentionDistillation",
    recall="jstyle.methods.attention_distillation.recalling:recall_distilled",
    foremost=("content_weight", "steps", "iterations", "seed"),
)
