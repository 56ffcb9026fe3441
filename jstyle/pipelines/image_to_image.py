"""Image-to-image and inpainting: text-to-image that starts from, or keeps parts of, a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from jstyle.errors import InputError
from jstyle.networks.entry import require_finite
from jstyle.pictures import images
from jstyle.pictures.given import GivenPictures, find_latents, open_given
from jstyle.pipelines.arrays import Array, read_var
from jstyle.pipelines.call import CallOptions, run_call
from jstyle.pipelines.callbacks import MASKED
from jstyle.pipelines.image_processor import VaeImageProcessor, fit_pictures
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.pipelines.starts import FromLatents, FromMaskedPictures, FromPictures, Start
from jstyle.pipelines.texts import Prompt
from jstyle.settings.arguments import read_yes

if TYPE_CHECKING:
    from typing_extensions import Unpack


class StableDiffusionImg2ImgPipeline(StableDiffusionPipeline):
    """Noise a picture part of the way and denoise it under a text."""

    def __call__(  # type: ignore[override]
        self,
        prompt: Optional[Prompt] = None,
        image: Optional[GivenPictures] = None,
        strength: float = 0.8,
        num_inference_steps: int = 50,
        **options: Unpack[CallOptions],
    ) -> Any:
        """``image`` is one picture for all prompts or one each, or latents of them; the result has its size.

        As in diffusers, it is scaled to the multiples of the latents' side below its size. ``strength`` 1 ignores the
        picture, and 0 is an error because nothing would run (`FromPictures`). Other arguments and errors as in
        text-to-image.
        """
        return run_call(self, prompt, self.choose_start(image, strength), num_inference_steps, options)

    def choose_start(self, image: Optional[GivenPictures], strength: float) -> Start:
        """What images start from. Raises InputError for no picture."""
        latents = find_latents(require_given(image, "image"), self.vae.config.latent_channels)
        if latents is not None:
            return FromLatents(require_finite(latents, "image"), strength)
        return FromPictures(fit_pictures(open_given(image), self.vae_scale_factor), strength)


class StableDiffusionInpaintPipeline(StableDiffusionPipeline):
    """Paint the masked part of a picture anew (`FromMaskedPictures`)."""

    @property
    def mask_processor(self) -> VaeImageProcessor:
        """Where scripts blur a mask before a call."""
        return self.image_processor

    _callback_tensor_inputs = (*StableDiffusionPipeline._callback_tensor_inputs, *MASKED)

    def __call__(  # type: ignore[override]
        self,
        prompt: Optional[Prompt] = None,
        image: Optional[GivenPictures] = None,
        mask_image: Optional[GivenPictures] = None,
        masked_image_latents: Optional[Array] = None,
        height: Optional[int] = None,
        width: Optional[int] = None,
        padding_mask_crop: Optional[int] = None,
        strength: float = 1.0,
        num_inference_steps: int = 50,
        *,
        overlay: bool = True,
        **options: Unpack[CallOptions],
    ) -> Any:
        """``mask_image`` is white where the picture is to change, of the picture's size.

        Both are scaled to ``height`` and ``width`` where these are given. Every other pixel of a picture is the given
        one's, to the bit, unless ``overlay`` is off: then the autoencoder changes it a little, as in diffusers.
        ``padding_mask_crop`` paints the part around the mask alone, with so many pixels more on each side, at
        ``height`` and ``width`` or the model's own size; the picture may then have any size. ``masked_image_latents``
        stand for the masked picture in checkpoints for inpainting. Other arguments and errors as in image-to-image;
        strength 1 starts from pure noise.
        """
        start = self.choose_start(
            image, mask_image, height, width, padding_mask_crop, strength, masked_image_latents, overlay=overlay
        )
        return run_call(self, prompt, start, num_inference_steps, options)

    def choose_start(
        self,
        image: Optional[GivenPictures],
        mask_image: Optional[GivenPictures],
        height: Optional[int],
        width: Optional[int],
        padding_mask_crop: Optional[int],
        strength: float,
        masked_image_latents: Optional[Array] = None,
        *,
        overlay: bool = True,
    ) -> Start:
        """What images start from. Raises InputError for no picture, no mask, sizes and an overlay that cannot be."""
        read_yes("overlay", overlay)
        pictures = open_given(require_given(image, "image"))
        masks = open_given(require_given(mask_image, "mask_image"), "mask_image")
        size = None
        if height is not None or width is not None:
            _, rows, columns = self.latent_shape(height, width)
            size = columns * self.vae_scale_factor, rows * self.vae_scale_factor
            if padding_mask_crop is None:
                pictures, masks = ([images.fit(one, *size, "stretch") for one in some] for some in (pictures, masks))
        latents = None if masked_image_latents is None else read_var(masked_image_latents, "masked_image_latents")
        return FromMaskedPictures(pictures, masks, strength, overlay, padding_mask_crop, size, latents)


def require_given(given: Optional[GivenPictures], name: str) -> GivenPictures:
    """The pictures of an argument ``name``. Raises InputError where there are none."""
    if given is None or (isinstance(given, (list, tuple)) and not given):
        raise InputError(f"no {name} was given")
    return given
