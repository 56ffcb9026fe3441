"""Pictures from texts; from a picture (image-to-image) and under a mask (inpainting) too."""

from __future__ import annotations

from jstyle.methods.method import Method
from jstyle.methods.text_to_image.settings import TextToImageInputs, TextToImageSettings

METHOD = Method(
    name="txt2img",
    title="Text to image",
    summary="Make images from texts; with --image image to image, with --mask inpainting",
    paper="arXiv 2112.10752",
    settings=TextToImageSettings,
    inputs=TextToImageInputs,
    run="jstyle.methods.text_to_image.run:run_text_to_image",
)
