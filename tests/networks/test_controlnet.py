"""The ControlNet beside its UNet: what is new changes nothing, and what does not fit is told before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jstyle.errors import InputError
from jstyle.networks import ControlNetModel, UNet2DConditionModel
from jstyle.networks.config import ControlNetConfig, UNetConfig
from jstyle.networks.outputs import ControlNetOutput
from jstyle.runtime import jt
from tests.golden import tiny
from tests.parity.networks import relative_error, seeded

RNG = np.random.default_rng(0)
SAMPLE = RNG.standard_normal((2, 4, 8, 6)).astype(np.float32)
TEXT = RNG.standard_normal((2, 7, 16)).astype(np.float32)
MAP = RNG.random((1, 3, 32, 24)).astype(np.float32)


@pytest.fixture(scope="module")
def unet() -> UNet2DConditionModel:
    return seeded(UNet2DConditionModel, UNetConfig.from_dict(tiny.FOLDER["unet"]))


@pytest.fixture(scope="module")
def net() -> ControlNetModel:
    return seeded(ControlNetModel, ControlNetConfig.from_dict(tiny.controlnet_config(tiny.FOLDER["unet"])))


@jt.no_grad()
def steer(unet: UNet2DConditionModel, residuals: ControlNetOutput) -> np.ndarray:
    down, middle = residuals.to_tuple()
    more: dict[str, Any] = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
    return np.array(unet(SAMPLE, 41, TEXT, **more).sample.numpy())


@pytest.mark.parametrize("load", [True, False])
def test_a_net_that_was_taught_nothing_changes_nothing(unet: UNet2DConditionModel, load: bool) -> None:
    fresh = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(4, 8, 12), load_weights_from_unet=load)
    with jt.no_grad():
        np.testing.assert_array_equal(steer(unet, fresh(SAMPLE, 41, TEXT, MAP)), unet(SAMPLE, 41, TEXT).sample.numpy())
    same = all(
        np.array_equal(parameter.numpy(), weight.numpy())
        for (name, parameter), weight in zip(fresh.named_parameters(), unet.parameters())
        if not name.startswith("controlnet_")
    )
    assert same == load


def test_what_reads_the_map_starts_as_convolutions_do(unet: UNet2DConditionModel) -> None:
    """Uniform within 1 / sqrt(inputs), as PyTorch begins; what comes last begins at zero, and so does the rest."""
    fresh = ControlNetModel.from_unet(unet)
    weights = {name: p.numpy() for name, p in fresh.named_parameters() if name.startswith("controlnet_")}
    first = weights["controlnet_cond_embedding.blocks.5.weight"]
    assert 0.98 < np.abs(first).max() * np.sqrt(96 * 9) <= 1
    ends = [name for name in weights if "cond_embedding" not in name or "conv_out" in name]
    assert not any(weights[name].any() for name in ends) and len(ends) == 2 * (12 + 1 + 1)


def test_the_unet_adds_what_it_is_given(unet: UNet2DConditionModel, net: ControlNetModel) -> None:
    """A residual that is the same everywhere may be given once a channel."""
    shapes = [(2, *shape) for shape in unet.config.list_skips(8, 6)]
    values = [RNG.standard_normal(shape[:2]).astype(np.float32)[..., None, None] for shape in [*shapes, shapes[-1]]]
    wide = [np.broadcast_to(value, shape) for value, shape in zip(values, [*shapes, shapes[-1]])]
    outs = [steer(unet, ControlNetOutput(tuple(map(jt.array, v[:-1])), jt.array(v[-1]))) for v in (values, wide)]
    np.testing.assert_array_equal(*outs)
    with jt.no_grad():
        assert relative_error(outs[0], unet(SAMPLE, 41, TEXT).sample.numpy()) > 0.1


def test_one_map_for_all_rows(net: ControlNetModel) -> None:
    with jt.no_grad():
        one, two = (net(SAMPLE, 41, TEXT, shown)[1].numpy() for shown in (MAP, np.repeat(MAP, 2, axis=0)))
    np.testing.assert_array_equal(one, two)


def test_a_saved_net_is_the_same(net: ControlNetModel, tmp_path: Path) -> None:
    net.save_pretrained(tmp_path)
    back = ControlNetModel.from_pretrained(tmp_path)
    assert back.config == net.config
    with jt.no_grad():
        np.testing.assert_array_equal(*(each(SAMPLE, 41, TEXT, MAP)[1].numpy() for each in (net, back)))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"controlnet_cond": MAP[:, :, :31]},
            r"a map \(1 or 2, 3, 32, 24\) for latents \(2, 4, 8, 6\), got",
        ),
        ({"controlnet_cond": MAP[:, :1]}, "wanted a map"),
        ({"controlnet_cond": "edges.png"}, "wanted a map as a jt.Var or an array of real numbers, got str"),
        ({"encoder_hidden_states": TEXT[..., :8]}, "ControlNet: wanted a text"),
        ({"sample": SAMPLE[:, :3]}, "ControlNet: wanted latents"),
        ({"controlnet_cond": MAP * np.nan}, "ControlNet: a map must be finite numbers"),
        ({"controlnet_cond": jt.array(np.full_like(MAP, np.inf))}, "ControlNet: a map must be finite numbers"),
        ({"conditioning_scale": float("nan")}, "ControlNet: conditioning_scale must be a finite number"),
        ({"conditioning_scale": "a"}, "ControlNet: conditioning_scale must be a finite number"),
        ({"conditioning_scale": None}, "ControlNet: conditioning_scale must be a finite number"),
        ({"conditioning_scale": [1, 2]}, "ControlNet: conditioning_scale must be a finite number"),
        ({"guess_mode": "no"}, "ControlNet: guess_mode must be True or False"),
        ({"step": "a"}, "ControlNet: step must be a whole number"),
        ({"step": -1}, "ControlNet: step must be a whole number"),
        ({"added_cond_kwargs": 5}, "wanted added_cond_kwargs as a dictionary, got int"),
        ({"added_cond_kwargs": []}, "wanted added_cond_kwargs as a dictionary, got list"),
        ({"added_cond_kwargs": {1: 2}}, "added_cond_kwargs are text_embeds and time_ids, beside a text alone, not 1"),
        ({"timestep": float("nan")}, "ControlNet: wanted finite numbers as timesteps, got nan"),
        ({"class_labels": [1]}, "the argument 'class_labels' is not supported"),
    ],
)
def test_wrong_inputs_of_the_net(net: ControlNetModel, changes: dict[str, Any], line: str) -> None:
    inputs = {"sample": SAMPLE, "timestep": 41, "encoder_hidden_states": TEXT, "controlnet_cond": MAP}
    with pytest.raises(InputError, match=line):
        net(**{**inputs, **changes})


@pytest.mark.parametrize("given", [None, "tiny", 5])
def test_what_is_no_unet_has_no_copy(given: Any) -> None:
    with pytest.raises(InputError, match="wanted a UNet2DConditionModel, got"):
        ControlNetModel.from_unet(given)


@pytest.mark.parametrize(
    ("name", "values", "line"),
    [
        ("conditioning_embedding_out_channels", [None, 16, "ab"], "must be a list"),
        ("seed", ["a", -1, float("nan"), None], "must be a whole number from 0"),
        ("load_weights_from_unet", ["no", None], "must be True or False"),
        ("controlnet_conditioning_channel_order", [5, None], "must be a text"),
    ],
)
def test_wrong_arguments_of_a_copy(unet: UNet2DConditionModel, name: str, values: list[Any], line: str) -> None:
    for value in values:
        options: dict[str, Any] = {name: value}
        with pytest.raises(InputError, match=f"ControlNetModel.from_unet: {name} {line}"):
            ControlNetModel.from_unet(unet, **options)


def test_wrong_residuals_of_the_unet(unet: UNet2DConditionModel, net: ControlNetModel) -> None:
    with jt.no_grad():
        down, middle = net(SAMPLE, 41, TEXT, MAP, return_dict=False)
    wrong: list[tuple[dict[str, Any], str]] = [
        (
            {"down_block_additional_residuals": down},
            "12 residuals on the way down and one of the middle",
        ),
        ({"mid_block_additional_residual": middle}, "got none and one"),
        (
            {"down_block_additional_residuals": down[:9], "mid_block_additional_residual": middle},
            "got 9 and one",
        ),
        (
            {"down_block_additional_residuals": [one[:1] for one in down], "mid_block_additional_residual": middle},
            r"wanted a residual \(2, 8, 8 or 1, 6 or 1\) for latents",
        ),
    ]
    for more, line in wrong:
        with pytest.raises(InputError, match=line):
            unet(SAMPLE, 41, TEXT, **more)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"controlnet_conditioning_channel_order": "rbg"}, "must be rgb or bgr, not 'rbg'"),
        ({"conditioning_embedding_out_channels": []}, "must be from 1 to 8, not 0"),
        ({"conditioning_channels": 4}, "conditioning_channels = 4 is not supported"),
        ({"class_embed_type": "timestep"}, "class_embed_type = 'timestep' is not supported"),
    ],
)
def test_wrong_configurations(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=line):
        ControlNetConfig.from_dict(tiny.controlnet_config(tiny.FOLDER["unet"], **changes))
