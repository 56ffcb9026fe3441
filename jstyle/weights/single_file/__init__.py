"""Stable Diffusion in one file, as the original code and model sites have it."""
