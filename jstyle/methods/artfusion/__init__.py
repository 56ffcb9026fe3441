"""ArtFusion (arXiv 2306.09330): any content in any style, with a slider between the two."""

from __future__ import annotations

from jstyle.methods.artfusion.settings import ArtFusionSettings
from jstyle.methods.table import Method
from jstyle.settings.model import ArtFusionModelSettings

METHOD = Method(
    name="artfusion",
    title="ArtFusion",
    summary="puts contents into the styles of pictures by a model made for it, with a scale for each",
    paper="arXiv 2306.09330",
    settings=ArtFusionSettings,
    model=ArtFusionModelSettings,
    stylise="jstyle.methods.artfusion.run:ArtFusion",
    check_finish="jstyle.methods.artfusion.settings:check_finish",
    foremost=("content_scale", "style_scale", "steps", "seed"),
)
