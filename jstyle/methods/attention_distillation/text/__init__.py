"""Pictures of texts in the styles of pictures, by Attention Distillation (arXiv 2502.20235, section 4.3)."""

from __future__ import annotations

from jstyle.methods.attention_distillation.text.settings import DistilledTextInputs, DistilledTextSettings
from jstyle.methods.table import Method

METHOD = Method(
    name="attention_distillation_text",
    title="Attention Distillation of texts",
    summary="makes pictures of texts in the styles of pictures, by gradients of attention after each step",
    paper="arXiv 2502.20235",
    settings=DistilledTextSettings,
    inputs=DistilledTextInputs,
    run="jstyle.methods.attention_distillation.text.run:run_distilled_text",
    recall="jstyle.methods.attention_distillation.text.recalling:recall_distilled_text",
    foremost=("steps", "iterations", "guidance", "seed"),
)
