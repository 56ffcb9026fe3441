"""Pictures from texts; from a picture (image-to-image) and under a mask (inpainting) too."""

from __future__ import annotations

from jstyle.methods.table import Method
from jstyle.methods.text_to_image.settings import TextToImageInputs, TextToImageSettings

METHOD = Method(
    name="txt2img",
    title="Text to image",
    summary="makes pictures from texts; with a picture image-to-image, with a mask inpainting",
    paper="arXiv 2112.10752",
    settings=TextToImageSettings,
    inputs=TextToImageInputs,
    run="jstyle.methods.text_to_image.run:run_text_to_image",
    recall="jstyle.methods.text_to_image.recalling:recall_image",
    foremost=("negative_prompt", "strength", "steps", "guidance", "sampler", "seed", "width", "height"),
)
