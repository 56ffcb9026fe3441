"""Files of learnt words, spoilt in names, shapes and numbers: python -m benchmarks.fuzz.words --inputs 10000"""

from __future__ import annotations

import random
import sys
import tempfile
import warnings
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.fuzz import trials
from benchmarks.fuzz.tensor_files import HostileFile
from jstyle import StableDiffusionPipeline
from jstyle.diffusion import prompts

TOKENS = [
    "<ink>", "EasyNegative", "ink", "emb_params", "a", "the", "two words", "", " ", "\x1b[31mred", "\n", "<ink>_1",
    "\x00", "İstanbul", "\u200b", "\ud83d\ude00", "x" * 400, "\u202eabc", "\t<a>", "<A>", "水墨", "\u00a0",
    "ﬁne", "<|endoftext|>", "!", "é", "e\u0301",
]  # fmt: skip
SHAPES = [(1, 128), (3, 128), (128,), (0, 128), (76, 128), (2, 64), (), (1, 1, 128), (75, 128)]


def draw(rng: random.Random) -> bytes:
    """A word under a name that may be none, mostly spoilt."""
    shapes = {rng.choice(TOKENS): rng.choice(SHAPES) for _ in range(rng.choice([1, 1, 1, 1, 2, 0]))}
    generator = np.random.default_rng(rng.randrange(1 << 30))
    arrays = {name: generator.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    file = HostileFile(arrays, {"format": "pt"} if rng.random() < 0.5 else {})
    for _ in range(rng.choice([0, 0, 0, 1, 1, 2])):
        file.change(rng)
    return file.to_bytes(rng)


def read(content: bytes) -> None:
    """Load the word into the embedded model, have a prompt read it, and unload it."""
    pipe = _load_model()
    token = "<named>" if len(content) % 2 else None
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("error")
        (Path(place) / "word.safetensors").write_bytes(content)
        try:
            pipe.load_textual_inversion(place, token)
            for word, rows in pipe.vocabulary.vectors.items():
                found = prompts.token_ids(pipe.tokenizer, [word])[0]
                if (found >= len(pipe.parts.tokenizer)).sum() != rows.shape[0]:
                    raise AssertionError(f"a prompt does not have all vectors of {word!r}")
        finally:
            pipe.unload_textual_inversion()
    if pipe.tokenizer is not pipe.parts.tokenizer:
        raise AssertionError("the tokenizer is not as it was")


@cache
def _load_model() -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained("tiny")


if __name__ == "__main__":
    _load_model()
    sys.exit(trials.main(__doc__, draw, read))
