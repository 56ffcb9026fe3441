"""Z*: contents that attend to styles and to themselves at once, without training (arXiv 2311.16491)."""

from __future__ import annotations

from jstyle.methods.table import Method
from jstyle.methods.z_star.settings import ZStarSettings

METHOD = Method(
    name="z_star",
    title="Z*",
    summary="puts contents into the styles of pictures by one attention to both, without training",
    paper="arXiv 2311.16491",
    settings=ZStarSettings,
    stylise="jstyle.methods.z_star.run:ZStar",
    fill="jstyle.methods.pairs:fill_size",
    foremost=("style_scale", "content_scale", "steps"),
)
