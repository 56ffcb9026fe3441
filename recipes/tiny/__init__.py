"""The recipe of the embedded model: a small Stable Diffusion and its CLIP, trained on pictures that are drawn for it.

Its stages (``recipe.py``): draw pictures, learn a vocabulary, train CLIP, the autoencoder and the denoiser. Each goes
on where it stopped, also after a kill, so the same command begins and resumes a training:

    python scripts/train_tiny.py --config configs/tiny.yaml        # from nothing, on the project's own drawings
    python scripts/train_tiny.py --config configs/tiny_icons.yaml  # from that model, on real icons too

The second needs npm, which fetches the icons, and ``recipes/tiny/requirements.txt``; ``icons/NOTICE.md`` says whose
they are. `python -m recipes.tiny.samples --config CONFIG` shows what a training looks at.

A ControlNet for the model learns from edges of the drawings (``outlines.py``), with pip install 'jstyle[control]':

    python -m recipes.tiny.outlines --output runs/outlines --count 3000
    jstyle train controlnet --config controlnet
"""
