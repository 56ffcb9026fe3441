"""Imagic: a picture edited by a text through what is learnt of it (arXiv 2210.09276)."""

from __future__ import annotations

from jstyle.methods.imagic.settings import ImagicInputs, ImagicSettings
from jstyle.methods.table import Method

METHOD = Method(
    name="imagic",
    title="Imagic",
    summary="edits a given picture by a text, on a model that is tuned to it first",
    paper="arXiv 2210.09276",
    settings=ImagicSettings,
    inputs=ImagicInputs,
    run="jstyle.methods.imagic.run:run_imagic",
    recall="jstyle.methods.imagic.recalling:recall_edit",
    foremost=("tune", "embedding_loop.steps", "unet_loop.steps", "steps", "guidance", "seed"),
)
