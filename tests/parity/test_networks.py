"""The networks against PyTorch diffusers and transformers on the same weights."""

from __future__ import annotations

import numpy as np
import pytest

from jstyle.networks import UNet2DConditionModel
from jstyle.networks.config import UNetConfig
from jstyle.runtime import jt
from tests.golden import tiny
from tests.parity.networks import build, cases, relative_error, seeded

FLAVOURS = ["sd1", "sd2"]
TOLERANCE = 1e-5


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_unet(flavour: str) -> None:
    unet = build(flavour, "unet")
    for case in cases(f"unet_{flavour}"):
        with jt.no_grad():
            out = unet(jt.array(case["sample"]), case["timestep"], jt.array(case["context"])).sample
        assert relative_error(out, case["out"]) < TOLERANCE


def test_a_unet_with_another_number_of_resnets_on_every_level() -> None:
    config = UNetConfig.from_dict({**tiny.FOLDER["unet"], "layers_per_block": tiny.LAYERS})
    (case,) = cases("unet_layers")
    with jt.no_grad():
        out = seeded(UNet2DConditionModel, config)(
            jt.array(case["sample"]), case["timestep"], jt.array(case["context"])
        ).sample
    assert relative_error(out, case["out"]) < TOLERANCE


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_vae(flavour: str) -> None:
    vae = build(flavour, "vae")
    for case in cases(f"vae_{flavour}"):
        with jt.no_grad():
            posterior = vae.encode(jt.array(case["image"])).latent_dist
            decoded = vae.decode(jt.array(case["latent"])).sample
        assert relative_error(posterior.mean, case["mean"]) < TOLERANCE
        assert relative_error(posterior.logvar, case["logvar"]) < TOLERANCE
        assert relative_error(decoded, case["decoded"]) < TOLERANCE


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_text_encoder(flavour: str) -> None:
    encoder = build(flavour, "text")
    for case in cases(f"text_{flavour}"):
        with jt.no_grad():
            out = encoder(jt.array(case["input_ids"].astype(np.int32)))
        assert relative_error(out.last_hidden_state, case["last_hidden_state"]) < TOLERANCE
        assert relative_error(out.pooler_output, case["pooled"]) < TOLERANCE


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_image_encoder(flavour: str) -> None:
    encoder = build(flavour, "vision")
    for case in cases(f"vision_{flavour}"):
        with jt.no_grad():
            out = encoder(jt.array(case["pixels"]))
        assert relative_error(out.embeds, case["embeds"]) < TOLERANCE
        assert relative_error(out.last_hidden_state, case["last_hidden_state"]) < TOLERANCE
