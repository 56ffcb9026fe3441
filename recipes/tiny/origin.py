"""The model from which training goes on: its weights in networks that know more words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from jstyle.errors import InputError
from jstyle.files import write_text
from jstyle.networks import AutoencoderKL, UNet2DConditionModel
from jstyle.networks.config import VAEConfig
from jstyle.networks.initial import set_values
from jstyle.runtime import jt
from jstyle.settings.model import ModelSettings
from jstyle.weights import checkpoint
from jstyle.weights.loading import save_weights
from recipes.tiny.autoencoder import reconstruct
from recipes.tiny.clip import Towers

MEASURED = "kept.json"
_TABLE = "embeddings.token_embedding.weight"
_PICTURES = 256  # that the autoencoder is measured on


class Origin:
    """A model, as `ModelSettings` name it. Raises InputError where it has no image encoder."""

    def __init__(self, model: str) -> None:
        self.parts = checkpoint.load(ModelSettings(model))
        if self.parts.image_encoder is None:
            raise InputError(f"{model} has no image encoder, from which CLIP's training could go on")

    @property
    def tokenizer(self) -> Path:
        """The folder of its tokenizer."""
        return self.parts.tokenizer_folder

    def fill_towers(self, towers: Towers, words: Any) -> None:
        """Give both towers its weights; tokens that it does not know keep their rows of the table.

        ``words`` is the towers' tokenizer. Raises InputError where sizes differ.
        """
        table = next(value for name, value in towers.text.named_parameters() if name.endswith(_TABLE))
        rows, known = table.numpy().copy(), self.parts.tokenizer.get_vocab()
        _fill(towers.text, self.parts.text_encoder, "text", but=_TABLE)
        _fill(towers.vision, self.parts.image_encoder, "image encoder")
        learnt = next(v for name, v in self.parts.text_encoder.named_parameters() if name.endswith(_TABLE)).numpy()
        for token, place in words.get_vocab().items():
            if token in known:
                rows[place] = learnt[known[token]]
        set_values(table, rows)

    def fill_unet(self, unet: UNet2DConditionModel) -> None:
        """Give the denoiser its weights. Raises InputError where sizes differ."""
        _fill(unet, self.parts.unet, "unet")

    def keep_vae(self, network: VAEConfig, file: Path, pictures: np.ndarray) -> None:
        """Write its autoencoder's weights, and beside them how well it keeps the pictures (n, size, size, 3) uint8.

        Raises InputError where it is not the network of the settings.
        """
        vae = AutoencoderKL(network)
        _fill(vae, self.parts.vae, "vae")
        file.parent.mkdir(parents=True, exist_ok=True)
        some = np.asarray(pictures[:_PICTURES])
        errors = ((np.float64(reconstruct(vae, some)) - some) ** 2).mean(axis=(1, 2, 3))
        decibels = 10 * np.log10(255**2 / np.maximum(errors, 1e-9))
        found = {name: float(np.percentile(decibels, share)) for name, share in (("worst tenth", 10), ("median", 50))}
        write_text(file.with_name(MEASURED), json.dumps({"psnr": {"mean": float(decibels.mean()), **found}}) + "\n")
        save_weights(vae, file)


def _fill(network: jt.Module, learnt: jt.Module, what: str, but: str = "") -> None:
    """Copy parameters by name, ``but`` for the one whose name ends so. Raises InputError where the others differ."""
    theirs = dict(learnt.named_parameters())
    for name, parameter in network.named_parameters():
        if but and name.endswith(but):
            continue
        if name not in theirs or tuple(theirs[name].shape) != tuple(parameter.shape):
            raise InputError(f"training cannot go on from this model: {name} of its {what} is of another size")
        set_values(parameter, theirs[name].numpy())
