"""The methods by which a pipeline takes up what was learnt beside its model, with diffusers' names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional, Union

from jstyle.adapters.inst_words import read_word
from jstyle.adapters.lora import Lora
from jstyle.adapters.lora_adapters import LoraAdapters
from jstyle.adapters.lora_keys import COMPONENTS
from jstyle.adapters.lora_states import LoraLoaderMixin
from jstyle.adapters.textual_inversion import Vocabulary
from jstyle.errors import InputError

Names = Union[str, Sequence[str]]
Sources = Union[str, Path, Sequence[Union[str, Path]]]


class AdapterLoading(LoraLoaderMixin):
    """For a pipeline that has a ``vocabulary`` and ``loras``."""

    vocabulary: Vocabulary
    loras: LoraAdapters

    def load_textual_inversion(self, source: Sources, token: Optional[Names] = None) -> None:
        """Learn the word of a ``learned_embeds.safetensors`` or of its folder, or of several; ``token`` renames it.

        Raises InputError for vectors of another width, a word that is known already, or a file that is something else.
        """
        sources = [source] if isinstance(source, (str, Path)) else list(source)
        tokens = [token] * len(sources) if token is None or isinstance(token, str) else list(token)
        if len(tokens) != len(sources) or (isinstance(token, str) and len(sources) > 1):
            raise InputError(f"{len(sources)} files want one token each")
        for one, name in zip(sources, tokens):
            self.vocabulary.load(one, name)

    def unload_textual_inversion(self, tokens: Optional[Names] = None) -> None:
        """Forget these words, by default all."""
        self.vocabulary.remove([tokens] if isinstance(tokens, str) else tokens)

    def load_inst(self, source: Union[str, Path], token: Optional[str] = None) -> str:
        """Learn the word of a style that InST has learnt, an ``inst.safetensors`` or its folder; ``token`` renames it.

        Returns the word, which ``unload_textual_inversion`` forgets. Raises InputError as ``load_textual_inversion``.
        """
        own_token, embedding = read_word(source)
        self.vocabulary.learn(token or own_token, embedding)
        return token or own_token

    def load_lora_weights(
        self, source: Union[str, Path, Lora], adapter_name: Optional[str] = None, weight_name: Optional[str] = None
    ) -> None:
        """Put a LoRA into effect: a file, or a folder with ``pytorch_lora_weights.safetensors`` or ``weight_name``.

        Reads diffusers' formats and kohya's. Raises InputError for one of another model.
        """
        place = Path(source) / weight_name if weight_name and not isinstance(source, Lora) else source
        self.loras.load(place, adapter_name)

    def set_adapters(self, adapter_names: Names, adapter_weights: Any = None) -> None:
        """Put these loaded LoRAs, and no others, into effect, each with its weight (1 by default).

        A weight is a number, or numbers by block: ``{"unet": {"down": 0.5, "up": {"block_1": [0.2, 0.4, 0.6]}}}``; see
        `jstyle.adapters.block_weights`. Raises InputError as `LoraAdapters.set`.
        """
        self.loras.set(adapter_names, adapter_weights)

    def get_active_adapters(self) -> list[str]:
        """The names of the LoRAs in effect."""
        return list(self.loras.weights) if self.loras.enabled else []

    def get_list_adapters(self) -> dict[str, list[str]]:
        """The names of the loaded LoRAs, by the network that they change."""
        return self.loras.by_component()

    def delete_adapters(self, adapter_names: Names) -> None:
        """Forget these LoRAs."""
        self.loras.delete(adapter_names)

    def disable_lora(self) -> None:
        """All LoRAs out of effect, until ``enable_lora``."""
        self.loras.enable(False)

    def enable_lora(self) -> None:
        """The LoRAs back into effect."""
        self.loras.enable(True)

    def fuse_lora(
        self,
        components: Sequence[str] = COMPONENTS,
        lora_scale: float = 1.0,
        adapter_names: Optional[Names] = None,
    ) -> None:
        """Add the LoRAs in effect, or those named, into the weights: as fast as without any."""
        self.loras.fuse(components, lora_scale, adapter_names)

    def unfuse_lora(self) -> None:
        """The original weights, to the bit, with the LoRAs beside them."""
        self.loras.unfuse()

    def unload_lora_weights(self) -> None:
        """Forget all LoRAs. Other than in diffusers fused ones go too: the networks are exactly as they were loaded."""
        self.loras.unload()
