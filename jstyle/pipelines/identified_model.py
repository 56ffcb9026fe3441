"""What a model is, told apart from every other: digests of its weights, of what is learnt on them, and of the rest."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Any, Optional

from jstyle.adapters import LoraAdapters, Vocabulary
from jstyle.adapters.added import hash_chosen
from jstyle.diffusion.schedule import Schedule
from jstyle.networks import (
    AutoencoderKL,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionModelWithProjection,
    UNet2DConditionModel,
)
from jstyle.ops.kernels.operator import find_operations
from jstyle.settings.vocabulary import Operations
from jstyle.weights import checkpoint
from jstyle.weights.configuration import hash_configuration


class IdentifiedModel:
    """A model's parts, and what was learnt and put on them."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    schedule: Schedule
    loras: LoraAdapters
    parts: checkpoint.Components
    text_encoder: CLIPTextModel
    text_encoder_2: Optional[CLIPTextModelWithProjection]
    vocabulary: Vocabulary
    """The words of the text encoder, learnt ones among them."""

    vocabulary_2: Optional[Vocabulary]
    """Those of SDXL's second text encoder."""

    _named: tuple[list[str], str] = ([], "")
    """What settings put on it, by its fingerprints, and what the model with that is called."""

    @property
    def vocabularies(self) -> tuple[Vocabulary, ...]:
        """Those of all text encoders, in the order in which the UNet reads what they write."""
        return (self.vocabulary,) if self.vocabulary_2 is None else (self.vocabulary, self.vocabulary_2)

    @property
    def image_encoder(self) -> Optional[CLIPVisionModelWithProjection]:
        """CLIP's image encoder, which few checkpoints have."""
        return self.parts.image_encoder

    @property
    def has_what_was_loaded(self) -> bool:
        """Whether nothing learnt is on it but what the settings that it was loaded by put there."""
        return self._list_fingerprints() == self._named[0]

    @cached_property
    def _files_hash(self) -> str:
        return checkpoint.hash_components(self.parts)

    @property
    def files_hash(self) -> str:
        """SHA-256 over the weight files that were loaded, without what was put on them."""
        return self._files_hash

    @property
    def model_hash(self) -> str:
        """SHA-256 over the weight files that were loaded: what "the same model" means in metadata and caches.

        LoRA adapters in effect, loaded or trained on the networks, and learnt words belong to it.
        """
        more = self._list_fingerprints()
        if more and more == self._named[0]:
            return self._named[1]
        return hashlib.sha256(" ".join([self.files_hash, *more]).encode()).hexdigest() if more else self.files_hash

    def _list_fingerprints(self) -> list[str]:
        learnt = [*(vocabulary.fingerprint() for vocabulary in self.vocabularies), self.loras.fingerprint()]
        return [text for text in (*learnt, *map(hash_chosen, self.adaptable)) if text]

    @property
    def adaptable(self) -> list[Any]:
        """The networks that adapters can be trained on."""
        return [self.unet, *(vocabulary.text_encoder for vocabulary in self.vocabularies)]

    @property
    def configuration(self) -> str:
        """SHA-256 over the rest of what the model is: noise schedule, networks' configurations, tokenizer's files."""
        networks = (self.unet, self.vae, self.text_encoder, self.image_encoder, self.text_encoder_2)
        configs = [None if network is None else network.config for network in networks]
        parts = self.parts
        folders = parts.tokenizer_folder, parts.tokenizer_2_folder
        return hash_configuration(self.schedule.config, configs, *folders, parts.zeroes_no_negative)

    @property
    def own_sampler(self) -> str:
        """The sampler that the checkpoint's files name; nothing where it is not here."""
        return self.schedule.config.sampler or ""

    @property
    def own_curve(self) -> str:
        """The curve of sigmas that the checkpoint's files ask for; nothing where there is none."""
        return self.schedule.config.sigmas or ""

    @property
    def operations(self) -> Operations:
        """Whose arithmetic computes in this process: it decides over last bits."""
        return find_operations()
