"""Style Aligned: pictures that share the attention of one reference (arXiv 2312.02133), and panoramas.

`settings` says what can be chosen; `norms` and `features` are what a reference leaves, `reference` how it comes to
each step, `share` how targets take it; `method` puts that together on latents, `run` on pictures.
"""

from __future__ import annotations

from jstyle.methods.table import Method
from style_align.inputs import SetInputs
from style_align.settings import StyleAlignSettings

METHOD = Method(
    name="style_align",
    title="Style Aligned",
    summary="makes pictures in one style: of a text, a picture or a saved reference; panoramas too",
    paper="arXiv 2312.02133",
    settings=StyleAlignSettings,
    inputs=SetInputs,
    run="style_align.run:run_set",
    recall="style_align.recalling:recall_set",
    picture_set="style_align.picture_set:StyleAlignedSet",
    foremost=("style_strength", "steps", "guidance", "seed", "width", "height"),
)
