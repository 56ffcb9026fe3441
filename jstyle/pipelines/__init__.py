"""Stable Diffusion as one object: text-to-image, image-to-image, inpainting."""
