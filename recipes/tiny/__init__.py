"""The recipe of the embedded model: a small Stable Diffusion, trained from scratch on the project's own drawings.

Its stages (``recipe.py``): draw pictures, learn a vocabulary, train CLIP, the autoencoder and the denoiser.
"""
