"""Which networks a single file holds, under which names, and what it says of its predictions. Free of Jittor."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from jstyle.errors import InputError
from jstyle.weights.tensors import FileTensors

UNET, VAE = "model.diffusion_model.", "first_stage_model."
CLIP, OPEN_CLIP = "cond_stage_model.transformer.", "cond_stage_model.model."

# What a name of another kind of model or file contains. The first that is found is told.
_OTHERS = (
    (r"lora_unet_|lora_te|.*\.lora_(up|down|A|B|linear)|.*\.(hada|lokr|oft)_", "a LoRA, which goes on a model"),
    (r"emb_params$|string_to_param", "a learnt word, which goes on a model"),
    (r"control_model\.|.*(input_hint_block|controlnet_)", "a ControlNet, which is not here"),
    (r"conditioner\.|(model\.diffusion_model\.)?label_emb\.|add_embedding\.", "Stable Diffusion XL, which is not here"),
    (r"(model\.diffusion_model\.)?joint_blocks\.", "Stable Diffusion 3, which is not here"),
    (r"(model\.diffusion_model\.)?double_blocks\.", "FLUX, which is not here"),
    (r".*(motion_modules|temporal_transformer|time_stack)\.", "for films, which are not made here"),
)
# Beside the networks in files of trainings: weights' averages, the schedule's tables, losses, counters, markers.
_BESIDE = re.compile(
    r"(model\.)?(model_ema\.|betas$|alphas_cumprod|sqrt_|log_one_minus|posterior_|lvlb_weights$|logvar$)"
    r"|(loss|denoiser|callbacks|optimizer_states|lr_schedulers)\.|(global_step|epoch|scale_factor|v_pred|ztsnr)$"
    r"|cond_stage_model\.(logit_scale|text_projection|attn_mask|empty_tokens)"
)
_FIRST_OF = {
    "unet": (UNET, "input_blocks.0.0.weight"),
    "vae": (VAE, "decoder.conv_in.weight"),
}
_ARCHITECTURES = {"stable-diffusion-v2-768-v": "v_prediction", "stable-diffusion-v2-512": "epsilon"}
_PREDICTIONS = {"v": "v_prediction", "v_prediction": "v_prediction", "epsilon": "epsilon", "eps": "epsilon"}

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Contents:
    """What is in a single file."""

    file: Path
    shapes: Shapes
    unet: Optional[str]
    """What the names of the UNet begin with, which may be nothing; None where the file has no UNet."""

    vae: Optional[str]
    text_encoder: Optional[str]
    is_renamed: bool
    """Whether the file is a UNet alone, under diffusers' names."""

    predictions: frozenset[str]
    """The prediction types that keys and metadata speak of."""

    is_zero_snr: bool
    """Whether a key says that the noisiest level is pure noise."""

    @property
    def channels(self) -> int:
        """Those that the UNet takes."""
        return self._measure("conv_in.weight" if self.is_renamed else "input_blocks.0.0.weight")

    @property
    def text_width(self) -> int:
        """The width of the texts that the UNet reads; 0 where no layer of the original place reads any."""
        first = "down_blocks.0.attentions.0" if self.is_renamed else "input_blocks.1.1"
        return self._measure(f"{first}.transformer_blocks.0.attn2.to_k.weight")

    def _measure(self, name: str) -> int:
        shape = self.shapes.get((self.unet or "") + name, ())
        return shape[1] if len(shape) > 1 else 0


def read_contents(file: Path) -> Contents:
    """Look at a file's names, shapes and metadata. Raises InputError for one that is damaged, a pickle, something else
    than Stable Diffusion 1.x or 2.x, or that holds what belongs to none of its networks.
    """
    tensors = FileTensors([file])
    shapes = tensors.shapes()
    contents = _sort_names(file, shapes, tensors.metadata)
    if contents.unet is None:
        raise InputError(f"{file} {_describe_other(shapes)}; a model of Stable Diffusion 1.x or 2.x is needed")
    if contents.unet:
        known = tuple(prefix for prefix in (contents.unet, VAE, contents.text_encoder) if prefix)
        strays = [name for name in shapes if not name.startswith(known) and not _BESIDE.match(name)]
        if strays:
            shown = ", ".join(sorted(strays)[:3]) + (", ..." if strays[3:] else "")
            raise InputError(
                f"{file} holds {len(strays)} keys ({shown}) that are of no Stable Diffusion 1.x or 2.x; fetch the file "
                "of such a model"
            )
    return contents


def _sort_names(file: Path, shapes: Shapes, metadata: Mapping[str, str]) -> Contents:
    other = next((what for pattern, what in _OTHERS for name in shapes if re.match(pattern, name)), None)
    if other is not None:
        raise InputError(f"{file} is {other}; a model of Stable Diffusion 1.x or 2.x is needed")
    is_renamed = "conv_in.weight" in shapes and "down_blocks.0.resnets.0.conv1.weight" in shapes
    prefixes = {part: prefix for part, (prefix, first) in _FIRST_OF.items() if prefix + first in shapes}
    if is_renamed or "input_blocks.0.0.weight" in shapes:
        prefixes["unet"] = ""
    text = next((prefix for prefix in (CLIP, OPEN_CLIP) if any(name.startswith(prefix) for name in shapes)), None)
    return Contents(
        file,
        shapes,
        prefixes.get("unet"),
        prefixes.get("vae"),
        text,
        is_renamed,
        _list_predictions(shapes, metadata),
        "ztsnr" in shapes,
    )


def _list_predictions(shapes: Shapes, metadata: Mapping[str, str]) -> frozenset[str]:
    """What the file says: the key `v_pred`, and the model specification that sd-scripts writes."""
    said = [
        "v_prediction" if "v_pred" in shapes else None,
        _PREDICTIONS.get(metadata.get("modelspec.prediction_type", "")),
        _ARCHITECTURES.get(metadata.get("modelspec.architecture", "")),
    ]
    return frozenset(prediction for prediction in said if prediction)


def _describe_other(shapes: Shapes) -> str:
    """What a file without a UNet holds."""
    if any(name.startswith((VAE, "encoder.", "decoder.")) for name in shapes):
        return "holds a VAE and no UNet: give it as the model's vae_weights"
    names: Sequence[str] = sorted(shapes)
    return f"holds no UNet, but {', '.join(names[:3]) or 'nothing'}{', ...' if names[3:] else ''}"
