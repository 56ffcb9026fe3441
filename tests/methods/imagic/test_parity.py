"""Imagic against PyTorch in float64: both stages' losses and results, and pictures drawn between the embeddings."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jstyle.events import Updated
from jstyle.methods.imagic.run import Imagic, interpolate
from jstyle.methods.imagic.settings import ImagicSettings
from jstyle.methods.imagic.stages import Stages
from jstyle.pipelines.stable_diffusion import StableDiffusionPipeline
from jstyle.runtime import jt
from jstyle.settings.model import ModelSettings
from jstyle.training import LoopSettings
from tests.parity.networks import GOLDEN, golden, relative_error

RECORDED = golden("imagic")
PROMPT = "a red cat on the mat at night"
ETAS = (0.0, 0.7, 1.2)
ADAM: dict[str, Any] = {"steps": 3, "clip": None, "weight_decay": 0.0}
SETTINGS = ImagicSettings(
    embedding_loop=LoopSettings(rate=1e-2, seed=3, **ADAM),
    unet_loop=LoopSettings(rate=1e-3, seed=4, **ADAM),
    steps=4,
    guidance=3.0,
    seed=5,
)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_the_stages_are_pytorchs(kind: Any, tmp_path: Path) -> None:
    model = ModelSettings(model=str(GOLDEN / "diffusers_folder"), prediction_type=kind)
    pipe = StableDiffusionPipeline.from_settings(model)
    stages, latents = Stages(SETTINGS, pipe, "float32", "", PROMPT, tmp_path), RECORDED["clean"]
    losses: dict[str, list[Any]] = {"embedding": [], "unet": []}

    def follow(run: Any) -> Any:
        while True:
            try:
                event = next(run)
            except StopIteration as end:
                return end.value
            assert isinstance(event, Updated)
            losses[event.stage].append(event.loss)

    optimised = follow(stages.optimise_embedding(pipe, latents))
    assert relative_error(optimised, RECORDED[f"{kind}_optimised"]) < 1e-4
    text = np.array(pipe.encode_texts(PROMPT).numpy())
    with ExitStack() as stack:
        follow(stages.tune_network(stack, pipe, latents, optimised))
        for stage, values in losses.items():
            assert np.allclose(values, RECORDED[f"{kind}_{stage}_losses"], rtol=1e-5)
        named = dict(pipe.unet.named_parameters())
        prefix = f"{kind}_weights_"
        for name in [name[len(prefix) :] for name in RECORDED if name.startswith(prefix)]:
            assert relative_error(named[name].numpy(), RECORDED[prefix + name]) < 1e-4, name
        drawn = draw(pipe, interpolate(text, optimised, ETAS))
    assert relative_error(drawn, RECORDED[f"{kind}_drawn"]) < 1e-4


def draw(pipe: StableDiffusionPipeline, embeddings: np.ndarray) -> np.ndarray:
    """The clean latents of `Imagic.draw`'s pictures."""
    kept: list[np.ndarray] = []

    def keep(latents: jt.Var) -> np.ndarray:
        kept.append(np.array(latents.numpy()))
        return np.zeros((1, 3, 4, 4), np.float32)

    pipe.decode_latents = keep
    side = 8 * pipe.vae.config.factor
    for _ in Imagic(pipe, SETTINGS).draw(dict(enumerate(embeddings)), (side, side)):
        pass
    return np.concatenate(kept)


def test_eta_goes_from_the_picture_to_the_text_and_beyond() -> None:
    text, optimised = (np.full((1, 2, 3), value, np.float32) for value in (5.0, 1.0))
    between = interpolate(text, optimised, [0.0, 0.25, 1.0, 1.5])
    assert between.shape == (4, 2, 3) and np.array_equal(between[:, 0, 0], [1.0, 2.0, 5.0, 7.0])
    assert np.array_equal(interpolate(text, optimised, [1.0])[0], text[0])
