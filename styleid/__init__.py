"""StyleID: style injection into a diffusion model without training (arXiv 2312.09008)."""

from __future__ import annotations

from jstyle.methods.table import Method
from styleid.settings import StyleIDInputs, StyleIDSettings

METHOD = Method(
    name="styleid",
    title="StyleID",
    summary="puts contents into the styles of pictures by swapping attention features, without training",
    paper="arXiv 2312.09008",
    settings=StyleIDSettings,
    inputs=StyleIDInputs,
    stylise="styleid.run:StyleID",
    fill="jstyle.methods.pairs:fill_size",
    settle="styleid.run:settle",
    steer="jstyle.methods.steering:steer_contents",
    check_finish="styleid.settings:check_finish",
    foremost=("gamma", "temperature", "steps", "width", "height"),
)
