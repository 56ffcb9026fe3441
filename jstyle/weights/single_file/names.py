"""The names that the original code gives to the parameters of Stable Diffusion's networks.

Those of CompVis' latent diffusion (github.com/CompVis/stable-diffusion, `ldm/modules`) for UNet and VAE, and of
OpenCLIP (github.com/mlfoundations/open_clip) for the text encoder of 2.x and the second of XL. Each function here
takes a configuration and gives the one that finds a parameter, by the name that it has in the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate

from jstyle.networks.config import ControlNetConfig, EncoderConfig, UNetConfig, VAEConfig
from jstyle.weights.stored import Slot

FindSlot = Callable[[str], Slot]

_UNET_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_VAE_RESNET = {"conv_shortcut": "nin_shortcut"}
_VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
_CLIP_LAYER = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}
_JOINED = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
_TEXT = "text_model."
_LAYERS = f"{_TEXT}encoder.layers."


def find_unet_names(config: UNetConfig) -> FindSlot:
    """Of a UNet: ``down_blocks.0.resnets.0.norm1.weight`` is ``input_blocks.1.0.in_layers.0.weight``."""
    modules = dict(_list_unet_modules(config))
    return lambda parameter: Slot(_translate(parameter, modules, {"resnets": _UNET_RESNET}))


def find_controlnet_names(config: ControlNetConfig) -> FindSlot:
    """Of a ControlNet: ``controlnet_down_blocks.0.weight`` is ``zero_convs.0.0.weight``, and the rest as of a UNet."""
    modules = dict(_list_controlnet_modules(config))
    return lambda parameter: Slot(_translate(parameter, modules, {"resnets": _UNET_RESNET}))


def find_vae_names(config: VAEConfig) -> FindSlot:
    """Of a VAE: ``decoder.up_blocks.0.resnets.1.conv1.bias`` is ``decoder.up.3.block.1.conv1.bias``."""
    modules = dict(_list_vae_modules(config))
    parts = {"resnets": _VAE_RESNET, "attentions": _VAE_ATTENTION}
    return lambda parameter: Slot(_translate(parameter, modules, parts))


def find_open_clip_names(parameter: str) -> Slot:
    """Of OpenCLIP's text encoder, whose queries, keys and values are joined: three parameters in one tensor."""
    if parameter.startswith(_LAYERS):
        layer, _, inner = parameter[len(_LAYERS) :].partition(".")
        module, _, kind = inner.rpartition(".")
        start = f"transformer.resblocks.{layer}."
        if module in _JOINED:
            return Slot(f"{start}attn.in_proj_{kind}", _JOINED.index(module), len(_JOINED))
        return Slot(f"{start}{_CLIP_LAYER.get(module, module)}.{kind}")
    others = {
        "embeddings.token_embedding.weight": "token_embedding.weight",
        "embeddings.position_embedding.weight": "positional_embedding",
        "final_layer_norm.weight": "ln_final.weight",
        "final_layer_norm.bias": "ln_final.bias",
    }
    if parameter == "text_projection.weight":
        return Slot("text_projection", transposed=True)
    name = parameter[len(_TEXT) :]
    return Slot(others.get(name, name))


def find_clip_names(parameter: str) -> Slot:
    """Of CLIP's text encoder in 1.x, which is transformers' own."""
    return Slot(parameter)


def find_short_clip_names(parameter: str) -> Slot:
    """The same in files of transformers that leave `text_model.` out."""
    return Slot(parameter[len(_TEXT) :])


def _translate(parameter: str, modules: Mapping[str, str], parts: Mapping[str, Mapping[str, str]]) -> str:
    """The name with its module's in the place of that, and its part of the module by the kind of block that it is."""
    words = parameter.split(".")
    for count in range(len(words), 0, -1):
        module = ".".join(words[:count])
        if module in modules:
            inner = ".".join(words[count:])
            for own, other in parts.get(words[count - 2] if count > 1 else "", {}).items():
                if inner.startswith(f"{own}."):
                    inner = other + inner[len(own) :]
                    break
            return f"{modules[module]}.{inner}"
    return parameter


def _list_encoder_modules(config: EncoderConfig) -> Iterator[tuple[str, str]]:
    """Modules whose names are others: the blocks are numbered through, with what halves a map as one of its own."""
    yield from (("time_embedding.linear_1", "time_embed.0"), ("time_embedding.linear_2", "time_embed.2"))
    yield from (("add_embedding.linear_1", "label_emb.0.0"), ("add_embedding.linear_2", "label_emb.0.2"))
    yield ("conv_in", "input_blocks.0.0")
    yield from (("mid_block.resnets.0", "middle_block.0"), ("mid_block.attentions.0", "middle_block.1"))
    yield ("mid_block.resnets.1", "middle_block.2")
    firsts = accumulate((layers + 1 for layers in config.layers), initial=1)
    for level, (first, layers) in enumerate(zip(firsts, config.layers)):
        for layer in range(layers):
            yield f"down_blocks.{level}.resnets.{layer}", f"input_blocks.{first + layer}.0"
            yield f"down_blocks.{level}.attentions.{layer}", f"input_blocks.{first + layer}.1"
        yield f"down_blocks.{level}.downsamplers.0.conv", f"input_blocks.{first + layers}.0.op"


def _list_unet_modules(config: UNetConfig) -> Iterator[tuple[str, str]]:
    """The same of a UNet."""
    yield from _list_encoder_modules(config)
    yield from (("conv_norm_out", "out.0"), ("conv_out", "out.2"))
    upwards = [layers + 1 for layers in reversed(config.layers)]
    for level, (first, layers) in enumerate(zip(accumulate(upwards, initial=0), upwards)):
        for layer in range(layers):
            yield f"up_blocks.{level}.resnets.{layer}", f"output_blocks.{first + layer}.0"
            yield f"up_blocks.{level}.attentions.{layer}", f"output_blocks.{first + layer}.1"
        place = 2 if config.up_block_types[level] == "CrossAttnUpBlock2D" else 1
        yield f"up_blocks.{level}.upsamplers.0", f"output_blocks.{first + layers - 1}.{place}"


def _list_controlnet_modules(config: ControlNetConfig) -> Iterator[tuple[str, str]]:
    """The same of a ControlNet. Between the layers that read the map activations are counted too."""
    yield from _list_encoder_modules(config)
    layers = 2 * len(config.conditioning_embedding_out_channels)
    yield ("controlnet_cond_embedding.conv_in", "input_hint_block.0")
    for layer in range(layers - 2):
        yield f"controlnet_cond_embedding.blocks.{layer}", f"input_hint_block.{2 * layer + 2}"
    yield ("controlnet_cond_embedding.conv_out", f"input_hint_block.{2 * layers - 2}")
    for skip in range(sum(config.layers) + len(config.layers)):
        yield f"controlnet_down_blocks.{skip}", f"zero_convs.{skip}.0"
    yield ("controlnet_mid_block", "middle_block_out.0")


def _list_vae_modules(config: VAEConfig) -> Iterator[tuple[str, str]]:
    """Modules whose names are others; the decoder's levels are counted from the finest."""
    levels = len(config.block_out_channels)
    for half in ("encoder", "decoder"):
        yield f"{half}.conv_norm_out", f"{half}.norm_out"
        yield f"{half}.mid_block.attentions.0", f"{half}.mid.attn_1"
        yield from ((f"{half}.mid_block.resnets.{index}", f"{half}.mid.block_{index + 1}") for index in range(2))
    for level in range(levels):
        for layer in range(config.layers_per_block):
            yield f"encoder.down_blocks.{level}.resnets.{layer}", f"encoder.down.{level}.block.{layer}"
            yield f"encoder.down_blocks.{level}.attentions.{layer}", f"encoder.down.{level}.attn.{layer}"
        yield f"encoder.down_blocks.{level}.downsamplers.0", f"encoder.down.{level}.downsample"
        other = levels - 1 - level
        for layer in range(config.layers_per_block + 1):
            yield f"decoder.up_blocks.{level}.resnets.{layer}", f"decoder.up.{other}.block.{layer}"
            yield f"decoder.up_blocks.{level}.attentions.{layer}", f"decoder.up.{other}.attn.{layer}"
        yield f"decoder.up_blocks.{level}.upsamplers.0", f"decoder.up.{other}.upsample"
