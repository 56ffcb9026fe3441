"""What other programs call our settings, so that a word brought from one is answered with the setting that is meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import get_args

from jstyle.settings.messages import find_close, guess
from jstyle.settings.vocabulary import Sigmas

_CURVES = get_args(Sigmas)
_LIKE = 0.7  # how much a word must be like the one that was meant, from 0 to 1

_ELSEWHERE: Mapping[str, str] = {
    # pictures: CompVis' and diffusers' scripts, A1111's and ComfyUI's interfaces
    "guidance": "cfg cfg_scale cfg_weight guidance_scale scale unconditional_guidance_scale",
    "steps": "ddim_steps n_steps num_inference_steps num_steps sample_steps sampling_steps ddim_inv_steps T",
    "sampler": "sample_method sampler_index sampler_name sampling_method scheduler scheduler_name",
    "sampler pndm": "plms",
    "sampler ddim": "ddim",
    "sampler dpmpp_2m": "dpm_solver dpm",
    "sigmas": "noise_schedule sigma_schedule",
    "sigmas karras": "karras use_karras_sigmas",
    "eta": "ddim_eta",
    "images": "batch_count count n_images n_iter n_samples num num_images num_images_per_prompt num_samples samples",
    "batch_size": "batch",
    "negative_prompt": "neg_prompt negative negative_prompts uc",
    "width": "W image_width image_size res resolution size",
    "height": "H image_height",
    "strength": "denoise denoising denoising_strength image_strength",
    "image_strength": "denoise denoising denoising_strength strength",
    "seed": "noise_seed random_seed",
    "image": "image_path img init init_image init_img input input_image source",
    "mask": "mask_image mask_path",
    "long_prompts chunk": "long_prompt max_embeddings_multiples",
    "prompt": "caption instance_prompt positive positive_prompt prompts text",
    "target": "edited_prompt target_prompt",
    "content": "cnt cnt_fn content_dir content_image content_images content_path contents",
    "style": "sty sty_fn style_dir style_image style_images style_path",
    "style_text": "style_prompt",
    "reference_image": "ref ref_image reference_picture",
    "layers": "attn_layer injection_layers",
    "lora": "lora_name lora_path lora_weights loras",
    "words": "embedding embeddings textual_inversion",
    # models and outputs, wherever there are any
    "model": "base ckpt ckpt_name ckpt_path checkpoint model_id model_name model_path pretrained_model "
    "pretrained_model_name_or_path sd_model sd_model_checkpoint",
    "vae_weights": "vae vae_name vae_path pretrained_vae_model_name_or_path",
    "prediction_type v_prediction": "v_parameterization v_pred",
    "precision": "dtype mixed_precision torch_dtype",
    "precision fp16": "fp16 half no_full_precision",
    "vae_tiling": "enable_vae_tiling tiled_vae",
    "output": "dest destination out outdir output_dir output_folder output_name output_path save_dir save_path",
    "overwrite": "force",
    "plan": "dry_run",
    "files": "file input inputs source src",
    # trainings: diffusers' scripts, sd-scripts, peft
    "data": "data_dir data_root dataset dataset_name image_dir instance_data_dir train_data_dir train_dir",
    "loop.steps": "iterations max_steps max_train_steps num_train_steps steps train_steps",
    "loop.rate": "learning_rate lr unet_lr",
    "loop.schedule": "lr_schedule lr_scheduler lr_scheduler_type",
    "loop.warmup": "lr_warmup lr_warmup_steps warmup_steps",
    "loop.accumulate": "accumulate_grad_batches gradient_accumulation gradient_accumulation_steps",
    "loop.clip": "clip_grad grad_clip max_grad_norm",
    "loop.beta1": "adam_beta1",
    "loop.beta2": "adam_beta2",
    "loop.eps": "adam_epsilon",
    "loop.weight_decay": "adam_weight_decay",
    "loop.ema": "ema_decay use_ema",
    "loop.seed": "random_seed seed",
    "loop.checkpoint_every": "checkpointing_steps save_every_n_steps save_steps",
    "loss.min_snr": "min_snr_gamma snr_gamma",
    "loss.offset_noise": "noise_offset",
    "batch": "batch_size per_device_train_batch_size train_batch_size",
    "recompute": "checkpoint_activations gradient_checkpointing",
    "flip": "flip_aug random_flip",
    "fit": "center_crop",
    "validation_prompts": "sample_prompts validation_prompt",
    "validation_every": "sample_every_n_steps validation_epochs",
    "caption_dropout": "caption_dropout_rate proportion_empty_prompts",
    "text_encoder": "train_text_encoder",
    "class_images": "num_class_images",
    "prior_weight": "prior_loss_weight",
    "rank": "lora_dim lora_r lora_rank network_dim r",
    "alpha": "lora_alpha network_alpha",
    "dropout": "lora_dropout network_dropout",
    "convolutions": "conv_dim conv_rank",
    "token": "placeholder_token token_string",
    "initial": "init_word initializer_token",
    "vectors": "num_vectors num_vectors_per_token",
    "set loop.steps=300": "loop.steps max_steps max_train_steps steps train_steps",
    "set loop.rate=1e-4": "learning_rate loop.rate lr rate",
    "set rank=8": "lora_rank network_dim rank",
    "set batch=2": "batch batch_size train_batch_size",
    # jobs
    "workers": "n_workers num_processes num_workers",
    "jobs": "n_workers num_processes num_workers workers",
    "devices": "cuda gpu gpu_ids gpus",
    "device": "cuda gpu",
    "submission": "images_dir input pred result results",
}

_VALUES: Mapping[str, str] = {
    # samplers of A1111's and ComfyUI's interfaces, k-diffusion's and diffusers' names
    "ddim": "ddimscheduler",
    "ddpm": "ddpmscheduler",
    "pndm": "plms pndmscheduler",
    "lms": "k_lms lmsdiscretescheduler",
    "euler": "eulerdiscretescheduler k_euler",
    "euler_a": "euler_ancestral eulerancestraldiscretescheduler k_euler_a k_euler_ancestral",
    "heun": "heundiscretescheduler k_heun",
    "kdpm2": "dpm2 dpm_2 k_dpm_2 kdpm2discretescheduler",
    "kdpm2_a": "dpm2_a dpm_2_a dpm_2_ancestral k_dpm_2_a k_dpm_2_ancestral kdpm2ancestraldiscretescheduler",
    "dpmpp_2m": "dpm_solverpp dpmsolver dpmsolverpp dpmsolvermultistepscheduler k_dpmpp_2m",
    "dpmpp_2s": "dpmsingle dpmsolversinglestepscheduler",
    "dpmpp_sde": "dpmsolversdescheduler",
    "deis": "deismultistepscheduler",
    "unipc": "uni_pc uni_pc_bh2 unipcmultistepscheduler",
    "lcm": "lcmscheduler",
    "tcd": "tcdscheduler",
    "ays": "align_your_steps",
    # what networks compute in
    "fp32": "float float32 full no",
    "fp16": "float16 half",
    "bf16": "bfloat16",
    # what a UNet predicts
    "epsilon": "eps",
    "v_prediction": "v",
    "sample": "x0",
}


def guess_value(value: object, choices: Iterable[str]) -> str:
    """The choice that another program's word for it means, as a question; "" for none.

    Samplers are found with a curve's name behind them, as A1111 wrote both in one before 1.9: "DPM++ 2M Karras".
    """
    choices = list(choices)
    word = "_".join(str(value).lower().replace("++", "pp").replace("-", " ").split())
    meant = _find_choice(word, choices)
    if meant:
        return f"did you mean {meant}?"
    sampler, _, curve = word.rpartition("_")
    meant = _find_choice(sampler, choices) if curve in _CURVES else ""
    return f"did you mean {meant}, and {curve} for sigmas?" if meant else guess(value, choices)


def _find_choice(word: str, choices: Iterable[str]) -> str:
    return next((choice for choice in choices if word == choice or word in _VALUES.get(choice, "").split()), "")


def guess_setting(word: str, names: Iterable[str]) -> str:
    """The setting that an unknown word means, with a space and its value where one goes with the word; "" for none.

    It is one of ``names``, which are dotted where they are nested: what another program's word stands for, one that
    the word is the last part of, or one that is spelt much like it.
    """
    names = list(names)
    word = word.lower().replace("-", "_")
    meant = [_find(option, names) for option in _list_meanings().get(word, ())]
    last_parts = {name.rpartition(".")[2]: name for name in sorted(names, key=len, reverse=True)}
    close = find_close(word, [*names, *last_parts], _LIKE)
    return next(filter(None, [*meant, last_parts.get(word, ""), last_parts.get(close, close)]), "")


def list_words() -> Iterable[str]:
    """Every word of other programs."""
    return _list_meanings()


@lru_cache(maxsize=None)
def _list_meanings() -> Mapping[str, tuple[str, ...]]:
    meanings: dict[str, tuple[str, ...]] = {}
    for option, words in _ELSEWHERE.items():
        for word in words.lower().split():
            meanings[word] = (*meanings.get(word, ()), option)
    return meanings


def _find(option: str, names: Iterable[str]) -> str:
    """The option under its name here, which may stand deeper (`training.loop.steps`); "" where it is not here."""
    name, space, value = option.partition(" ")
    here = name if name in names else _find_deeper(name, names) if "." in name else ""
    return here and f"{here}{space}{value}"


def _find_deeper(option: str, names: Iterable[str]) -> str:
    """The shortest name that ends in a dot and the option; "" for none."""
    return min((name for name in names if name.endswith(f".{option}")), key=len, default="")
