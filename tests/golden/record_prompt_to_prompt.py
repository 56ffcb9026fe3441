"""Records Prompt-to-Prompt (arXiv 2208.01626) in float64 on `diffusers_folder/`, with whole matrices of attention.

Run `python tests/golden/record_prompt_to_prompt.py ALIGNER` from the repository's root, in the environment that
README.md describes. ALIGNER is `seq_aligner.py` of github.com/google/prompt-to-prompt at commit 9c472e4, whose
refinement aligns what is refined here. Its replacement shifts what stands behind a word whose number of tokens changes:
in its place `replace_words` counts the tokens of each word by itself.
"""

from __future__ import annotations

import importlib.util
import sys
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tiny
import torch
from diffusers import StableDiffusionPipeline
from record import HERE, noise, save
from torch import Tensor

STEPS = 6
GUIDANCE = 4.0
TOKENS = 77
SEED = 5
SIDE = 16
TIMESTEPS = [1 + i * (1000 // STEPS) for i in range(STEPS)][::-1]
ALPHA_BAR = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, dim=0)

CAT = "a cat on a mat"
DOG = "a dog on a mat"
ZEBRA = "a zebra, on a rug"
REFINED = "a red cat on the mat at night"


@dataclass
class Edit:
    """A run: texts (the source's first), the paper's settings, and a given picture's latents in place of noise."""

    texts: list[str]
    mode: str
    cross: tuple[float, float] = (0.0, 0.8)
    self_steps: tuple[float, float] = (0.0, 0.4)
    words: dict[str, tuple[float, float]] = field(default_factory=dict)
    factors: dict[str, float] = field(default_factory=dict)
    blend: tuple[str, ...] = ()
    threshold: float = 0.3
    clean: str = ""
    null_updates: int = 0


RUNS = {
    "replace": Edit([CAT, DOG], "replace", self_steps=(0.0, 0.0)),
    "layout": Edit([CAT, DOG], "replace", cross=(0.0, 0.0), self_steps=(0.2, 0.7)),
    "unequal": Edit([CAT, ZEBRA], "replace"),
    "refine": Edit([CAT, REFINED], "refine", cross=(0.2, 0.8)),
    "word_steps": Edit([CAT, DOG], "replace", cross=(0.0, 1.0), words={"dog": (0.0, 0.3)}),
    "reweight": Edit([CAT, CAT], "replace", cross=(0.0, 1.0), factors={"mat": 3.0, "cat": -1.0}),
    "refine_reweight": Edit([CAT, REFINED], "refine", factors={"night": 4.0}),
    "blend": Edit([CAT, DOG], "replace", blend=("cat", "dog"), threshold=0.9),
    "two": Edit([CAT, DOG, "a cat on a rug"], "replace"),
    "given": Edit([CAT, REFINED], "refine", clean="prompt_to_prompt/clean"),
    "null_text": Edit([CAT, REFINED], "refine", clean="prompt_to_prompt/clean", null_updates=4),
}


class Controller:
    """What the attention of a step is edited by, and where the blend words have looked."""

    def __init__(self, edit: Edit, tokenizer: Any, aligner: Any) -> None:
        rows = len(edit.texts) - 1
        pairs = [(edit.texts[0], text) for text in edit.texts[1:]]
        aligned = [align(one, other, edit.mode, tokenizer, aligner) for one, other in pairs]
        self.matrix = torch.stack([matrix for matrix, _ in aligned]).double()  # (rows, source's tokens, tokens)
        self.share = torch.stack([share for _, share in aligned]).double()
        self.window = torch.zeros(STEPS + 1, rows, TOKENS, dtype=torch.float64)
        self.window[bounds(edit.cross, STEPS + 1)] = 1
        self.factor = torch.ones(rows, TOKENS, dtype=torch.float64)
        for row, text in enumerate(edit.texts[1:]):
            for word, window in edit.words.items():
                places = word_tokens(text, word, tokenizer)
                self.window[:, row, places] = 0
                self.window[bounds(window, STEPS + 1), row, places] = 1
            for word, factor in edit.factors.items():
                self.factor[row, word_tokens(text, word, tokenizer)] *= factor
        self.layout = range(*bounds(edit.self_steps, STEPS).indices(STEPS))
        self.marks = torch.zeros(rows + 1, TOKENS, dtype=torch.float64)
        for row, text in enumerate(edit.texts):
            for word in edit.blend:
                self.marks[row, word_tokens(text, word, tokenizer)] = 1
        self.threshold = edit.threshold
        self.looked: list[Tensor] = []
        self.step = 0

    def __call__(self, maps: Tensor, is_cross: bool, level: int, in_middle: bool) -> Tensor:
        """maps (rows, heads, queries, keys) of the texts' half, the source first -> edited."""
        source, own = maps[:1], maps[1:]
        if not is_cross:
            edited = source.expand_as(own) if self.step in self.layout and level >= 1 else own
        else:
            carried = torch.einsum("hqs,rst->rhqt", source[0], self.matrix)
            share = self.share[:, None, None, :]
            new = (share * carried + (1 - share) * own) * self.factor[:, None, None, :]
            window = self.window[self.step][:, None, None, :]
            edited = window * new + (1 - window) * own
        maps = torch.cat([source, edited])
        if is_cross and level == 1 and not in_middle:
            self.looked.append((maps * self.marks[:, None, None, :]).sum(-1).mean(1))
        return maps

    def blend(self, x: Tensor) -> Tensor:
        """x (rows, 4, h, w) after the step, with the source's where none of the words looks."""
        if not self.marks.any() or self.step < int(0.2 * STEPS):
            return x
        maps = torch.stack(self.looked).sum(0).reshape(len(x), 1, SIDE // 2, SIDE // 2)
        maps = torch.nn.functional.max_pool2d(maps, 3, 1, padding=1)
        maps = torch.nn.functional.interpolate(maps, size=x.shape[2:])
        maps = maps / maps.amax(dim=(2, 3), keepdim=True)
        assert (maps - self.threshold).abs().min() > 1e-4  # else last bits would decide
        mask = maps > self.threshold
        print("step", self.step, "places that may change", float((mask[:1] | mask).double()[1:].mean()))
        return x[:1] + (mask[:1] | mask).double() * (x - x[:1])


class EditedAttention:
    """A processor that makes the whole matrix of attention and has it edited."""

    def __init__(self, path: str, levels: int) -> None:
        group, *rest = path.split(".")
        self.in_middle = group == "mid_block"
        self.level = {"down_blocks": int, "up_blocks": lambda i: levels - 1 - int(i)}.get(group, lambda _: levels - 1)(
            rest[0]
        )
        self.controller: Any = None

    def __call__(self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Any = None, **_: Any) -> Tensor:
        """hidden_states (rows, tokens, channels) -> the same."""
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        split = [
            x.reshape(*x.shape[:2], attn.heads, -1).transpose(1, 2)
            for x in (attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context))
        ]
        q, k, v = split
        maps = torch.softmax(q @ k.transpose(2, 3) / q.shape[-1] ** 0.5, dim=-1)
        if self.controller is not None:
            half = len(maps) // 2
            edited = self.controller(maps[half:], encoder_hidden_states is not None, self.level, self.in_middle)
            maps = torch.cat([maps[:half], edited])
        return attn.to_out[0]((maps @ v).transpose(1, 2).reshape(hidden_states.shape))


def bounds(window: tuple[float, float], count: int) -> slice:
    """The steps of a window."""
    return slice(int(window[0] * count), int(window[1] * count))


def word_lengths(text: str, tokenizer: Any) -> list[tuple[str, int]]:
    """Each word and its number of tokens, by itself."""
    return [(word, len(tokenizer(word).input_ids) - 2) for word in text.split(" ")]


def word_tokens(text: str, word: str, tokenizer: Any) -> list[int]:
    """The places of a word's tokens."""
    places, at = [], 1
    for one, length in word_lengths(text, tokenizer):
        places += range(at, at + length) if one == word else []
        at += length
    return places


def align(source: str, target: str, mode: str, tokenizer: Any, aligner: Any) -> tuple[Tensor, Tensor]:
    """The matrix (source's tokens, target's tokens) and the share of each of the target's tokens that is carried."""
    if mode == "refine":
        mapper, share = aligner.get_refinement_mapper([source, target], tokenizer)
        matrix = torch.zeros(TOKENS, TOKENS)
        places = torch.arange(TOKENS)
        matrix[mapper[0], places] = share[0]
        return matrix, share[0]
    return replace_words(*([length for _, length in word_lengths(text, tokenizer)] for text in (source, target)))


def replace_words(lengths: list[int], others: list[int]) -> tuple[Tensor, Tensor]:
    """Words of equal length token by token, others in equal shares; then the end, and padding at the same place.

    Here no target is shorter: padding of the source under longer words goes to the first padding behind them.
    """
    matrix = torch.zeros(TOKENS, TOKENS)
    matrix[0, 0] = 1
    i = j = 1
    for length, other in zip(lengths, others):
        matrix[i : i + length, j : j + other] = torch.eye(length) if length == other else 1 / other
        i, j = i + length, j + other
    assert j >= i
    matrix[i, j] = 1
    for place in range(i + 1, TOKENS):
        matrix[place, max(place, j + 1)] = 1
    return matrix, torch.ones(TOKENS)


class Network:
    """The folder's UNet in float64, each of its attention layers at hand, and its texts."""

    def __init__(self) -> None:
        pipe = StableDiffusionPipeline.from_pretrained(HERE / "diffusers_folder", safety_checker=None)
        self.tokenizer = pipe.tokenizer
        self.text_encoder = pipe.text_encoder.double()
        self.unet = pipe.unet.double()
        levels = len(tiny.FOLDER["unet"]["block_out_channels"])
        self.processors = {name: EditedAttention(name, levels) for name in self.unet.attn_processors}
        self.unet.set_attn_processor(dict(self.processors))

    def encode(self, texts: list[str]) -> Tensor:
        """(texts, tokens, width)."""
        ids = self.tokenizer(texts, padding="max_length", max_length=TOKENS, return_tensors="pt").input_ids
        return self.text_encoder(ids).last_hidden_state

    def eps(self, x: Tensor, t: int, context: Tensor, controller: Any = None) -> Tensor:
        """The noise in x, of a network that predicts v."""
        for processor in self.processors.values():
            processor.controller = controller
        v = self.unet(x, t, context).sample
        return ALPHA_BAR[t].sqrt() * v + (1 - ALPHA_BAR[t]).sqrt() * x


def move(x: Tensor, eps: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """The deterministic DDIM step from alpha_bar `start` to alpha_bar `end`, in either direction."""
    x_0 = (x - (1 - start).sqrt() * eps) / start.sqrt()
    return end.sqrt() * x_0 + (1 - end).sqrt() * eps


def invert(network: Network, clean: Tensor, context: Tensor) -> list[Tensor]:
    """The path of clean latents (1, 4, h, w), noisiest first: eps at the time that a step reaches."""
    path, here = [clean], ALPHA_BAR[0]
    for t in TIMESTEPS[::-1]:
        path.append(move(path[-1], network.eps(path[-1], t, context), here, ALPHA_BAR[t]))
        here = ALPHA_BAR[t]
    return path[::-1]


@torch.enable_grad()
def optimise_null_text(network: Network, path: list[Tensor], text: Tensor, null: Tensor, updates: int) -> list[Tensor]:
    """Null-text optimisation (arXiv 2211.09794, algorithm 1): what stands against the text in each step.

    As in the paper's code, with the numbers of its 50 steps spread over those that there are here.
    """
    x, found = path[0], []
    for step, t in enumerate(TIMESTEPS if updates else []):
        share = step / STEPS
        null = null.clone().detach().requires_grad_()
        optimizer = torch.optim.Adam([null], lr=1e-2 * (1 - 50 * share / 100))
        with torch.no_grad():
            conditional = network.eps(x, t, text)
        for _ in range(updates):
            plain = network.eps(x, t, null)
            eps = plain + GUIDANCE * (conditional - plain)
            reached = move(x, eps, ALPHA_BAR[t], ALPHA_BAR[max(t - 1000 // STEPS, 0)])
            loss = torch.nn.functional.mse_loss(reached, path[step + 1])
            (null.grad,) = torch.autograd.grad(loss, [null])
            optimizer.step()
            if loss.item() < 1e-5 + 2e-5 * 50 * share:
                break
        with torch.no_grad():
            plain = network.eps(x, t, null)
            eps = plain + GUIDANCE * (conditional - plain)
            x = move(x, eps, ALPHA_BAR[t], ALPHA_BAR[max(t - 1000 // STEPS, 0)])
        found.append(null.detach())
    return found


def run(network: Network, edit: Edit, aligner: Any, first: Tensor) -> Tensor:
    """The clean latents of the source and its edits, in one guided batch."""
    controller = Controller(edit, network.tokenizer, aligner)
    context, rows = network.encode(edit.texts), len(edit.texts)
    unconditional = network.encode([""]).expand(rows, -1, -1)
    path = []
    if edit.clean:
        path = invert(network, torch.from_numpy(noise(edit.clean, (1, 4, SIDE, SIDE))).double(), context[:1])
        first = path[0]
    nulls = optimise_null_text(network, path, context[:1], unconditional[:1], edit.null_updates) if path else []
    x = first.expand(rows, -1, -1, -1)
    for step, t in enumerate(TIMESTEPS):
        controller.step = step
        if edit.null_updates:
            unconditional = nulls[step].expand(rows, -1, -1)
        joined = GuidedEps(network, controller, torch.cat([unconditional, context]))
        x = move(x, joined(x, t), ALPHA_BAR[t], ALPHA_BAR[max(t - 1000 // STEPS, 0)])
        if path:
            x = torch.cat([path[step + 1], x[1:]])
        x = controller.blend(x)
    return x


class GuidedEps:
    """Classifier-free guidance, whose text half is edited."""

    def __init__(self, network: Network, controller: Controller, context: Tensor) -> None:
        self.network, self.controller, self.context = network, controller, context

    def __call__(self, x: Tensor, t: int) -> Tensor:
        """The guided noise in x."""
        plain, text = self.network.eps(torch.cat([x, x]), t, self.context, self.controller).chunk(2)
        return plain + GUIDANCE * (text - plain)


def main() -> None:
    """Records the final latents of every run, and the aligner's own matrices."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    spec: Any = importlib.util.spec_from_file_location("seq_aligner", sys.argv[1])
    aligner = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(aligner)
    network = Network()
    generator = np.random.default_rng([SEED, zlib.crc32(b"latents")])
    first = torch.from_numpy(generator.standard_normal((1, 4, SIDE, SIDE), np.float32)).double()
    arrays: dict[str, Any] = {"clean": noise("prompt_to_prompt/clean", (1, 4, SIDE, SIDE))[0]}
    unedited = Edit([CAT, DOG, REFINED, ZEBRA], "refine", cross=(0.0, 0.0), self_steps=(0.0, 0.0))
    arrays["unedited"] = run(network, unedited, aligner, first).numpy().astype(np.float32)
    for name, edit in RUNS.items():
        arrays[name] = run(network, edit, aligner, first).numpy().astype(np.float32)
    mapper, share = aligner.get_refinement_mapper([CAT, REFINED], network.tokenizer)
    arrays.update(refine_mapper=mapper[0].numpy(), refine_share=share[0].numpy())
    save("prompt_to_prompt", arrays)


if __name__ == "__main__":
    main()
