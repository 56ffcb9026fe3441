"""Records what PyTorch diffusers and transformers compute on the tiny networks, and the tiny CLIP tokenizers.

Run `python tests/golden/record.py` from the repository's root, in the environment that README.md describes.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import tiny
import torch
import transformers
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

HERE = Path(__file__).resolve().parent

CORPUS = (
    "a painting of a cat in the style of the starry night, an oil painting, a photo of the city, "
    "the old town at night, a watercolor painting of the mountain and the river, "
    "the portrait of a woman, an ink drawing of the bridge"
)
"""The words that the tokenizer's merges are learnt from."""

PROMPTS = {
    "plain": "a painting of a cat in the style of the starry night",
    "empty": "",
    "cased": "  A Photo   of\tthe CITY\n",
    "accents": "Café Münchén, naïve façade",
    "digits": "in 1889 there were 42 stars",
    "apostrophes": "it's the cat's night, don't they'll we've",
    "punctuation": 'stars... (old:1.2), [town] -- <night> & "river"?',
    "exclamation": "wow! what!!! ! !!",
    "unicode": "星月夜 \u2014 ночь 🌟",
    "special": "a cat<|endoftext|>the night",
    "long": "the old town at night and the river and the bridge " * 12,
}


def versions() -> str:
    """The versions that made a file, in one line."""
    return (
        f"torch {torch.__version__}, diffusers {diffusers.__version__}, transformers {transformers.__version__}, "
        f"numpy {np.__version__}"
    )


def save(name: str, arrays: dict[str, Any]) -> None:
    """Writes `name`.npz beside this file, with the versions."""
    np.savez_compressed(HERE / f"{name}.npz", versions=np.array(versions()), **arrays)
    print(name, (HERE / f"{name}.npz").stat().st_size, sorted(arrays))


def rng(name: str) -> np.random.Generator:
    """The generator of the inputs called `name`."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def noise(name: str, shape: Sequence[int]) -> np.ndarray:
    """Standard normal float32 input `name`."""
    return rng(name).standard_normal(tuple(shape)).astype(np.float32)


def seeded(module: torch.nn.Module, prefix: str = "") -> Any:
    """`module` with every parameter made by `tiny.seeded_tensor` from `prefix` and its own name."""
    state = module.state_dict()
    module.load_state_dict(
        {name: torch.from_numpy(tiny.seeded_tensor(prefix + name, value.shape)) for name, value in state.items()},
        strict=True,
    )
    return module.eval().requires_grad_(False)


def build_unet(config: tiny.Config) -> UNet2DConditionModel:
    """The diffusers UNet with seeded weights."""
    return seeded(UNet2DConditionModel.from_config(config))


def build_vae(config: tiny.Config) -> AutoencoderKL:
    """The diffusers autoencoder with seeded weights."""
    return seeded(AutoencoderKL.from_config(config))


def build_text(config: tiny.Config) -> CLIPTextModel:
    """The transformers text encoder; its weights are seeded by the hub's names, which begin with `text_model.`."""
    return seeded(CLIPTextModel(CLIPTextConfig(**config)), prefix="text_model.")


SCRIPTS = [
    "汉字 ありがとう 한국어",
    "zero\u200bwidth a\u200db\ufeffc",
    "ΟΔΥΣΣΕΥΣ ΣΑΣ",
    "<|STARTOFTEXT|> a <|EndOfText|> b",
    "İstanbul Straße",
    "<|startoftext|>x<|endoftext|>",
    "don't I'M we'LL",
    "a  b\tc\nd\u00a0e\u2028f\u3000g",
    "e\u0301 é ﬁ",
    "123 4五 ²³ ½ Ⅷ",
    "\uff21\uff22\uff23 a\x85c",
]
"""What versions of transformers have read differently, and its neighbours."""


def record_scripts() -> None:
    """The ids of `SCRIPTS` by both flavours' tokenizers."""
    arrays: dict[str, Any] = {"texts": np.array(SCRIPTS)}
    for flavour in ("sd1", "sd2"):
        tokenizer = CLIPTokenizer.from_pretrained(HERE / f"tokenizer_{flavour}")
        batch = tokenizer(SCRIPTS, padding="max_length", max_length=77, truncation=True)
        arrays[flavour] = np.array(batch.input_ids, np.int64)
    save("tokens_scripts", arrays)


def record_unet(flavour: str, config: tiny.Config) -> None:
    """Square, wide, tall and odd latents; single and per-row timesteps, the first and the last included."""
    unet = build_unet(config)
    cases = [
        ((1, 4, 16, 16), [981]),
        ((2, 4, 8, 24), [0, 999]),
        ((2, 4, 16, 16), [500, 500]),
        ((1, 4, 24, 8), [1]),
        ((2, 4, 9, 14), [37, 700]),
    ]
    arrays: dict[str, Any] = {"seeded_probe": tiny.seeded_tensor("conv_in.weight", (2, 4, 3, 3))}
    for index, (shape, timesteps) in enumerate(cases):
        key = f"case{index}"
        sample = noise(f"unet_{flavour}/{key}/sample", shape)
        context = noise(f"unet_{flavour}/{key}/context", (shape[0], 77, config["cross_attention_dim"]))
        timestep = np.array(timesteps, dtype=np.int64)
        out = unet(torch.from_numpy(sample), torch.from_numpy(timestep), torch.from_numpy(context)).sample
        arrays.update(
            {
                f"{key}_sample": sample,
                f"{key}_timestep": timestep,
                f"{key}_context": context,
                f"{key}_out": out.numpy(),
            }
        )
    save(f"unet_{flavour}", arrays)


def record_layers() -> None:
    """A UNet whose levels have different numbers of resnets."""
    config = {**tiny.FOLDER["unet"], "layers_per_block": tiny.LAYERS}
    shape, key = (2, 4, 8, 16), "unet_layers/case0"
    sample, context = noise(f"{key}/sample", shape), noise(f"{key}/context", (2, 7, config["cross_attention_dim"]))
    timestep = np.array([3, 700], dtype=np.int64)
    out = build_unet(config)(torch.from_numpy(sample), torch.from_numpy(timestep), torch.from_numpy(context)).sample
    arrays = {"sample": sample, "timestep": timestep, "context": context, "out": out.numpy()}
    save("unet_layers", {f"case0_{name}": array for name, array in arrays.items()})


def record_vae(flavour: str, config: tiny.Config) -> None:
    """The posterior of images in [-1, 1], and decoded latents (unscaled, as `decode` takes them)."""
    vae = build_vae(config)
    arrays: dict[str, Any] = {}
    for index, (batch, height, width) in enumerate([(1, 32, 32), (2, 16, 40), (1, 48, 24)]):
        key = f"case{index}"
        image = rng(f"vae_{flavour}/{key}/image").uniform(-1, 1, (batch, 3, height, width)).astype(np.float32)
        latent = noise(f"vae_{flavour}/{key}/latent", (batch, 4, height // 4, width // 4))
        posterior = vae.encode(torch.from_numpy(image)).latent_dist
        decoded = vae.decode(torch.from_numpy(latent)).sample
        arrays.update(
            {
                f"{key}_image": image,
                f"{key}_mean": posterior.mean.numpy(),
                f"{key}_logvar": posterior.logvar.numpy(),
                f"{key}_latent": latent,
                f"{key}_decoded": decoded.numpy(),
            }
        )
    save(f"vae_{flavour}", arrays)


def record_text(flavour: str, config: tiny.Config, tokenizer: CLIPTokenizer) -> None:
    """Hidden states and the pooled state of a prompt beside the empty one, and of a prompt cut at 77 tokens."""
    model = build_text(config)
    arrays: dict[str, Any] = {}
    for index, names in enumerate([["plain", "empty"], ["long"]]):
        ids = tokenize(tokenizer, [PROMPTS[name] for name in names])
        out = model(torch.from_numpy(ids))
        arrays.update(
            {
                f"case{index}_input_ids": ids,
                f"case{index}_last_hidden_state": out.last_hidden_state.numpy(),
                f"case{index}_pooled": out.pooler_output.numpy(),
            }
        )
    save(f"text_{flavour}", arrays)


def record_vision(flavour: str, config: tiny.Config) -> None:
    """Projected embeddings and hidden states of two images."""
    model = seeded(CLIPVisionModelWithProjection(CLIPVisionConfig(**config)))
    pixels = noise(f"vision_{flavour}/pixels", (2, 3, config["image_size"], config["image_size"]))
    out = model(torch.from_numpy(pixels))
    arrays = {"pixels": pixels, "embeds": out.image_embeds.numpy(), "last_hidden_state": out.last_hidden_state.numpy()}
    save(f"vision_{flavour}", {f"case0_{name}": array for name, array in arrays.items()})


def record_tokens(flavour: str, tokenizer: CLIPTokenizer) -> None:
    """The ids of every prompt, padded to 77."""
    texts = list(PROMPTS.values())
    save(
        f"tokens_{flavour}",
        {
            "names": np.array(list(PROMPTS)),
            "texts": np.array(texts),
            "input_ids": tokenize(tokenizer, texts),
        },
    )


def tokenize(tokenizer: CLIPTokenizer, texts: Sequence[str]) -> np.ndarray:
    """Ids of shape (texts, 77), padded and cut as the pipelines of diffusers do."""
    rows = tokenizer(list(texts), padding="max_length", max_length=77, truncation=True).input_ids
    return np.array(rows, dtype=np.int64)


def byte_symbols() -> list[str]:
    """The printable symbol of each byte in the vocabulary's order: first the bytes that print, then the others."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = 256 - len(printable)
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(others)]


def learn_merges(text: str, count: int) -> list[tuple[str, str]]:
    """Byte pair encoding: `count` times the most frequent pair, the first in alphabetical order where several are."""
    words = Counter(word.strip(",") for word in text.split())
    split = {word: [*word[:-1], word[-1] + "</w>"] for word in words}
    merges: list[tuple[str, str]] = []
    while len(merges) < count:
        pairs: Counter = Counter()
        for word, parts in split.items():
            for pair in zip(parts, parts[1:]):
                pairs[pair] += words[word]
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        split = {word: merge(parts, best) for word, parts in split.items()}
    return merges


def merge(parts: list[str], pair: tuple[str, str]) -> list[str]:
    """`parts` with each occurrence of `pair` joined."""
    joined: list[str] = []
    for part in parts:
        if joined and (joined[-1], part) == pair:
            joined[-1] += part
        else:
            joined.append(part)
    return joined


def write_tokenizer(folder: Path, pad: str) -> CLIPTokenizer:
    """Writes the four files of a CLIP tokenizer and loads them.

    As on the hub, Stable Diffusion 2 names its pad token in special_tokens_map.json, which wins over the
    <|endoftext|> of tokenizer_config.json.
    """
    folder.mkdir(exist_ok=True)
    symbols = byte_symbols()
    merges = learn_merges(CORPUS, tiny.VOCAB_SIZE - 514)
    words = symbols + [symbol + "</w>" for symbol in symbols] + ["".join(pair) for pair in merges]
    words += ["<|startoftext|>", "<|endoftext|>"]
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    config = {
        "add_prefix_space": False,
        **special,
        "do_lower_case": True,
        "errors": "replace",
        "model_max_length": 77,
        "pad_token": "<|endoftext|>",
        "tokenizer_class": "CLIPTokenizer",
    }
    vocab = json.dumps({word: index for index, word in enumerate(words)}, ensure_ascii=False)
    (folder / "vocab.json").write_text(vocab, encoding="utf-8")
    lines = ["#version: 0.2"] + [" ".join(pair) for pair in merges]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "special_tokens_map.json").write_text(json.dumps({**special, "pad_token": pad}, indent=2) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    return CLIPTokenizer.from_pretrained(folder)


def main() -> None:
    """Records both flavours."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    record_layers()
    record_scripts()
    pads = {"sd1": "<|endoftext|>", "sd2": "!"}
    for flavour, configs in [("sd1", tiny.SD1), ("sd2", tiny.SD2)]:
        tokenizer = write_tokenizer(HERE / f"tokenizer_{flavour}", pads[flavour])
        record_tokens(flavour, tokenizer)
        record_text(flavour, configs["text"], tokenizer)
        record_vision(flavour, configs["vision"])
        record_unet(flavour, configs["unet"])
        record_vae(flavour, configs["vae"])


if __name__ == "__main__":
    main()
