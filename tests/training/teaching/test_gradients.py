"""The gradient of every method's loss against central differences of the same loss in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jstyle import DiffusionPipeline, StableDiffusionPipeline, ops
from jstyle.adapters.lora import Lora, LowRank, changed
from jstyle.adapters.lora_keys import COMPONENTS
from jstyle.methods.inst import training as inst
from jstyle.methods.inst.network import DROPOUTS, Sizes, StyleAttention
from jstyle.networks.editing import swapped
from jstyle.networks.initial import initialise
from jstyle.ops import reference
from jstyle.ops.kernels import operator
from jstyle.runtime import jt
from jstyle.training import LossSettings
from jstyle.training.teaching import tuning
from jstyle.training.teaching.dropout import Dropout
from jstyle.training.teaching.lora import train as lora
from jstyle.training.teaching.lora.settings import LoraSettings
from jstyle.training.teaching.tuning import Batch, Clock, frozen
from tests.parity.networks import GOLDEN
from tests.training.teaching.small import pipeline

TOLERANCE = 1e-4
STEP = 1e-5
SETTINGS = LoraSettings(
    data=(Path("."),),
    output=Path("."),
    rank=2,
    feed_forward=True,
    convolutions=True,
    text_encoder=True,
    loss=LossSettings(min_snr=5.0, offset_noise=0.1),
)
WHOLE = (
    "conv_in.weight",
    "up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight",
    "conv_norm_out.bias",
    "text_model.embeddings.token_embedding.weight",
    "text_model.embeddings.position_embedding.weight",
    "text_model.encoder.layers.0.mlp.fc1.weight",
)


def trained(method: str, pipe: StableDiffusionPipeline, stack: ExitStack, values: Mapping[str, np.ndarray]) -> Any:
    """Puts the method on the pipeline, in its dtype: parameters by name, and what reads captions."""
    dtype = pipe.unet.dtype

    def var(name: str, start: np.ndarray) -> jt.Var:
        value = np.asarray(values.get(name, start), np.float64)
        halves = [np.float32(value), np.float32(value - np.float32(value))]  # Jittor takes no float64 arrays
        return sum(jt.array(half).cast(dtype) for half in halves)  # type: ignore[return-value]

    rng = np.random.default_rng(1)
    if method == "words":
        named = {}
        for number, vocabulary in enumerate(pipe.vocabularies):
            width = vocabulary.text_encoder.config.hidden_size
            rows = named[f"rows{number or ''}"] = var(f"rows{number or ''}", 0.5 * rng.standard_normal((2, width)))
            vocabulary.add({"<ink>": rows})
            stack.callback(vocabulary.remove)
        return named, tuning.make_learning_reader(pipe)
    if method == "whole":
        every = [*pipe.unet.named_parameters(), *pipe.text_encoder.named_parameters()]
        named = {name: one for name, one in every if name in WHOLE}
        assert len(named) == len(WHOLE)
        for name, one in named.items():
            one.assign(var(name, one.numpy()))
        return named, tuning.make_learning_reader(pipe)
    if method == "inst":
        return learnt_by_inst(pipe, stack, var)
    start = lora.start_lora(pipe, SETTINGS, Clock())
    both: dict[str, dict[str, LowRank]] = {}
    for component in COMPONENTS:
        both[component] = {}
        for path, one in start.of(component).items():
            name = f"{component}.{path}"
            up = 0.1 * rng.standard_normal(one.up.shape)  # not zero: A would have no gradient
            both[component][path] = LowRank(var(f"{name}.down", one.down.numpy()), var(f"{name}.up", up), 3.0)
    change = Lora(**both)
    for component, network in zip(COMPONENTS, pipe.adaptable):
        stack.enter_context(changed(network, [change.of(component)]))
    return lora.name_matrices(change), tuning.make_learning_reader(pipe)


def learnt_by_inst(pipe: StableDiffusionPipeline, stack: ExitStack, var: Callable[[str, np.ndarray], jt.Var]) -> Any:
    """The attention over a picture's tokens, with its dropout as at batch 3."""
    network = StyleAttention(Sizes(24, 48, 2, 4))
    initialise(network, 1)
    for name, one in network.named_parameters():
        one.assign(var(f"style.{name}", one.numpy()))
    clock = Clock()
    clock.index = 3
    dropouts = {path: Dropout(0.2, 0, path, clock) for path in DROPOUTS}
    stack.enter_context(swapped(network, dropouts))
    tokens = var("tokens", 2 * np.random.default_rng(4).standard_normal((1, 5, 24))).stop_grad()
    read = inst.make_word_reader(stack, pipe, network, tokens, ["<ink>"])
    return {f"style.{name}": one for name, one in network.named_parameters()}, read


def loss_and_gradients(
    method: str, pipe: StableDiffusionPipeline, values: Mapping[str, np.ndarray], wanted: bool
) -> Any:
    """The loss at these values, and where wanted the values and gradients of all parameters."""
    rng = np.random.default_rng(2)
    batch = Batch(
        rng.standard_normal((2, 4, 8, 8)).astype(np.float32), ["a <ink> river", "<ink>"], np.array([1.5, 0.5])
    )
    with ExitStack() as stack:
        stack.enter_context(frozen(*pipe.adaptable))
        parameters, read = trained(method, pipe, stack, values)
        for one in parameters.values():
            one.start_grad()
        loss = tuning.make_loss(pipe, SETTINGS, read, Clock())(batch, 3)
        found = np.array(loss.numpy(), np.float64).item()
        if not wanted:
            return found
        gradients = jt.grad(loss, list(parameters.values()))
        return (
            found,
            {name: np.array(one.numpy(), np.float64) for name, one in parameters.items()},
            {name: np.array(one.numpy(), np.float64) for name, one in zip(parameters, gradients)},
        )


def attend(q: Any, k: Any, v: Any, bias: Any, shared: Any, shift: float, scale: float, upcast: bool) -> jt.Var:
    """Attention whose logits stay in the inputs' dtype."""
    logits = jt.matmul(q * scale, k.transpose(0, 1, 3, 2))
    return jt.matmul(jt.nn.softmax(logits if bias is None else logits + bias, dim=-1), v)


def in_float64(pipe: StableDiffusionPipeline, monkeypatch: pytest.MonkeyPatch) -> StableDiffusionPipeline:
    """The networks in float64, which plain Jittor computes; their casts to fp32 are left out."""
    for network in pipe.adaptable:
        for one in network.parameters():
            one.assign(one.float64())
    monkeypatch.setattr(operator, "unavailable", lambda: "fused kernels know no float64")
    monkeypatch.setattr(reference, "_attend", attend)
    real = ops.channels_first
    monkeypatch.setattr(ops, "channels_first", lambda x, dtype=None: real(x, "float64"))
    return pipe


@pytest.mark.parametrize(
    ("method", "prediction"),
    [
        ("words", "epsilon"),
        ("words", "v_prediction"),
        ("lora", "v_prediction"),
        ("whole", "epsilon"),
        ("inst", "epsilon"),
    ],
)
def test_gradients(method: str, prediction: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check_gradients(method, lambda: pipeline(prediction), monkeypatch)


@pytest.mark.parametrize("method", ["words", "lora"])
def test_gradients_of_sdxl(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through both text encoders, and the vector of the text that is added to the time's embedding."""
    check_gradients(method, lambda: DiffusionPipeline.from_pretrained(str(GOLDEN / "sdxl_folder")), monkeypatch)


def check_gradients(method: str, load: Callable[[], StableDiffusionPipeline], monkeypatch: pytest.MonkeyPatch) -> None:
    _, values, gradients = loss_and_gradients(method, load(), {}, True)
    exact = in_float64(load(), monkeypatch)
    rng = np.random.default_rng(3)
    names = sorted(values)[:: max(1, len(values) // 5)]
    for name in [*names, None]:  # some alone, then all together
        moved = {one: rng.standard_normal(value.shape) for one, value in values.items() if name in (one, None)}
        length = np.sqrt(sum((one**2).sum() for one in moved.values()))
        ends = [
            loss_and_gradients(
                method, exact, {one: values[one] + side * STEP * moved.get(one, 0) / length for one in values}, False
            )
            for side in (1, -1)
        ]
        slope = (ends[0] - ends[1]) / (2 * STEP)
        found = sum((gradients[one] * direction).sum() for one, direction in moved.items()) / length
        norm = np.sqrt(sum((gradients[one] ** 2).sum() for one in moved))
        # a random direction sees a share of about 1 / sqrt(n) of the gradient
        scale = norm / np.sqrt(sum(one.size for one in moved.values()))
        assert norm > 0 and abs(found - slope) < TOLERANCE * max(scale, abs(slope)), (name, found, slope)
