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
XL_CLIP, XL_OPEN_CLIP = "conditioner.embedders.0.transformer.", "conditioner.embedders.1.model."

# What a name of another kind of model or file contains. The first that is found is told.
_OTHERS = (
    (r"lora_unet_|lora_te|.*\.lora_(up|down|A|B|linear)|.*\.(hada|lokr|oft)_", "a LoRA, which goes on a model"),
    (r"emb_params$|string_to_param", "a learnt word, which goes on a model"),
    (r"control_model\.|.*(input_hint_block|controlnet_)", "a ControlNet, which is not here"),
    (r"conditioner\.embedders\.0\.model\.", "SDXL's refiner, which is not here"),
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
    text_encoder_2: Optional[str]
    """Of SDXL's second; None where the file has none."""

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
        """The width of the texts that the UNet reads; 0 where no layer of the original places reads any."""
        firsts = ("down_blocks.0.attentions.0", "down_blocks.1.attentions.0", "input_blocks.1.1", "input_blocks.4.1")
        return max(self._measure(f"{first}.transformer_blocks.0.attn2.to_k.weight") for first in firsts)

    @property
    def is_xl(self) -> bool:
        """Whether the UNet reads a vector of the text and sizes too."""
        first = "add_embedding.linear_1.weight" if self.is_renamed else "label_emb.0.0.weight"
        return self._measure(first) > 0

    @property
    def parts(self) -> dict[str, Optional[str]]:
        """What the names of each network that the model needs begin with; None where the file has it not."""
        found = {"unet": self.unet, "vae": self.vae, "text_encoder": self.text_encoder}
        return {**found, "text_encoder_2": self.text_encoder_2} if self.is_xl else found

    def _measure(self, name: str) -> int:
        shape = self.shapes.get((self.unet or "") + name, ())
        return shape[1] if len(shape) > 1 else 0


def read_contents(file: Path) -> Contents:
    """Look at a file's names, shapes and metadata. Raises InputError for one that is damaged, a pickle, something else
    than Stable Diffusion 1.x, 2.x or XL, or that holds what belongs to none of its networks.
    """
    tensors = FileTensors([file])
    shapes = tensors.shapes()
    contents = _sort_names(file, shapes, tensors.metadata)
    if contents.unet is None:
        raise InputError(f"{file} {_describe_other(shapes)}; a model of Stable Diffusion 1.x, 2.x or XL is needed")
    if contents.unet:
        known = tuple(prefix for prefix in (VAE, *contents.parts.values()) if prefix)
        strays = [name for name in shapes if not name.startswith(known) and not _BESIDE.match(name)]
        if strays:
            shown = ", ".join(sorted(strays)[:3]) + (", ..." if strays[3:] else "")
            raise InputError(
                f"{file} holds {len(strays)} keys ({shown}) that are of no Stable Diffusion 1.x, 2.x or XL; fetch the "
                "file of such a model"
            )
    return contents


def _sort_names(file: Path, shapes: Shapes, metadata: Mapping[str, str]) -> Contents:
    other = next((what for pattern, what in _OTHERS for name in shapes if re.match(pattern, name)), None)
    if other is not None:
        raise InputError(f"{file} is {other}; a model of Stable Diffusion 1.x, 2.x or XL is needed")
    is_renamed = "conv_in.weight" in shapes and "down_blocks.0.resnets.0.conv1.weight" in shapes
    prefixes = {part: prefix for part, (prefix, first) in _FIRST_OF.items() if prefix + first in shapes}
    if is_renamed or "input_blocks.0.0.weight" in shapes:
        prefixes["unet"] = ""
    there = [prefix for prefix in (CLIP, OPEN_CLIP, XL_CLIP, XL_OPEN_CLIP) if _has_prefix(shapes, prefix)]
    return Contents(
        file,
        shapes,
        prefixes.get("unet"),
        prefixes.get("vae"),
        next((prefix for prefix in there if prefix != XL_OPEN_CLIP), None),
        XL_OPEN_CLIP if XL_OPEN_CLIP in there else None,
        is_renamed,
        _list_predictions(shapes, metadata),
        "ztsnr" in shapes,
    )


def _has_prefix(shapes: Shapes, prefix: str) -> bool:
    return any(name.startswith(prefix) for name in shapes)


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
