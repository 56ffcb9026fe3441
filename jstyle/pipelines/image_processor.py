"""Between pictures and what the autoencoder takes and gives, under the name of diffusers' class."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
from PIL import Image, ImageFilter

from jstyle.pictures import images
from jstyle.pictures.given import GivenPictures, open_given
from jstyle.pipelines.arrays import read_var
from jstyle.pipelines.output import check_output_type, present
from jstyle.runtime import jt
from jstyle.settings.arguments import read_number


class VaeImageProcessor:
    """Pictures of any kind to (n, 3, height, width) in [-1, 1], and back."""

    def __init__(self, vae_scale_factor: int = 8) -> None:
        self.vae_scale_factor = vae_scale_factor

    def preprocess(self, image: GivenPictures, height: Optional[int] = None, width: Optional[int] = None) -> jt.Var:
        """Pictures as the autoencoder takes them, scaled to a size, by default to the multiples below their own.

        Raises InputError for what is no picture.
        """
        return jt.array(images.to_array(fit_pictures(open_given(image), self.vae_scale_factor, height, width)))

    def postprocess(self, image: Any, output_type: str = "pil", do_denormalize: Any = None) -> Any:
        """What the autoencoder gave, (n, 3, height, width) in about [-1, 1], as ``output_type`` says.

        Raises InputError for another type, and for what is no array.
        """
        check_output_type(output_type)
        decoded = read_var(image, "image")
        return decoded if output_type == "latent" else present(np.array(decoded.numpy()), output_type)

    @staticmethod
    def blur(image: Image.Image, blur_factor: float = 4) -> Image.Image:
        """A picture, such as a mask, blurred by a Gaussian of that radius in pixels. Raises InputError for another."""
        return image.filter(ImageFilter.GaussianBlur(read_number("blur_factor", blur_factor, 0)))

    @staticmethod
    def numpy_to_pil(array: np.ndarray) -> list[Image.Image]:
        """PIL pictures of an array (n, height, width, 3), or of one of them, in [0, 1]."""
        return open_given(array)


def fit_pictures(
    pictures: list[Image.Image], factor: int, height: Optional[int] = None, width: Optional[int] = None
) -> list[Image.Image]:
    """Each picture scaled to a size in pixels, by default to the multiples of ``factor`` below its own."""
    fitted = []
    for picture in pictures:
        size = width or _round_down(picture.width, factor), height or _round_down(picture.height, factor)
        fitted.append(picture if picture.size == size else images.fit(picture, *size, "stretch"))
    return fitted


def _round_down(side: int, factor: int) -> int:
    return max(side - side % factor, factor)
