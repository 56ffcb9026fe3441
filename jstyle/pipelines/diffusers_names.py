"""What scripts for diffusers ask of a pipeline beside its call: what it is, its bar, and what has no effect here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional

from jstyle.errors import RefusedName
from jstyle.ops.precision import on_gpu
from jstyle.pipelines.image_processor import VaeImageProcessor
from jstyle.settings.arguments import refuse_unknown
from jstyle.settings.vocabulary import is_guided

if TYPE_CHECKING:
    from jstyle.networks import AutoencoderKL, UNet2DConditionModel

_IN_CALL = "a call does that by itself; pass it what you have"
NO_IP_ADAPTER = "IP-Adapters are not here; StyleID and InST take their style from a picture (jstyle.StyleID)"
NO_REFINER = "SDXL's refiner is not here, and the base takes all the steps; leave it out"
_NO_CONFIG = "what a folder says stands in pipe.unet.config, pipe.vae.config and pipe.scheduler.config"
_LOADED_WHOLE = "load_lora_weights reads a file and puts it on both networks"
_SAVED_WHOLE = "save_lora_weights writes a file that both libraries read"

REFUSED: Mapping[str, str] = {
    "check_inputs": "a call checks its arguments, and says in one line what is wrong",
    "config": _NO_CONFIG,
    "config_name": _NO_CONFIG,
    "denoising_end": NO_REFINER,
    "denoising_start": NO_REFINER,
    "download": "from_pretrained fetches what it loads, once, into huggingface_hub's cache",
    "enable_freeu": "FreeU is not here; leave it out",
    "encode_image": NO_IP_ADAPTER,
    "extract_init_dict": _NO_CONFIG,
    "from_config": f"{_NO_CONFIG}; from_pretrained loads a folder",
    "get_config_dict": _NO_CONFIG,
    "get_guidance_scale_embedding": "a call tells guidance_scale to a UNet that reads it",
    "get_timesteps": _IN_CALL,
    "has_compatibles": _NO_CONFIG,
    "hf_device_map": "there is one device; pipe.device names it",
    "ignore_for_config": _NO_CONFIG,
    "load_config": _NO_CONFIG,
    "load_ip_adapter": NO_IP_ADAPTER,
    "load_lora_into_text_encoder": _LOADED_WHOLE,
    "load_lora_into_unet": _LOADED_WHOLE,
    "maybe_convert_prompt": "pipe.tokenizer spells learnt words, of several vectors too",
    "pack_weights": _SAVED_WHOLE,
    "parameters": "pipe.unet.parameters() and the other networks' have them",
    "prepare_extra_step_kwargs": _IN_CALL,
    "prepare_ip_adapter_image_embeds": NO_IP_ADAPTER,
    "prepare_latents": f"{_IN_CALL} as latents=, of unit noise",
    "prepare_mask_latents": f"{_IN_CALL} as mask_image=",
    "push_to_hub": "nothing is sent anywhere; save_pretrained writes a folder, `hf upload` sends it",
    "register_for_auto_class": "there are no classes of others here",
    "register_to_config": _NO_CONFIG,
    "run_safety_checker": "nothing looks at what pictures show",
    "save_config": "save_pretrained writes the configuration along",
    "set_ip_adapter_scale": NO_IP_ADAPTER,
    "to_json_file": _NO_CONFIG,
    "to_json_string": _NO_CONFIG,
    "write_lora_layers": _SAVED_WHOLE,
}
"""diffusers' names that are not here, and what to do instead."""


_TOLD_WITHOUT_EFFECT = (
    "attention_op", "device", "exclude_modules", "gpu_id", "low_cpu_mem_usage", "non_blocking", "num_blocks_per_group",
    "offload_device", "offload_to_disk_path", "offload_type", "onload_device", "record_stream", "slice_size", "unet",
    "use_stream", "vae", "valid",
)  # fmt: skip
"""Arguments of the methods that have nothing to do here."""


class DiffusersNames:
    """The part of a pipeline that takes scripts for diffusers as they are."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    safety_checker: Any = None
    feature_extractor: Any = None
    model_cpu_offload_seq = "text_encoder->image_encoder->unet->vae"
    text_encoder_name, unet_name = "text_encoder", "unet"

    _callback_tensor_inputs: Sequence[str] = ("latents", "prompt_embeds", "negative_prompt_embeds")
    """What a call shows its callbacks where it is told to."""

    _guidance_scale: float = 7.5
    _guidance_rescale: float = 0.0
    _clip_skip: Optional[int] = None
    _cross_attention_kwargs: Optional[dict[str, Any]] = None
    _num_timesteps: int = 0
    _interrupt: bool = False
    _bar_settings: Mapping[str, Any]

    def __getattr__(self, name: str) -> Any:
        if name in REFUSED:
            raise RefusedName(f"{name}: {REFUSED[name]}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def note_call(
        self, guidance: float, rescale: float, skip: Optional[int], attention: Optional[dict[str, Any]]
    ) -> None:
        """A call begins with these settings, which callbacks may look up, and change, until it ends."""
        self._guidance_scale, self._guidance_rescale = guidance, rescale
        self._clip_skip, self._cross_attention_kwargs = skip, attention
        self._interrupt = False

    @property
    def guidance_scale(self) -> float:
        """The guidance of the last call; a callback may set ``_guidance_scale`` for the steps that are left."""
        return self._guidance_scale

    @property
    def guidance_rescale(self) -> float:
        """The ``guidance_rescale`` of the last call."""
        return self._guidance_rescale

    @property
    def do_classifier_free_guidance(self) -> bool:
        """Whether the last call has an unconditional half."""
        return is_guided(self._guidance_scale) and not self.unet.config.reads_guidance

    @property
    def clip_skip(self) -> Optional[int]:
        """The ``clip_skip`` of the last call."""
        return self._clip_skip

    @property
    def cross_attention_kwargs(self) -> Optional[dict[str, Any]]:
        """The ``cross_attention_kwargs`` of the last call."""
        return self._cross_attention_kwargs

    @property
    def lora_scale(self) -> float:
        """The strength of LoRAs in the last call."""
        return (self._cross_attention_kwargs or {}).get("scale", 1.0)

    @property
    def num_timesteps(self) -> int:
        """How often the last call asks the UNet."""
        return self._num_timesteps

    @property
    def interrupt(self) -> bool:
        """Whether the call at hand is to end after this step, which a callback says by ``pipe._interrupt = True``."""
        return self._interrupt

    @property
    def device(self) -> str:
        """Where Jittor computes: "cuda" or "cpu"."""
        return "cuda" if on_gpu() else "cpu"

    @property
    def dtype(self) -> str:
        """What the UNet computes in, such as "float32"."""
        return self.unet.dtype

    @property
    def vae_scale_factor(self) -> int:
        """How many pixels a latent's side stands for."""
        return self.vae.config.factor

    @property
    def image_processor(self) -> VaeImageProcessor:
        """Between pictures and what the autoencoder takes and gives."""
        return VaeImageProcessor(self.vae.config.factor)

    def to(self, *places: Any, dtype: Any = None, device: Any = None, silence_dtype_warnings: bool = False) -> Any:
        """The pipeline itself. Jittor says where it computes, so devices change nothing; a dtype is the UNet's.

        Raises InputError for a dtype that is unknown or in which this machine cannot compute.
        """
        self.unet.to(*places, dtype=dtype)
        return self

    def progress_bar(self, iterable: Optional[Iterable[Any]] = None, total: Optional[int] = None) -> Any:
        """tqdm's bar with the settings of ``set_progress_bar_config``. By default only a terminal sees it."""
        from tqdm.auto import tqdm

        return tqdm(iterable, **{"total": total, **self._bar_settings})

    def set_progress_bar_config(self, **settings: Any) -> None:
        """Settings of tqdm's for the bars of calls, such as ``disable=True``."""
        self._bar_settings = settings

    @staticmethod
    def numpy_to_pil(images: Any) -> Any:
        """PIL pictures of an array (images, height, width, 3) in [0, 1]."""
        return VaeImageProcessor.numpy_to_pil(images)

    def accept(self, *_: Any, **told: Any) -> None:
        """Nothing. In PyTorch this saves memory or time and changes no result; here there is nothing to save.

        Attention never holds a matrix of logits, the autoencoder takes one image at a time, Jittor holds the weights.
        Raises InputError for an argument that diffusers has in none of these.
        """
        refuse_unknown("this method", told, _TOLD_WITHOUT_EFFECT)

    enable_attention_slicing = disable_attention_slicing = set_attention_slice = accept
    enable_vae_slicing = disable_vae_slicing = accept
    enable_model_cpu_offload = enable_sequential_cpu_offload = enable_group_offload = accept
    maybe_free_model_hooks = remove_all_hooks = reset_device_map = accept
    enable_xformers_memory_efficient_attention = disable_xformers_memory_efficient_attention = accept
    set_use_memory_efficient_attention_xformers = accept
    fuse_qkv_projections = unfuse_qkv_projections = accept
    disable_freeu = unload_ip_adapter = accept
    upcast_vae = accept  # it computes in fp32
