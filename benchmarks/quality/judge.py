"""The judge: a small convolutional network that reads the four words of a drawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jstyle import ops
from jstyle.networks.initial import initialise
from jstyle.networks.layers import Conv2d, GroupNorm, Linear
from jstyle.runtime import jt
from jstyle.training import LoopSettings
from jstyle.training.draws import make_generator
from jstyle.weights.loading import load_weights, save_weights
from jstyle.weights.tensors import FileTensors
from recipes.tiny.drawings import (
    COLOURS,
    MONOCHROME,
    OBJECTS,
    SETTINGS,
    TECHNIQUES,
    Scene,
    render,
    sample_scene,
)
from recipes.tiny.fit import fit
from recipes.tiny.pictures import as_input

WORDS: Mapping[str, Sequence[str]] = {
    "object": OBJECTS,
    "colour": COLOURS,
    "setting": SETTINGS,
    "technique": TECHNIQUES,
}
WIDTHS = (32, 64, 96, 128, 192)
DRAWINGS = 24000
BATCH = 32
LOOP = LoopSettings(steps=3000, rate=1e-3, schedule="cosine", warmup=50, weight_decay=0.05, checkpoint_every=250)
SEED = 77  # its drawings are not those that the model learnt from
_UNSEEN = 1 / 10  # pairs that the model never saw are a tenth of all; the judge sees them as often as others

Answers = dict[str, np.ndarray]


class Judge(jt.Module):
    """Pictures (batch, 3, 128, 128) in [-1, 1] -> one row of logits a word."""

    def __init__(self) -> None:
        ins = (3, *WIDTHS[:-1])
        self.convs = jt.nn.ModuleList([Conv2d(a, b, 3, stride=2, padding=(1, 1)) for a, b in zip(ins, WIDTHS)])
        self.mixes = jt.nn.ModuleList([Conv2d(b, b, 3, padding=(1, 1)) for b in WIDTHS])
        self.norms = jt.nn.ModuleList([GroupNorm(8, b, 1e-5) for b in WIDTHS])
        self.heads = jt.nn.ModuleList([Linear(2 * WIDTHS[-1], len(words)) for words in WORDS.values()])

    def execute(self, pictures: jt.Var) -> list[jt.Var]:
        """(batch, 3, side, side) in [-1, 1] to logits (batch, words), a tensor a kind of word."""
        x = ops.channels_last(pictures)
        for conv, mix, norm in zip(self.convs, self.mixes, self.norms):
            x = conv(x)
            x = mix(norm(x, silu=True), residual=x)
        x = ops.silu(x)
        seen = jt.concat([x.mean(dims=(1, 2)), x.max(dim=2).max(dim=1)], dim=1)
        return [head(seen) for head in self.heads]


def labels(scenes: Sequence[Scene]) -> np.ndarray:
    """(scenes, 4) places of the words, -1 for a colour that cannot be seen."""
    found = np.array([[words.index(getattr(scene, kind)) for kind, words in WORDS.items()] for scene in scenes])
    colourless = [scene.technique in MONOCHROME for scene in scenes]
    found[colourless, list(WORDS).index("colour")] = -1
    return found


def train(folder: Path, drawings: int = DRAWINGS, loop: LoopSettings = LOOP) -> Judge:
    """The judge in this folder, trained where it is not there yet (some minutes)."""
    judge, file = Judge(), folder / "judge.safetensors"
    initialise(judge, SEED)
    if not file.exists():
        pictures, answers = _examples(folder, drawings)

        def batch(index: int) -> tuple[np.ndarray, np.ndarray]:
            chosen = make_generator(SEED, index, "batch").integers(len(pictures), size=BATCH)
            return as_input(pictures[chosen]), answers[chosen]

        def loss(example: tuple[np.ndarray, np.ndarray], index: int) -> jt.Var:
            outputs = judge(jt.array(example[0]))
            return sum((_cross_entropy(one, known) for one, known in zip(outputs, example[1].T)), jt.array([0.0]))

        fit(folder, dict(judge.named_parameters()), batch, loss, loop, {"drawings": drawings})
        save_weights(judge, file)
    load_weights(judge, FileTensors([file]), "judge")
    return judge


def read(judge: Judge, pictures: np.ndarray, batch: int = 32) -> np.ndarray:
    """What it reads in (n, 128, 128, 3) uint8 pictures: places of the words, (n, 4)."""
    found = []
    for start in range(0, len(pictures), batch):
        with jt.no_grad():
            outputs = judge(jt.array(as_input(pictures[start : start + batch])))
        found.append(np.stack([one.numpy().argmax(axis=1) for one in outputs], axis=1))
    return np.concatenate(found)


def hits(judge: Judge, pictures: np.ndarray, scenes: Sequence[Scene]) -> Answers:
    """For each kind of word whether it was read, (n,) float; NaN where it cannot be seen."""
    known, found = labels(scenes), read(judge, pictures)
    right = np.where(known < 0, np.nan, known == found)
    return {kind: right[:, i] for i, kind in enumerate(WORDS)}


def _examples(folder: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = make_generator(SEED, 0, "scenes")
    scenes = [sample_scene(rng, unseen=bool(rng.random() < _UNSEEN)) for _ in range(count)]
    return np.stack([render(scene) for scene in scenes]), labels(scenes)


def _cross_entropy(logits: jt.Var, known: np.ndarray) -> jt.Var:
    """The mean over those that are known."""
    most = logits.max(dim=1, keepdims=True).stop_grad()
    log_sum = jt.log(jt.exp(logits - most).sum(dim=1)) + most.squeeze(1)
    wanted = (np.arange(logits.shape[1]) == known[:, None]).astype(np.float32)
    counted = (known >= 0).astype(np.float32)
    lost = (log_sum - (logits * jt.array(wanted)).sum(dim=1)) * jt.array(counted)
    return lost.sum() / float(max(1.0, counted.sum()))
