"""Small networks in diffusers' and transformers' manner, as a provider whose installation no test has to wait for.

Their maps are (batch, channels, height, width), their attention goes through processors, their layers that LoRA may
change take a scale, and calls return tuples. All arithmetic is plain Jittor's.
"""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jstyle.diffusion.tokenizer import load_tokenizer
from jstyle.networks.config import CLIPTextConfig, UNetConfig, VAEConfig
from jstyle.networks.config_reader import read_json
from jstyle.runtime import jt
from jstyle.weights.hub import weight_files
from jstyle.weights.loading import load_weights
from jstyle.weights.tensors import FileTensors, rename_text, rename_vae

nn: Any = jt.nn


class Linear(nn.Linear):
    def execute(self, x: jt.Var, scale: float = 1.0) -> jt.Var:
        assert scale == 1.0
        return super().execute(x)


class Conv(nn.Conv2d):
    def execute(self, x: jt.Var, scale: float = 1.0) -> jt.Var:
        assert scale == 1.0
        return super().execute(x)


class SiLU(jt.Module):
    def execute(self, x: jt.Var) -> jt.Var:
        return x * jt.sigmoid(x)


class GELU(jt.Module):
    def execute(self, x: jt.Var) -> jt.Var:
        return x * 0.5 * (1 + jt.erf(x / math.sqrt(2)))


class AttnProcessor:
    """The default: nothing but attention."""

    def __call__(self, attn: Any, hidden_states: jt.Var, encoder_hidden_states: Any = None, **_: Any) -> jt.Var:
        x, shape = hidden_states, hidden_states.shape
        if len(shape) == 4:
            x = x.reshape(shape[0], shape[1], -1).transpose(0, 2, 1)
        if attn.group_norm is not None:
            x = attn.group_norm(x.transpose(0, 2, 1)).transpose(0, 2, 1)
        context = x if encoder_hidden_states is None else encoder_hidden_states
        q, k, v = (
            heads(to(one, 1.0), attn.heads) for to, one in zip((attn.to_q, attn.to_k, attn.to_v), (x, context, context))
        )
        out = jt.nn.softmax(jt.matmul(q, k.transpose(0, 1, 3, 2)) / math.sqrt(q.shape[-1]), dim=-1)
        out = jt.matmul(out, v).transpose(0, 2, 1, 3).reshape(x.shape)
        out = attn.to_out[1](attn.to_out[0](out, 1.0))
        out = out.transpose(0, 2, 1).reshape(shape) if len(shape) == 4 else out
        return out + hidden_states if attn.residual_connection else out


class Attention(jt.Module):
    def __init__(self, channels: int, heads: int, context: int, *, groups: int = 0, eps: float = 0.0) -> None:
        bias = groups > 0
        self.heads, self.residual_connection, self.upcast_attention = heads, bias, False
        self.group_norm = nn.GroupNorm(groups, channels, eps) if groups else None
        self.to_q = Linear(channels, channels, bias=bias)
        self.to_k = Linear(context, channels, bias=bias)
        self.to_v = Linear(context, channels, bias=bias)
        self.to_out = nn.ModuleList([Linear(channels, channels), nn.Dropout(0.0)])
        self.set_processor(AttnProcessor())

    def set_processor(self, processor: Any) -> None:
        self.processor = processor

    def execute(self, x: jt.Var, context: Any = None) -> jt.Var:
        return self.processor(self, x, encoder_hidden_states=context, attention_mask=None)


class GEGLU(jt.Module):
    def __init__(self, channels: int) -> None:
        self.proj = Linear(channels, 8 * channels)

    def execute(self, x: jt.Var, scale: float = 1.0) -> jt.Var:
        value, gate = jt.chunk(self.proj(x, scale), 2, dim=-1)
        return value * GELU()(gate)


class FeedForward(jt.Module):
    def __init__(self, channels: int) -> None:
        self.net = nn.ModuleList([GEGLU(channels), nn.Dropout(0.0), Linear(4 * channels, channels)])

    def execute(self, x: jt.Var) -> jt.Var:
        return self.net[2](self.net[1](self.net[0](x, 1.0)), 1.0)


class TransformerBlock(jt.Module):
    def __init__(self, channels: int, heads: int, context: int) -> None:
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(channels) for _ in range(3))
        self.attn1 = Attention(channels, heads, channels)
        self.attn2 = Attention(channels, heads, context)
        self.ff = FeedForward(channels)

    def execute(self, x: jt.Var, text: jt.Var) -> jt.Var:
        x = x + self.attn1(self.norm1(x))
        x = x + self.attn2(self.norm2(x), text)
        return x + self.ff(self.norm3(x))


class Transformer(jt.Module):
    def __init__(self, config: UNetConfig, level: int) -> None:
        channels = config.block_out_channels[level]
        self.norm = nn.GroupNorm(config.norm_num_groups, channels, 1e-6)
        self.proj_in, self.proj_out = Linear(channels, channels), Linear(channels, channels)
        block = TransformerBlock(channels, config.heads[level], config.cross_attention_dim)
        self.transformer_blocks = nn.ModuleList([block])

    def execute(self, x: jt.Var, text: jt.Var) -> jt.Var:
        b, c, h, w = x.shape
        tokens = self.proj_in(self.norm(x).transpose(0, 2, 3, 1).reshape(b, h * w, c), scale=1.0)
        tokens = self.proj_out(self.transformer_blocks[0](tokens, text), 1.0)
        return tokens.reshape(b, h, w, c).transpose(0, 3, 1, 2) + x


class Resnet(jt.Module):
    def __init__(self, before: int, channels: int, groups: int, eps: float, temb: int = 0) -> None:
        self.norm1, self.norm2 = nn.GroupNorm(groups, before, eps), nn.GroupNorm(groups, channels, eps)
        self.conv1, self.conv2 = Conv(before, channels, 3, padding=1), Conv(channels, channels, 3, padding=1)
        self.time_emb_proj = Linear(temb, channels) if temb else None
        self.conv_shortcut = Conv(before, channels, 1) if before != channels else None
        self.nonlinearity = SiLU()

    def execute(self, x: jt.Var, temb: Any = None) -> jt.Var:
        hidden = self.conv1(self.nonlinearity(self.norm1(x)), 1.0)
        if self.time_emb_proj is not None:
            hidden = hidden + self.time_emb_proj(self.nonlinearity(temb), 1.0).unsqueeze(-1).unsqueeze(-1)
        hidden = self.conv2(self.nonlinearity(self.norm2(hidden)), 1.0)
        return hidden + (x if self.conv_shortcut is None else self.conv_shortcut(x, 1.0))


class Downsample(jt.Module):
    def __init__(self, channels: int, padding: int) -> None:
        self.conv = Conv(channels, channels, 3, stride=2, padding=padding)
        self.asymmetric = padding == 0

    def execute(self, x: jt.Var) -> jt.Var:
        return self.conv(nn.ConstantPad2d((0, 1, 0, 1), 0.0)(x) if self.asymmetric else x, 1.0)


class Upsample(jt.Module):
    def __init__(self, channels: int) -> None:
        self.conv = Conv(channels, channels, 3, padding=1)

    def execute(self, x: jt.Var) -> jt.Var:
        return self.conv(nn.interpolate(x, scale_factor=2, mode="nearest"), 1.0)


class Block(jt.Module):
    """Resnets, each with a transformer or not, then a change of resolution or none."""

    def __init__(self, resnets: list[Any], transformers: list[Any], after: Any = None, name: str = "") -> None:
        self.resnets = nn.ModuleList(resnets)
        if transformers:
            self.attentions = nn.ModuleList(transformers)
        self.after = name
        if after is not None:
            setattr(self, name, nn.ModuleList([after]))

    def layer(self, i: int, x: jt.Var, temb: Any, text: Any) -> jt.Var:
        x = self.resnets[i](x, temb)
        return self.attentions[i](x, text) if hasattr(self, "attentions") else x


class TimeEmbedding(jt.Module):
    def __init__(self, channels: int, wide: int) -> None:
        self.linear_1, self.act, self.linear_2 = Linear(channels, wide), SiLU(), Linear(wide, wide)

    def execute(self, x: jt.Var) -> jt.Var:
        return self.linear_2(self.act(self.linear_1(x)))


class UNet(jt.Module):
    def __init__(self, raw: dict) -> None:
        config = UNetConfig.from_dict(raw)
        self.config, widths, top = raw, config.block_out_channels, len(config.block_out_channels) - 1
        groups, eps, wide, layers = config.norm_num_groups, config.norm_eps, 4 * widths[0], config.layers[0]
        self.conv_in = Conv(config.in_channels, widths[0], 3, padding=1)
        self.time_embedding = TimeEmbedding(widths[0], wide)
        downs, ups = [], []
        for level, kind in enumerate(config.down_block_types):
            inputs = [widths[max(level - 1, 0)]] + [widths[level]] * (layers - 1)
            cross = [Transformer(config, level) for _ in inputs] if kind.startswith("Cross") else []
            after = Downsample(widths[level], 1) if level < top else None
            downs.append(
                Block([Resnet(n, widths[level], groups, eps, wide) for n in inputs], cross, after, "downsamplers")
            )
        for kind, level in zip(config.up_block_types, range(top, -1, -1)):
            inputs = [widths[min(level + 1, top)]] + [widths[level]] * layers
            skips = [widths[level]] * layers + [widths[max(level - 1, 0)]]
            cross = [Transformer(config, level) for _ in inputs] if kind.startswith("Cross") else []
            after = Upsample(widths[level]) if level else None
            resnets = [Resnet(a + b, widths[level], groups, eps, wide) for a, b in zip(inputs, skips)]
            ups.append(Block(resnets, cross, after, "upsamplers"))
        self.down_blocks, self.up_blocks = nn.ModuleList(downs), nn.ModuleList(ups)
        middle = [Resnet(widths[-1], widths[-1], groups, eps, wide) for _ in range(2)]
        self.mid_block = Block(middle, [Transformer(config, top)])
        self.conv_norm_out, self.conv_act = nn.GroupNorm(groups, widths[0], eps), SiLU()
        self.conv_out = Conv(widths[0], config.out_channels, 3, padding=1)

    def execute(self, sample: jt.Var, timestep: jt.Var, encoder_hidden_states: jt.Var, return_dict: bool = True) -> Any:
        assert not return_dict
        half = self.conv_in.weight.shape[0] // 2
        angles = timestep.unsqueeze(1) * jt.exp(jt.arange(half).float32().unsqueeze(0) * (-math.log(10000) / half))
        temb = self.time_embedding(jt.concat([jt.cos(angles), jt.sin(angles)], dim=1))
        text, x = encoder_hidden_states, self.conv_in(sample, 1.0)
        skips = [x]
        for block in self.down_blocks:
            for i in range(len(block.resnets)):
                x = block.layer(i, x, temb, text)
                skips.append(x)
            if hasattr(block, block.after):
                x = block.downsamplers[0](x)
                skips.append(x)
        x = self.mid_block.resnets[1](self.mid_block.layer(0, x, temb, text), temb)
        for block in self.up_blocks:
            for i in range(len(block.resnets)):
                x = block.layer(i, jt.concat([x, skips.pop()], dim=1), temb, text)
            if hasattr(block, block.after):
                x = block.upsamplers[0](x)
        return (self.conv_out(self.conv_act(self.conv_norm_out(x)), 1.0),)


class Coder(jt.Module):
    """The VAE's encoder or decoder."""

    def __init__(self, config: VAEConfig, name: str, into: int, out: int) -> None:
        widths, groups, layers = config.block_out_channels, config.norm_num_groups, config.layers_per_block
        down = name == "down"
        widths, layers = (widths, layers) if down else (widths[::-1], layers + 1)
        blocks = []
        for i, width in enumerate(widths):
            inputs = [widths[max(i - 1, 0)]] + [width] * (layers - 1)
            after = None if i == len(widths) - 1 else Downsample(width, 0) if down else Upsample(width)
            blocks.append(Block([Resnet(n, width, groups, 1e-6) for n in inputs], [], after, f"{name}samplers"))
        setattr(self, f"{name}_blocks", nn.ModuleList(blocks))
        self.order, wide = name, widths[-1 if down else 0]
        attention = Attention(wide, 1, wide, groups=groups, eps=1e-6)
        self.mid_block = Block([Resnet(wide, wide, groups, 1e-6) for _ in range(2)], [attention])
        self.conv_in = Conv(into, widths[0], 3, padding=1)
        self.conv_norm_out, self.conv_act = nn.GroupNorm(groups, widths[-1], 1e-6), SiLU()
        self.conv_out = Conv(widths[-1], out, 3, padding=1)

    def middle(self, x: jt.Var) -> jt.Var:
        return self.mid_block.resnets[1](self.mid_block.layer(0, x, None, None))

    def execute(self, x: jt.Var) -> jt.Var:
        x = self.conv_in(x)
        x = x if self.order == "down" else self.middle(x)
        for block in getattr(self, f"{self.order}_blocks"):
            for resnet in block.resnets:
                x = resnet(x)
            if hasattr(block, block.after):
                x = getattr(block, block.after)[0](x)
        x = self.middle(x) if self.order == "down" else x
        return self.conv_out(self.conv_act(self.conv_norm_out(x)))


class Autoencoder(jt.Module):
    def __init__(self, raw: dict) -> None:
        config, self.config = VAEConfig.from_dict(raw), raw
        latent = config.latent_channels
        self.encoder = Coder(config, "down", config.in_channels, 2 * latent)
        self.decoder = Coder(config, "up", latent, config.out_channels)
        self.quant_conv, self.post_quant_conv = Conv(2 * latent, 2 * latent, 1), Conv(latent, latent, 1)

    def encode(self, x: jt.Var) -> Any:
        mean, logvar = jt.chunk(self.quant_conv(self.encoder(x)), 2, dim=1)
        return SimpleNamespace(latent_dist=SimpleNamespace(mean=mean, logvar=logvar.clamp(-30.0, 20.0)))

    def decode(self, x: jt.Var, return_dict: bool = True) -> Any:
        assert not return_dict
        return (self.decoder(self.post_quant_conv(x)),)


class CLIPLayer(jt.Module):
    def __init__(self, config: CLIPTextConfig) -> None:
        width = config.hidden_size
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.self_attn, self.mlp, self.heads = jt.Module(), jt.Module(), config.num_attention_heads
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            setattr(self.self_attn, name, nn.Linear(width, width))
        self.mlp.fc1 = nn.Linear(width, config.intermediate_size)
        self.mlp.fc2 = nn.Linear(config.intermediate_size, width)

    def execute(self, x: jt.Var, mask: jt.Var) -> jt.Var:
        own, normed = self.self_attn, self.layer_norm1(x)
        q, k, v = (heads(to(normed), self.heads) for to in (own.q_proj, own.k_proj, own.v_proj))
        logits = jt.matmul(q, k.transpose(0, 1, 3, 2)) / math.sqrt(q.shape[-1]) + mask
        out = jt.matmul(jt.nn.softmax(logits, dim=-1), v).transpose(0, 2, 1, 3).reshape(x.shape)
        x = x + own.out_proj(out)
        return x + self.mlp.fc2(GELU()(self.mlp.fc1(self.layer_norm2(x))))


class TextEncoder(jt.Module):
    def __init__(self, raw: dict) -> None:
        config = CLIPTextConfig.from_dict(raw)
        self.config = SimpleNamespace(to_dict=lambda: raw)
        self.text_model = model = jt.Module()
        model.embeddings, model.encoder = jt.Module(), jt.Module()
        model.embeddings.token_embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        model.embeddings.position_embedding = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        model.encoder.layers = nn.ModuleList([CLIPLayer(config) for _ in range(config.num_hidden_layers)])
        model.final_layer_norm = nn.LayerNorm(config.hidden_size)

    def execute(self, ids: jt.Var) -> Any:
        model, tokens = self.text_model, ids.shape[1]
        x = model.embeddings.token_embedding(ids) + model.embeddings.position_embedding.weight[:tokens]
        mask = jt.triu(jt.full([tokens, tokens], -1e9), 1)
        for layer in model.encoder.layers:
            x = layer(x, mask)
        return model.final_layer_norm(x), None


def heads(x: jt.Var, count: int) -> jt.Var:
    b, tokens, channels = x.shape
    return x.reshape(b, tokens, count, channels // count).transpose(0, 2, 1, 3)


def pipeline(folder: Path) -> Any:
    """What one would hand to ``jstyle.wrap``, with a model folder's weights."""
    networks = {}
    for name, kind, rename in (
        ("unet", UNet, str),
        ("vae", Autoencoder, rename_vae),
        ("text_encoder", TextEncoder, rename_text),
    ):
        networks[name] = kind(read_json(folder / name / "config.json"))
        load_weights(networks[name], FileTensors(weight_files(folder / name, None)), name, rename)
    schedule = SimpleNamespace(config=read_json(folder / "scheduler" / "scheduler_config.json"))
    return SimpleNamespace(tokenizer=load_tokenizer(folder / "tokenizer"), scheduler=schedule, **networks)
