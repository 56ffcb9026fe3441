"""Style transfer and style training with Stable Diffusion in Jittor.

Importing this starts nothing: what is asked for is imported then, and Jittor comes up with the first network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jstyle.lazy import imported_on_demand

if TYPE_CHECKING:
    from jstyle.diffusion import samplers
    from jstyle.diffusion.clip_tokenizer import CLIPTokenizer
    from jstyle.diffusion.schedulers.classes import (
        DDIMInverseScheduler,
        DDIMScheduler,
        DDPMScheduler,
        DEISMultistepScheduler,
        DPMSolverMultistepScheduler,
        DPMSolverSDEScheduler,
        DPMSolverSinglestepScheduler,
        EulerAncestralDiscreteScheduler,
        EulerDiscreteScheduler,
        HeunDiscreteScheduler,
        KDPM2AncestralDiscreteScheduler,
        KDPM2DiscreteScheduler,
        LCMScheduler,
        LMSDiscreteScheduler,
        PNDMScheduler,
        TCDScheduler,
        UniPCMultistepScheduler,
    )
    from jstyle.drop_in import (
        LoraConfig,
        LoraLoaderMixin,
        compute_snr,
        convert_state_dict_to_diffusers,
        get_peft_model_state_dict,
        get_scheduler,
    )
    from jstyle.errors import InputError
    from jstyle.methods.artfusion.run import ArtFusion
    from jstyle.methods.artfusion.settings import ArtFusionSettings
    from jstyle.methods.attention_distillation.run import AttentionDistillation
    from jstyle.methods.attention_distillation.settings import AttentionDistillationSettings
    from jstyle.methods.attention_distillation.styles import StyleMix
    from jstyle.methods.attention_distillation.text.run import DistilledText
    from jstyle.methods.attention_distillation.text.settings import DistilledTextSettings
    from jstyle.methods.imagic.run import Imagic
    from jstyle.methods.imagic.settings import ImagicSettings
    from jstyle.methods.inst.run import InST
    from jstyle.methods.inst.settings import InstSettings, InstTrainSettings
    from jstyle.methods.prompt_to_prompt.run import PromptToPrompt
    from jstyle.methods.prompt_to_prompt.settings import PromptToPromptSettings
    from jstyle.methods.z_star.run import ZStar
    from jstyle.methods.z_star.settings import ZStarSettings
    from jstyle.networks import (
        AutoencoderKL,
        CLIPTextModel,
        CLIPTextModelWithProjection,
        ControlNetModel,
        UNet2DConditionModel,
    )
    from jstyle.networks.editing import attached, swapped
    from jstyle.pictures.finished import save_picture
    from jstyle.pictures.grids import load_image, make_image_grid
    from jstyle.pipelines.artfusion import ArtFusionPipeline
    from jstyle.pipelines.auto import (
        AutoPipelineForImage2Image,
        AutoPipelineForInpainting,
        AutoPipelineForText2Image,
        DiffusionPipeline,
    )
    from jstyle.pipelines.controlnet import (
        MultiControlNetModel,
        StableDiffusionControlNetImg2ImgPipeline,
        StableDiffusionControlNetInpaintPipeline,
        StableDiffusionControlNetPipeline,
    )
    from jstyle.pipelines.controlnet_xl import (
        StableDiffusionXLControlNetImg2ImgPipeline,
        StableDiffusionXLControlNetInpaintPipeline,
        StableDiffusionXLControlNetPipeline,
    )
    from jstyle.pipelines.image_processor import VaeImageProcessor
    from jstyle.pipelines.image_to_image import StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline
    from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
    from jstyle.pipelines.stable_diffusion_xl import (
        StableDiffusionXLImg2ImgPipeline,
        StableDiffusionXLInpaintPipeline,
        StableDiffusionXLPipeline,
    )
    from jstyle.pipelines.wrapping import accelerate, wrap
    from jstyle.settings.model import ModelSettings
    from jstyle.training.settings import LoopSettings
    from jstyle.training.teaching.controlnet.settings import ControlNetSettings
    from jstyle.training.teaching.dreambooth.settings import DreamBoothSettings
    from jstyle.training.teaching.fine_tuning.settings import FineTuningSettings
    from jstyle.training.teaching.lora.settings import LoraSettings
    from jstyle.training.teaching.table import train
    from jstyle.training.teaching.textual_inversion.settings import TextualInversionSettings
    from style_align.run import StyleAligned
    from style_align.settings import StyleAlignSettings
    from styleid.run import StyleID
    from styleid.settings import StyleIDSettings

__all__ = [
    "DDIMInverseScheduler",
    "DDIMScheduler",
    "DDPMScheduler",
    "LoraConfig",
    "LoraLoaderMixin",
    "PNDMScheduler",
    "LMSDiscreteScheduler",
    "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "DPMSolverSDEScheduler",
    "DEISMultistepScheduler",
    "UniPCMultistepScheduler",
    "LCMScheduler",
    "TCDScheduler",
    "ArtFusion",
    "ArtFusionPipeline",
    "ArtFusionSettings",
    "AttentionDistillation",
    "AttentionDistillationSettings",
    "AutoPipelineForImage2Image",
    "AutoPipelineForInpainting",
    "AutoPipelineForText2Image",
    "DiffusionPipeline",
    "VaeImageProcessor",
    "AutoencoderKL",
    "CLIPTextModel",
    "CLIPTextModelWithProjection",
    "CLIPTokenizer",
    "ControlNetModel",
    "ControlNetSettings",
    "DistilledText",
    "DistilledTextSettings",
    "DreamBoothSettings",
    "FineTuningSettings",
    "Imagic",
    "ImagicSettings",
    "InST",
    "InputError",
    "InstSettings",
    "InstTrainSettings",
    "LoopSettings",
    "LoraSettings",
    "ModelSettings",
    "MultiControlNetModel",
    "PromptToPrompt",
    "PromptToPromptSettings",
    "StableDiffusionControlNetImg2ImgPipeline",
    "StableDiffusionControlNetInpaintPipeline",
    "StableDiffusionControlNetPipeline",
    "StableDiffusionImg2ImgPipeline",
    "StableDiffusionInpaintPipeline",
    "StableDiffusionPipeline",
    "StableDiffusionXLControlNetImg2ImgPipeline",
    "StableDiffusionXLControlNetInpaintPipeline",
    "StableDiffusionXLControlNetPipeline",
    "StableDiffusionXLImg2ImgPipeline",
    "StableDiffusionXLInpaintPipeline",
    "StableDiffusionXLPipeline",
    "StyleAlignSettings",
    "StyleAligned",
    "StyleID",
    "StyleMix",
    "StyleIDSettings",
    "TextualInversionSettings",
    "UNet2DConditionModel",
    "ZStar",
    "ZStarSettings",
    "accelerate",
    "attached",
    "compute_snr",
    "convert_state_dict_to_diffusers",
    "get_peft_model_state_dict",
    "get_scheduler",
    "load_image",
    "make_image_grid",
    "samplers",
    "save_picture",
    "swapped",
    "train",
    "wrap",
]
__version__ = "0.2.0"

__getattr__ = imported_on_demand(
    __name__,
    {
        "DDIMInverseScheduler": "jstyle.diffusion.schedulers.classes",
        "DDIMScheduler": "jstyle.diffusion.schedulers.classes",
        "DDPMScheduler": "jstyle.diffusion.schedulers.classes",
        "LoraConfig": "jstyle.drop_in.lora_config",
        "LoraLoaderMixin": "jstyle.adapters.lora_states",
        "PNDMScheduler": "jstyle.diffusion.schedulers.classes",
        "LMSDiscreteScheduler": "jstyle.diffusion.schedulers.classes",
        "EulerDiscreteScheduler": "jstyle.diffusion.schedulers.classes",
        "EulerAncestralDiscreteScheduler": "jstyle.diffusion.schedulers.classes",
        "HeunDiscreteScheduler": "jstyle.diffusion.schedulers.classes",
        "KDPM2DiscreteScheduler": "jstyle.diffusion.schedulers.classes",
        "KDPM2AncestralDiscreteScheduler": "jstyle.diffusion.schedulers.classes",
        "DPMSolverMultistepScheduler": "jstyle.diffusion.schedulers.classes",
        "DPMSolverSinglestepScheduler": "jstyle.diffusion.schedulers.classes",
        "DPMSolverSDEScheduler": "jstyle.diffusion.schedulers.classes",
        "DEISMultistepScheduler": "jstyle.diffusion.schedulers.classes",
        "UniPCMultistepScheduler": "jstyle.diffusion.schedulers.classes",
        "LCMScheduler": "jstyle.diffusion.schedulers.classes",
        "TCDScheduler": "jstyle.diffusion.schedulers.classes",
        "AutoPipelineForImage2Image": "jstyle.pipelines.auto",
        "AutoPipelineForInpainting": "jstyle.pipelines.auto",
        "AutoPipelineForText2Image": "jstyle.pipelines.auto",
        "DiffusionPipeline": "jstyle.pipelines.auto",
        "VaeImageProcessor": "jstyle.pipelines.image_processor",
        "AutoencoderKL": "jstyle.networks.vae",
        "CLIPTextModel": "jstyle.networks.clip_text",
        "CLIPTextModelWithProjection": "jstyle.networks.clip_text",
        "CLIPTokenizer": "jstyle.diffusion.clip_tokenizer",
        "ControlNetModel": "jstyle.networks.controlnet",
        "ControlNetSettings": "jstyle.training.teaching.controlnet.settings",
        "DreamBoothSettings": "jstyle.training.teaching.dreambooth.settings",
        "FineTuningSettings": "jstyle.training.teaching.fine_tuning.settings",
        "ArtFusion": "jstyle.methods.artfusion.run",
        "ArtFusionPipeline": "jstyle.pipelines.artfusion",
        "ArtFusionSettings": "jstyle.methods.artfusion.settings",
        "AttentionDistillation": "jstyle.methods.attention_distillation.run",
        "AttentionDistillationSettings": "jstyle.methods.attention_distillation.settings",
        "DistilledText": "jstyle.methods.attention_distillation.text.run",
        "DistilledTextSettings": "jstyle.methods.attention_distillation.text.settings",
        "StyleMix": "jstyle.methods.attention_distillation.styles",
        "InST": "jstyle.methods.inst.run",
        "InputError": "jstyle.errors",
        "Imagic": "jstyle.methods.imagic.run",
        "ImagicSettings": "jstyle.methods.imagic.settings",
        "InstSettings": "jstyle.methods.inst.settings",
        "InstTrainSettings": "jstyle.methods.inst.settings",
        "LoopSettings": "jstyle.training.settings",
        "LoraSettings": "jstyle.training.teaching.lora.settings",
        "ModelSettings": "jstyle.settings.model",
        "MultiControlNetModel": "jstyle.pipelines.controlnet",
        "PromptToPrompt": "jstyle.methods.prompt_to_prompt.run",
        "PromptToPromptSettings": "jstyle.methods.prompt_to_prompt.settings",
        "StableDiffusionControlNetImg2ImgPipeline": "jstyle.pipelines.controlnet",
        "StableDiffusionControlNetInpaintPipeline": "jstyle.pipelines.controlnet",
        "StableDiffusionControlNetPipeline": "jstyle.pipelines.controlnet",
        "StableDiffusionXLControlNetImg2ImgPipeline": "jstyle.pipelines.controlnet_xl",
        "StableDiffusionXLControlNetInpaintPipeline": "jstyle.pipelines.controlnet_xl",
        "StableDiffusionXLControlNetPipeline": "jstyle.pipelines.controlnet_xl",
        "StableDiffusionImg2ImgPipeline": "jstyle.pipelines.image_to_image",
        "StableDiffusionInpaintPipeline": "jstyle.pipelines.image_to_image",
        "StableDiffusionPipeline": "jstyle.pipelines.stable_diffusion",
        "StableDiffusionXLImg2ImgPipeline": "jstyle.pipelines.stable_diffusion_xl",
        "StableDiffusionXLInpaintPipeline": "jstyle.pipelines.stable_diffusion_xl",
        "StableDiffusionXLPipeline": "jstyle.pipelines.stable_diffusion_xl",
        "StyleAlignSettings": "style_align.settings",
        "StyleAligned": "style_align.run",
        "StyleID": "styleid.run",
        "StyleIDSettings": "styleid.settings",
        "TextualInversionSettings": "jstyle.training.teaching.textual_inversion.settings",
        "UNet2DConditionModel": "jstyle.networks.unet",
        "ZStar": "jstyle.methods.z_star.run",
        "ZStarSettings": "jstyle.methods.z_star.settings",
        "accelerate": "jstyle.pipelines.wrapping",
        "attached": "jstyle.networks.editing",
        "compute_snr": "jstyle.drop_in.loss_weights",
        "convert_state_dict_to_diffusers": "jstyle.adapters.lora_states",
        "get_peft_model_state_dict": "jstyle.adapters.lora_states",
        "get_scheduler": "jstyle.drop_in.learning_rates",
        "load_image": "jstyle.pictures.grids",
        "make_image_grid": "jstyle.pictures.grids",
        "samplers": "jstyle.diffusion.samplers",
        "save_picture": "jstyle.pictures.finished",
        "swapped": "jstyle.networks.editing",
        "train": "jstyle.training.teaching.table",
        "wrap": "jstyle.pipelines.wrapping",
    },
)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
