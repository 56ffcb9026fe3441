"""One update of each method against PyTorch's, through diffusers' networks with the same weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from jstyle.adapters import lora
from jstyle.adapters.lora_files import parse
from jstyle.adapters.textual_inversion import TABLE, ExtendedEmbedding
from jstyle.diffusion.schedule import Prediction, Schedule, diffuse, from_prediction
from jstyle.diffusion.schedule_config import ScheduleConfig
from jstyle.networks.editing import swapped
from jstyle.networks.recompute import recomputed
from jstyle.ops.kernels import operator
from jstyle.runtime import jt
from jstyle.training import LoopSettings, Question, TrainState, diffusion_loss
from jstyle.training.optimizer import clip_scale, gradients_of, norms
from jstyle.training.teaching.lora.train import name_matrices
from jstyle.training.teaching.tuning import frozen
from jstyle.weights.tensors import ArrayTensors
from tests.golden import tiny
from tests.golden.adapter_tensors import adapter_tensor
from tests.parity.networks import build, golden, relative_error

RECORDED = golden("adapters")
# AdamW divides by a gradient's own size, so that small ones count in full: plain Jittor's rounding shows more.
TOLERANCE = 2e-5 if operator.unavailable() is None else 1e-4
LOOP = LoopSettings(rate=1e-3)
PREDICTIONS = ["epsilon", "v_prediction"]


@pytest.fixture(scope="module")
def unet() -> Any:
    return build("sd2", "unet")


@pytest.fixture(scope="module")
def text() -> Any:
    return build("sd2", "text")


def question(prediction: str) -> Question:
    """The recorded pictures, noise and times."""
    config = ScheduleConfig("ddpm", 1000, 0.00085, 0.012, "scaled_linear", None, prediction)
    x0, eps = (np.float64(RECORDED[f"lora_{name}"]) for name in ("sample", "noise"))
    alpha_bar: Any = Schedule(config).alpha_bars[RECORDED["lora_timestep"]].reshape(-1, 1, 1, 1)
    x, target = diffuse(x0, eps, alpha_bar), from_prediction(Prediction(x0, eps), alpha_bar, prediction)
    return Question(jt.array(np.float32(x)), RECORDED["lora_timestep"], jt.array(np.float32(target)), np.ones(2))


def step(prediction: str, unet: Any, context: Callable[[], jt.Var], trained: Mapping[str, jt.Var]) -> dict[str, Any]:
    """One update, as ``training.loop`` makes it: the loss, the gradients' norm and what the parameters became."""
    asked, state = question(prediction), TrainState(trained, LOOP)
    loss = diffusion_loss(unet(asked.x, asked.times.tolist(), context()).sample, asked)
    gradients = gradients_of(loss, list(trained.values()))
    norm = float(np.linalg.norm(norms(gradients)))
    state.update(gradients, LOOP.rate, clip_scale(norm, LOOP.clip))
    return {"loss": loss.item(), "norm": norm, **{name: np.array(var.numpy()) for name, var in trained.items()}}


def compare(method: str, prediction: str, found: Mapping[str, Any], before: Mapping[str, np.ndarray]) -> None:
    prefix = f"step_{prediction}_{method}_"
    recorded = {name[len(prefix) :]: value for name, value in RECORDED.items() if name.startswith(prefix)}
    assert len(recorded) > 2
    for name in recorded:
        wanted = np.float64(recorded[name])
        assert relative_error(np.asarray(found[name], np.float64), wanted) < TOLERANCE, name
        # the step is small beside the value: compare what it changed, too
        if name in before:
            moved = np.float64(found[name]) - before[name]
            assert relative_error(moved, wanted - before[name]) < 3e-3, name


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("again", [False, True])
def test_lora(prediction: str, again: bool, unet: Any, text: Any) -> None:
    shapes = json.loads(str(RECORDED["keys"]))
    arrays = {key: adapter_tensor(key, shape) for key, shape in shapes.items()}
    change = parse(ArrayTensors(arrays), unet, text, json.loads(str(RECORDED["metadata"])))
    trained = name_matrices(change)
    inside = {name[5:]: var for name, var in trained.items() if name.startswith("unet.")} if again else {}
    with frozen(unet, text), lora.changed(unet, [change.unet]), lora.changed(text, [change.text_encoder]):
        ids = jt.array(RECORDED["lora_input_ids"].astype(np.int32))
        with recomputed(unet, inside) if again else frozen():
            found = step(prediction, unet, lambda: text(ids)[0], trained)
    named = {"down": "lora_A.weight", "up": "lora_B.weight"}
    theirs = {}
    for name, value in found.items():
        path, _, matrix = name.replace("text_encoder.text_model.", "text_encoder.").rpartition(".")
        theirs[f"{path}.{named[matrix]}" if matrix in named else name] = value
    compare("lora", prediction, theirs, arrays)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("again", [False, True])
def test_the_whole_unet(prediction: str, again: bool) -> None:
    unet = build("sd2", "unet")
    trained = dict(unet.named_parameters())
    context = jt.array(RECORDED["lora_context"]).stop_grad()
    with recomputed(unet, trained) if again else frozen():
        found = step(prediction, unet, lambda: context, trained)
    before = {name: tiny.seeded_tensor(name, value.shape) for name, value in found.items() if np.ndim(value)}
    compare("unet", prediction, found, before)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_new_words(prediction: str, unet: Any, text: Any) -> None:
    start = tiny.seeded_tensor("words._embedding.weight", (3, 48))
    rows = jt.array(start)
    known = text.config.vocab_size - 3
    ids = jt.array(RECORDED["words_input_ids"].astype(np.int32))
    with frozen(unet, text):
        table = ExtendedEmbedding(text.text_model.embeddings.token_embedding, [rows], known)
        with swapped(text, {TABLE: table}):
            found = step(prediction, unet, lambda: text(ids)[0], {"rows": rows})
    compare("words", prediction, found, {"rows": start})
    assert text.text_model.embeddings.token_embedding is not table
