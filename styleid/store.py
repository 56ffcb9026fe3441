"""Features on disk for later runs: each image's in a folder named by everything they depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, Optional

import numpy as np

from jstyle.files import sweep_dead
from jstyle.methods.blocks import Role
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.settings.identity import identity
from styleid.bank import PARTS, DiskBank, DiskWriter
from styleid.method import Inverted
from styleid.settings import StyleIDSettings

INVERSION_SETTINGS = ("steps", "inversion", "vae", "seed", "feature_dtype", "fixed_point")
"""Settings that change what an inversion leaves behind; the layers and the size are named by what comes of them."""


class FeatureStore:
    """A folder of features, none of which is ever stale. ``paths`` are those of the recorded layers.

    Opening it removes what killed runs have left there; several processes may use it at once.
    """

    def __init__(
        self, folder: Path, pipe: StableDiffusionPipeline, settings: StyleIDSettings, paths: Collection[str]
    ) -> None:
        self._folder = folder
        sweep_dead(folder)
        self._key: dict[str, Any] = {
            "model": pipe.model_hash,
            "dtype": pipe.unet.dtype,
            "schedule": pipe.schedule.config.to_dict(),
            "sites": sorted(paths),
            **{name: value for name, value in identity(settings).items() if name in INVERSION_SETTINGS},
        }

    def find(self, array: np.ndarray, role: Role) -> Optional[Inverted]:
        """What an earlier inversion of the image (1, 3, height, width) has left. Raises InputError where damaged."""
        bank = DiskBank(self._place(array, role))
        return Inverted(bank.latent(), bank) if bank.folder.is_dir() else None

    def open_writer(self, array: np.ndarray, role: Role) -> DiskWriter:
        """Where the image's inversion puts its features. Raises InputError where nothing can be written."""
        return DiskWriter(self._place(array, role))

    def _place(self, array: np.ndarray, role: Role) -> Path:
        image = {"image": hashlib.sha256(array.tobytes()).hexdigest(), "size": array.shape[2:], "parts": PARTS[role]}
        text = json.dumps({**self._key, **image}, sort_keys=True)
        return self._folder / hashlib.sha256(text.encode()).hexdigest()[:32]
