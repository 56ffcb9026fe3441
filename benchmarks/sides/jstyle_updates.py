"""Updates as jstyle's trainers make them: the real loop over the parameters of a word or a LoRA."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.sides import LORA_RANK, RATE, WORD_SCALE, Call, Case, drawn, inputs
from jstyle.adapters.lora import ATTENTION, LowRank, changed, layers
from jstyle.adapters.textual_inversion import TABLE, ExtendedEmbedding
from jstyle.networks.editing import swapped
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.training import LoopSettings, TrainState
from jstyle.training.loop import train
from jstyle.training.teaching.tuning import frozen

Text = Callable[[], jt.Var]
NEVER = 1 << 30


def prepared(pipe: StableDiffusionPipeline, case: Case, stack: ExitStack) -> Call:
    """An update a call, while ``stack`` is open; the latent, and for LoRA the text, are computed here, once."""
    given = inputs(case)
    stack.enter_context(frozen(pipe.unet, pipe.vae, pipe.text_encoder))
    parameters, text = (_word if case["method"] == "textual_inversion" else _lora)(pipe, case, given, stack)
    with jt.no_grad():
        clean = pipe.vae.encode(jt.array(given["image"])).latent_dist.mode() * pipe.vae.config.scaling_factor
        clean = np.array(clean.numpy())
    signal, noise = np.float32(case["alpha_bar"] ** 0.5), np.float32((1 - case["alpha_bar"]) ** 0.5)
    x, target = signal * clean + noise * given["noise"], signal * given["noise"] - noise * clean

    def loss(_: None, index: int) -> jt.Var:
        return (pipe.unet(jt.array(x), case["time"], text()).sample - jt.array(target)).sqr().mean()

    clip = None if case["method"] == "textual_inversion" else 1.0
    settings = LoopSettings(steps=NEVER, rate=RATE, clip=clip, checkpoint_every=NEVER)
    state = TrainState(parameters, settings)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    steps = train(state, lambda index: None, loss, settings, folder)

    def call() -> dict[str, Any]:
        step = next(steps)
        jt.sync(list(parameters.values()))
        told = {name: np.array(one.numpy()) for name, one in parameters.items() if name == "word"}
        return {"loss": np.array([step.loss], np.float32), **told}

    return call


def _word(
    pipe: StableDiffusionPipeline, case: Case, given: dict[str, np.ndarray], stack: ExitStack
) -> tuple[dict[str, jt.Var], Text]:
    table = pipe.text_encoder.text_model.embeddings.token_embedding
    with jt.no_grad():
        row = jt.array(drawn("word", (1, table.weight.shape[1])) * WORD_SCALE)
    ids = jt.array(given["ids"])
    stack.enter_context(swapped(pipe.text_encoder, {TABLE: ExtendedEmbedding(table, [row], case["word"])}))
    return {"word": row}, lambda: pipe.text_encoder(ids)[0]


def _lora(
    pipe: StableDiffusionPipeline, case: Case, given: dict[str, np.ndarray], stack: ExitStack
) -> tuple[dict[str, jt.Var], Text]:
    changes = {}
    with jt.no_grad():
        for path, layer in layers(pipe.unet, ATTENTION).items():
            out, size = layer.weight.shape
            down = jt.array(drawn(f"{path}.down", (LORA_RANK, size)))
            changes[path] = LowRank(down, jt.zeros([out, LORA_RANK]), float(LORA_RANK))
        text = pipe.text_encoder(jt.array(given["ids"]))[0].stop_grad()
        text.sync()
    stack.enter_context(changed(pipe.unet, [changes]))
    parameters = {f"{path}.down": change.down for path, change in changes.items()}
    parameters.update({f"{path}.up": change.up for path, change in changes.items()})
    return parameters, lambda: text
