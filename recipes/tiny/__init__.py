"""The recipe of the embedded model: a small Stable Diffusion, trained from nothing on the project's own drawings.

Stages follow one another (``recipe.py``): draw pictures, learn a vocabulary, CLIP, the autoencoder, the denoiser.
"""
