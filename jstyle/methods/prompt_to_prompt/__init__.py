"""Prompt-to-Prompt: pictures edited by editing their texts (arXiv 2208.01626)."""

from __future__ import annotations

from jstyle.methods.prompt_to_prompt.settings import EditInputs, PromptToPromptSettings
from jstyle.methods.table import Method

METHOD = Method(
    name="prompt_to_prompt",
    title="Prompt-to-Prompt",
    summary="edits a picture, generated or given, by changing words of its text",
    paper="arXiv 2208.01626",
    settings=PromptToPromptSettings,
    inputs=EditInputs,
    run="jstyle.methods.prompt_to_prompt.run:run_prompt_to_prompt",
    recall="jstyle.methods.prompt_to_prompt.recalling:recall_edit",
    foremost=("edit", "cross_replace_steps", "self_replace_steps", "steps", "guidance", "seed"),
)
