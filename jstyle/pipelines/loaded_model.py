"""What a pipeline is made of: loaded, joined, exchanged, shared, saved, and told apart from other models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union

from jstyle.adapters import LoraAdapters, Vocabulary
from jstyle.adapters.put_on import hash_adapted, put_on
from jstyle.diffusion.schedule import Schedule
from jstyle.diffusion.schedule_config import ScheduleConfig
from jstyle.errors import InputError
from jstyle.networks import (
    ControlNetModel,
)
from jstyle.ops.precision import find_precision
from jstyle.pipelines.components import (
    OPTIONAL,
    PARTS,
    join_parts,
    make_scheduler,
    read_parts,
    read_told,
    replace_parts,
)
from jstyle.pipelines.identified_model import IdentifiedModel
from jstyle.settings.arguments import list_arguments
from jstyle.settings.model import ModelSettings
from jstyle.settings.reader import build
from jstyle.weights import backends, checkpoint
from jstyle.weights.header import require_safe
from jstyle.weights.saving import refuse_unsaved

if TYPE_CHECKING:
    from typing_extensions import Self

    from jstyle.weights.control_files import NetFiles

_NETWORK = "to share memory, build the other pipeline with from_pipe, which copies nothing"
_WITHOUT = {
    "scheduler": "give another, such as jstyle.DDIMScheduler.from_config(pipe.scheduler.config)",
    "tokenizer": "give another, such as jstyle.CLIPTokenizer.from_pretrained(folder)",
}
"""What to do where a part is taken away."""


class LoadedModel(IdentifiedModel):
    """The networks, tokenizer and noise schedule of a model, and what was learnt and put on them."""

    name_or_path: str = ""
    """What it was loaded by."""

    loaded_by: Optional[ModelSettings] = None
    """The settings that it was loaded by, where it was."""

    _loaded_schedule: Optional[ScheduleConfig] = None
    _scheduler: Any = None
    _bar_settings: Mapping[str, Any] = {"disable": None}

    def __init__(self, parts: Optional[checkpoint.Components] = None, **components: Any) -> None:
        """``parts`` were loaded; without them each component is given by diffusers' name, as ``components`` has them.

        Raises InputError where one is missing or of another kind.
        """
        given = read_parts(components)
        self._take(join_parts(given) if parts is None else parts)
        self._scheduler = given.get("scheduler")

    def _take(self, parts: checkpoint.Components) -> None:
        """Have these parts, with nothing learnt on them."""
        self.__dict__.update(parts=parts, unet=parts.unet, vae=parts.vae, text_encoder=parts.text_encoder)
        self.__dict__.update(text_encoder_2=parts.text_encoder_2)
        self.__dict__.pop("_files_hash", None)
        second = parts.text_encoder_2
        self.vocabulary = Vocabulary(parts.tokenizer, parts.text_encoder)
        self.vocabulary_2 = None if second is None else Vocabulary(parts.tokenizer_2, second)
        self.loras = LoraAdapters(parts.unet, parts.text_encoder, second)
        self.schedule, self._scheduler = Schedule(parts.schedule), None

    def __setattr__(self, name: str, value: Any) -> None:
        if name in PARTS and "parts" in self.__dict__:
            if value is None and name not in OPTIONAL:
                raise InputError(f"a pipeline cannot be without its {name}; {_WITHOUT.get(name, _NETWORK)}")
            self.register_modules(**{name: value})
        else:
            super().__setattr__(name, value)

    def register_modules(self, **components: Any) -> None:
        """Exchange components, as ``pipe.vae = vae`` and ``pipe.scheduler = scheduler`` do.

        Raises InputError for one of another kind, and for networks while something learnt is on them.
        """
        given = read_parts(components)
        parts = replace_parts(self.parts, given)
        if replace(parts, schedule=self.parts.schedule, zeroes_no_negative=self.zeroes_no_negative) == self.parts:
            self.parts, self.schedule = parts, Schedule(parts.schedule)
        elif self.loras.loaded or self.loras.fused or any(vocabulary.vectors for vocabulary in self.vocabularies):
            raise InputError("take adapters and words off (unload_lora_weights, unload_textual_inversion) before this")
        else:
            self._take(parts)
        self._scheduler = given.get("scheduler", self._scheduler)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: Union[str, Path],
        *,
        revision: Optional[str] = None,
        variant: Optional[str] = None,
        precision: str = "fp32",
        torch_dtype: Any = None,
        dtype: Any = None,
        backend: str = "native",
        **components: Any,
    ) -> Self:
        """Load a folder in diffusers' layout, a hub id, or "tiny", the embedded model.

        ``variant="fp16"`` reads the files of that variant; ``revision`` picks a commit or branch of a hub id;
        ``precision="bf16"`` runs the UNet in bfloat16, where the processor has instructions for it, "fp16" on a GPU;
        ``torch_dtype`` and ``dtype`` are diffusers' ways to say so, by name or by a library's object.
        ``backend="jdiffusion"`` lets JDiffusion's networks compute, where that is installed. ``components`` take the
        place of the folder's own: ``vae=``, ``unet=``, ``text_encoder=``, ``tokenizer=``, ``scheduler=``,
        ``image_encoder=``, SDXL's ``text_encoder_2=`` and ``tokenizer_2=``. With ``local_files_only=True`` nothing is
        fetched; what a safety checker and PyTorch's loading are told has no effect. Raises InputError for anything
        missing, damaged, of another architecture or not known.
        """
        given, fetching = read_told("from_pretrained", components, cls.from_pretrained)
        fields = {
            "model": str(pretrained_model_name_or_path),
            "revision": revision,
            "variant": variant,
            "precision": _choose_precision(precision, torch_dtype, dtype),
            "backend": backend,
        }
        with fetching:
            pipe = cls.from_settings(build(ModelSettings, fields, "from_pretrained"))
        pipe.register_modules(**given)
        return pipe

    @classmethod
    def from_single_file(
        cls,
        pretrained_model_link_or_path: Union[str, Path],
        *,
        config: Optional[Union[str, Path]] = None,
        prediction_type: Optional[str] = None,
        vae_weights: Optional[Union[str, Path]] = None,
        revision: Optional[str] = None,
        precision: str = "fp32",
        torch_dtype: Any = None,
        dtype: Any = None,
        original_config: None = None,
        **components: Any,
    ) -> Self:
        """Load a checkpoint of Stable Diffusion 1.x, 2.x or XL in one safetensors file, with the original code's names.

        ``pretrained_model_link_or_path`` is a file, `owner/name/FILE.safetensors` of the hub, or its address there.
        ``config`` is a folder or hub id in diffusers' layout: what the file lacks, tokenizer, configurations, networks,
        is taken from it; without it the tokenizer is fetched. ``prediction_type``, "epsilon" or "v_prediction", is
        needed where nothing in the file says it. ``vae_weights`` is a file or folder with a VAE in the place of the
        file's. The others are `from_pretrained`'s. Raises InputError, one line, for a file that is damaged, a pickle,
        incomplete or of another model, and for ``original_config``, which is not read: the keys say what it would.
        """
        if original_config is not None:
            raise InputError("original_config is not read: the keys say what it would; give config= or prediction_type")
        given, fetching = read_told("from_single_file", components, cls.from_single_file)
        fields = {
            "model": str(pretrained_model_link_or_path),
            "base_model": None if config is None else str(config),
            "vae_weights": None if vae_weights is None else str(vae_weights),
            "prediction_type": prediction_type,
            "revision": revision,
            "precision": _choose_precision(precision, torch_dtype, dtype),
        }
        with fetching:
            pipe = cls.from_settings(build(ModelSettings, fields, "from_single_file"))
        pipe.register_modules(**given)
        return pipe

    @classmethod
    def from_settings(cls, model: ModelSettings) -> Self:
        """The model that settings name, a folder, a single file or a hub id, with what they put on it.

        Raises InputError as `from_pretrained`, and for what cannot be put on it.
        """
        pipe = cls(backends.load(model))
        pipe.vae_tiling, pipe.name_or_path = model.vae_tiling, model.model
        pipe.loaded_by, pipe._loaded_schedule = model, pipe.schedule.config
        if put_on(pipe, model):
            pipe._named = pipe._list_fingerprints(), hash_adapted(pipe.files_hash, model)
        return pipe

    @classmethod
    def from_pipe(cls, pipeline: LoadedModel, *, torch_dtype: Any = None, **components: Any) -> Self:
        """This kind of pipeline on another's networks, without a copy, with what was loaded onto them since.

        It works in tiles where the other does. ``components`` take the place of the other's, and ``torch_dtype`` is the
        UNet's, which both share. Raises InputError as `register_modules`.
        """
        if not isinstance(pipeline, LoadedModel):
            raise InputError(f"from_pipe takes a pipeline of jstyle, not {type(pipeline).__name__}")
        pipe = cls(pipeline.parts)
        pipe.vocabulary, pipe.loras = pipeline.vocabulary, pipeline.loras
        pipe.vocabulary_2 = pipeline.vocabulary_2
        pipe.name_or_path, pipe._bar_settings = pipeline.name_or_path, pipeline._bar_settings
        pipe._scheduler, pipe._named = pipeline._scheduler, pipeline._named
        pipe.loaded_by, pipe._loaded_schedule = pipeline.loaded_by, pipeline._loaded_schedule
        pipe.register_modules(**components)
        if torch_dtype is not None:
            pipe.unet.to(torch_dtype)
        return pipe

    @property
    def components(self) -> dict[str, Any]:
        """The parts by diffusers' names: ``StableDiffusionImg2ImgPipeline(**pipe.components)`` shares them."""
        second = {"text_encoder_2": self.text_encoder_2, "tokenizer_2": self.parts.tokenizer_2}
        return {
            "vae": self.vae,
            "text_encoder": self.text_encoder,
            **({"safety_checker": None} if self.text_encoder_2 is None else second),
            "tokenizer": self.parts.tokenizer,
            "unet": self.unet,
            "scheduler": self.scheduler,
            "feature_extractor": None,
            "image_encoder": self.image_encoder,
        }

    def open_net(self, files: NetFiles) -> ControlNetModel:
        """A ControlNet that was located, in the precision that the UNet computes in."""
        return ControlNetModel.from_files(files, self.unet.dtype)

    @property
    def is_xl(self) -> bool:
        """Whether it is Stable Diffusion XL, which has a second text encoder."""
        return self.text_encoder_2 is not None

    @property
    def zeroes_no_negative(self) -> bool:
        """Whether zeros stand against a prompt where there is no negative one, as in SDXL."""
        return self.parts.zeroes_no_negative

    @property
    def scheduler(self) -> Any:
        """The checkpoint's noise levels and sampler, or those that were put in their place, under diffusers' names.

        Raises InputError for a checkpoint whose scheduler is not here.
        """
        return make_scheduler(self.schedule.config) if self._scheduler is None else self._scheduler

    @property
    def has_own_scheduler(self) -> bool:
        """Whether a scheduler was put on it that says other things than that of the model that was loaded."""
        return self._scheduler is not None and self.schedule.config != self._loaded_schedule

    def save_pretrained(
        self,
        save_directory: Union[str, Path],
        safe_serialization: bool = True,
        variant: Optional[str] = None,
        *,
        overwrite: bool = False,
        **told: Any,
    ) -> None:
        """Write diffusers' layout, which diffusers reads; ``variant="fp16"`` halves the files.

        LoRA adapters are written along where they are fused; learnt words are not. To write the same again changes
        nothing; another model in the folder is replaced with ``overwrite=True`` alone (`saving`). ``told`` is
        diffusers' ``max_shard_size``, which changes nothing. Raises InputError where the folder holds another model,
        for pickles, for other arguments, and where adapters are being trained on the networks.
        """
        refuse_unsaved("save_pretrained", told, list_arguments(self.save_pretrained))
        for network in self.adaptable:
            network.require_no_adapters()
        require_safe(safe_serialization)
        checkpoint.save(self.parts, Path(save_directory), variant=variant, overwrite=overwrite)

    @property
    def tokenizer(self) -> Any:
        """transformers' tokenizer, which spells learnt words too."""
        return self.vocabulary.tokenizer

    @property
    def tokenizer_2(self) -> Any:
        """SDXL's second."""
        return None if self.vocabulary_2 is None else self.vocabulary_2.tokenizer


def _choose_precision(precision: str, *named: Any) -> str:
    """The precision, or that of a dtype which is named beside it."""
    for dtype in named:
        precision = precision if dtype is None else find_precision(dtype)
    return precision
