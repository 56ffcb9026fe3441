"""The methods by which a pipeline takes up what was learnt beside its model, with diffusers' names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, Union

from jstyle.adapters.inst_words import read_word, require_one_encoder
from jstyle.adapters.lora import Lora
from jstyle.adapters.lora_adapters import LoraAdapters, Source
from jstyle.adapters.lora_files import open_file
from jstyle.adapters.lora_states import LoraLoaderMixin
from jstyle.adapters.sources import is_array, name_rows, read_place, to_arrays
from jstyle.adapters.textual_inversion import Vocabulary, learn_word
from jstyle.errors import InputError
from jstyle.settings.arguments import list_arguments, read_yes

Names = Union[str, Sequence[str]]
Word = Union[str, Path, Mapping[str, Any]]
Words = Union[Word, Sequence[Word]]


class AdapterLoading(LoraLoaderMixin):
    """For a pipeline that has a ``vocabulary``, SDXL's a second one, and ``loras``."""

    vocabulary: Vocabulary
    vocabulary_2: Optional[Vocabulary]
    loras: LoraAdapters

    def load_textual_inversion(
        self,
        pretrained_model_name_or_path: Words,
        token: Optional[Names] = None,
        tokenizer: Any = None,
        text_encoder: Any = None,
        **options: Any,
    ) -> None:
        """Learn the word of a ``learned_embeds.safetensors``, of its folder or hub id, or of named arrays; or several.

        ``token`` renames it, or each in a list. SDXL's words have vectors for both text encoders (clip_l and clip_g);
        others are learnt by the first that they fit, or by that of ``text_encoder``. An array alone is the vectors of
        ``token``, or, of a list of tokens, a row of each. ``options`` are diffusers': ``weight_name``, ``subfolder``,
        ``revision`` and the hub's. Raises InputError for vectors of another width, a word that is known already, a file
        that is something else, and for networks that are not this pipeline's.
        """
        vocabularies = self._find_vocabularies(tokenizer, text_encoder)
        given, place = pretrained_model_name_or_path, read_place(options, list_arguments(self.load_textual_inversion))
        if is_array(given):
            given = name_rows(given, token)
            token = None
        sources = [given] if isinstance(given, (str, Path, Mapping)) else list(given)
        tokens = [token] * len(sources) if token is None or isinstance(token, str) else list(token)
        if len(tokens) != len(sources) or (isinstance(token, str) and len(sources) > 1):
            raise InputError(f"{len(sources)} files want one token each")
        for one, name in zip(sources, tokens):
            learn_word(one, name, place, vocabularies, self._list_vocabularies())

    def unload_textual_inversion(
        self, tokens: Optional[Names] = None, tokenizer: Any = None, text_encoder: Any = None
    ) -> None:
        """Forget these words, by default all. Raises InputError for one that is not loaded."""
        vocabularies = self._find_vocabularies(tokenizer, text_encoder)
        named = [tokens] if isinstance(tokens, str) else tokens
        for token in named or ():
            if not any(token in vocabulary.vectors for vocabulary in vocabularies):
                vocabularies[0].remove([token])  # which says what is loaded
        for vocabulary in vocabularies:
            vocabulary.remove(None if named is None else [token for token in named if token in vocabulary.vectors])

    def load_inst(self, source: Union[str, Path], token: Optional[str] = None) -> str:
        """Learn the word of a style that InST has learnt, an ``inst.safetensors`` or its folder; ``token`` renames it.

        Returns the word, which ``unload_textual_inversion`` forgets. Raises InputError as ``load_textual_inversion``.
        """
        require_one_encoder(self)
        own_token, embedding = read_word(source)
        self.vocabulary.learn(token or own_token, embedding)
        return token or own_token

    def load_lora_weights(
        self,
        pretrained_model_name_or_path_or_dict: Source,
        adapter_name: Optional[str] = None,
        weight_name: Optional[str] = None,
        hotswap: bool = False,
        **options: Any,
    ) -> None:
        """Put a LoRA, or an adapter of another kind, into effect: a file, a folder, a hub id, or named arrays.

        Reads what diffusers, peft, kohya's trainer, LyCORIS and OneTrainer write (docs/adapters.md). ``weight_name``
        and ``options`` are diffusers': ``subfolder``, ``revision`` and the hub's. ``hotswap`` puts it in the place of
        the loaded ``adapter_name``. Raises InputError for one of another model, and for what cannot be read.
        """
        place = read_place({**options, "weight_name": weight_name}, list_arguments(self.load_lora_weights))
        if read_yes("hotswap", hotswap):
            if adapter_name is None:
                raise InputError("hotswap needs adapter_name, the adapter whose place is taken")
            self.loras.replace(pretrained_model_name_or_path_or_dict, adapter_name, place)
        else:
            self.loras.load(pretrained_model_name_or_path_or_dict, adapter_name, place)

    @classmethod
    def lora_state_dict(
        cls, pretrained_model_name_or_path_or_dict: Source, return_lora_metadata: bool = False, **options: Any
    ) -> tuple:
        """A file's arrays by their names in it, for ``load_lora_weights``, and {}: the alphas are among them.

        With ``return_lora_metadata`` also peft's configuration, as diffusers writes it. Raises InputError where there
        is no such file.
        """
        source = pretrained_model_name_or_path_or_dict
        if isinstance(source, Mapping):
            arrays, metadata = to_arrays(source), {}
        elif isinstance(source, Lora):
            raise InputError("give a file, a folder, a hub id or named arrays")
        else:
            _, stored, metadata = open_file(source, read_place(options, list_arguments(cls.lora_state_dict)))
            arrays = {name: stored.read(name) for name in stored.shapes()}
        return (arrays, {}, metadata) if return_lora_metadata else (arrays, {})

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
        components: Optional[Names] = None,
        lora_scale: float = 1.0,
        safe_fusing: bool = False,
        adapter_names: Optional[Names] = None,
    ) -> None:
        """Add the LoRAs in effect, or those named, into the weights, of all networks or these: as fast as without any.

        ``safe_fusing`` is always so: numbers that are not finite are refused when a file is read.
        """
        read_yes("safe_fusing", safe_fusing)
        self.loras.fuse(components, lora_scale, adapter_names)

    def unfuse_lora(self, components: Optional[Names] = None) -> None:
        """The original weights, to the bit, with the LoRAs beside them; of all components or of these."""
        self.loras.unfuse(components)

    @property
    def num_fused_loras(self) -> int:
        """How many LoRAs are fused."""
        return len(self.loras.fused)

    @property
    def fused_loras(self) -> set[str]:
        """The names of the LoRAs that are fused."""
        return set(self.loras.fused)

    def unload_lora_weights(self) -> None:
        """Forget all LoRAs but, as diffusers does, those that are fused: `unfuse_lora` takes these out."""
        self.loras.unload(keep_fused=True)

    def set_lora_device(self, adapter_names: Names, device: Any) -> None:
        """Nothing, as all is on one device. Raises InputError for a name that is not loaded."""
        self.loras.check_names(adapter_names)

    def enable_lora_hotswap(self, *, target_rank: int = 128, check_compiled: str = "error") -> None:
        """Nothing: any adapter may take another's place."""

    def _list_vocabularies(self) -> list[Vocabulary]:
        return [self.vocabulary, *([] if self.vocabulary_2 is None else [self.vocabulary_2])]

    def _find_vocabularies(self, tokenizer: Any, text_encoder: Any) -> list[Vocabulary]:
        """Those of this tokenizer and text encoder, if given. Raises InputError for networks that are others'."""
        found = [one for one in self._list_vocabularies() if one.is_of(tokenizer, text_encoder)]
        if not found:
            raise InputError("words are learnt by a pipeline's own tokenizer and text encoder; leave them out")
        return found
