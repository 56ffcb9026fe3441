"""The diffusion loss against float64 formulas, its gradient against finite differences, and a network that learns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Optional

import numpy as np
import pytest

from jstyle.diffusion.schedule import Schedule
from jstyle.diffusion.schedule_config import PREDICTION_TYPES, ScheduleConfig
from jstyle.runtime import jt
from jstyle.training import LoopSettings, LossSettings, TrainState, ask, diffusion_loss, train
from jstyle.training.loss import draw_noise, draw_times, level_weights
from tests.parity.networks import build, relative_error

PLAIN = LossSettings()
SHAPE = (4, 4, 8, 6)


def schedule_of(prediction_type: str) -> Schedule:
    settings = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=prediction_type)
    return Schedule(ScheduleConfig(**settings))


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng((seed, *shape)).standard_normal(shape).astype(np.float32)


def exact_loss(
    output: np.ndarray, x0: np.ndarray, index: int, kind: str, gamma: Optional[float], own: np.ndarray
) -> float:
    """Every term from the papers, with the drawn times and noise."""
    schedule = schedule_of(kind)
    times = draw_times(len(x0), 1000, PLAIN, 5, index)
    eps = np.float64(draw_noise(x0.shape, PLAIN, 5, index))
    total = 0.0
    for row, t in enumerate(times):
        alpha, sigma = np.sqrt(schedule.alpha_bars[t]), np.sqrt(1 - schedule.alpha_bars[t])
        target = {"epsilon": eps[row], "v_prediction": alpha * eps[row] - sigma * x0[row], "sample": x0[row]}[kind]
        snr = alpha**2 / sigma**2
        clipped = snr if gamma is None else min(snr, gamma)
        weight = {"epsilon": clipped / snr, "v_prediction": clipped / (snr + 1), "sample": clipped}[kind]
        total += own[row] * (1.0 if gamma is None else weight) * np.mean((output[row] - target) ** 2)
    return total / len(x0)


@pytest.mark.parametrize("gamma", [None, 5.0])
@pytest.mark.parametrize("kind", PREDICTION_TYPES)
def test_the_loss_is_that_of_the_papers(kind: str, gamma: Optional[float]) -> None:
    x0, output = normal(*SHAPE, seed=1), normal(*SHAPE, seed=2)
    own = np.array([1.0, 0.5, 2.0, 0.0])
    for index in range(3):
        question = ask(x0, schedule_of(kind), LossSettings(min_snr=gamma), 5, index)
        found = diffusion_loss(jt.array(output), question, own.tolist()).item()
        assert found == pytest.approx(exact_loss(output, x0, index, kind, gamma, own), rel=1e-6)
        plain = diffusion_loss(jt.array(output), question).item()
        assert plain == pytest.approx(exact_loss(output, x0, index, kind, gamma, np.ones(4)), rel=1e-6)


@pytest.mark.parametrize("t", [0, 1, 500, 999])
def test_latents_are_noised_as_in_ddpm(t: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jstyle.training.loss.draw_times", lambda count, *_: np.full(count, t))
    schedule, x0 = schedule_of("v_prediction"), normal(*SHAPE)
    question = ask(x0, schedule, PLAIN, 3, 7)
    alpha_bar, eps = schedule.alpha_bars[t], np.float64(draw_noise(SHAPE, PLAIN, 3, 7))
    assert relative_error(question.x, np.sqrt(alpha_bar) * x0 + np.sqrt(1 - alpha_bar) * eps) < 1e-7
    assert relative_error(question.target, np.sqrt(alpha_bar) * eps - np.sqrt(1 - alpha_bar) * x0) < 1e-7
    assert question.x.dtype == question.target.dtype == "float32" and list(question.times) == [t] * 4


def test_weights_of_all_predictions_mean_the_same_error_of_x0() -> None:
    """Errors of eps, v and x0 that stand for one another cost the same."""
    alpha_bars = schedule_of("epsilon").alpha_bars[::100]
    snr = alpha_bars / (1 - alpha_bars)
    of_x0 = level_weights(alpha_bars, "sample", 5.0)
    assert np.allclose(level_weights(alpha_bars, "epsilon", 5.0) * snr, of_x0)
    assert np.allclose(level_weights(alpha_bars, "v_prediction", 5.0) * (snr + 1), of_x0)
    assert of_x0.max() == 5.0 and of_x0.min() == pytest.approx(snr.min())


def test_times_are_spread_as_asked() -> None:
    def share(settings: LossSettings) -> np.ndarray:
        times = draw_times(40_000, 1000, settings, 0, 0)
        assert times.min() >= 0 and times.max() <= 999
        return np.histogram(times, bins=4, range=(0, 1000))[0] / 40_000

    assert np.abs(share(PLAIN) - 0.25).max() < 0.01
    # the normal distribution between the quartiles' logits, -1.0986, 0 and 1.0986
    assert np.abs(share(LossSettings(times="logit_normal")) - [0.1360, 0.3640, 0.3640, 0.1360]).max() < 0.01
    late = share(LossSettings(times="logit_normal", times_mean=1.0, times_deviation=0.5))
    assert late[3] > 0.4 > 0.01 > late[0]


def test_offset_noise_is_one_number_a_channel() -> None:
    plain, offset = (draw_noise((3, 4, 8, 8), LossSettings(offset_noise=o), 1, 2) for o in (0.0, 0.5))
    added = offset - plain
    assert np.abs(added - added.mean((2, 3), keepdims=True)).max() < 1e-6
    many = (draw_noise((64, 64, 1, 1), LossSettings(offset_noise=o), 1, 2) for o in (0.5, 0.0))
    assert np.std(np.subtract(*many)) == pytest.approx(0.5, rel=0.03)


def test_draws_depend_on_seed_and_index_alone() -> None:
    first = draw_noise((2, 3), PLAIN, 1, 2)
    assert np.array_equal(first, draw_noise((2, 3), PLAIN, 1, 2))
    assert not np.array_equal(first, draw_noise((2, 3), PLAIN, 1, 3))
    assert not np.array_equal(first, draw_noise((2, 3), PLAIN, 2, 2))


@pytest.mark.parametrize("wrong", [dict(min_snr=0.0), dict(offset_noise=-1.0), dict(times="late")])
def test_wrong_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LossSettings(**wrong)


def unet_loss(unet: jt.Module, settings: LossSettings, fixed: Optional[int] = None) -> Callable[[object, int], jt.Var]:
    latents, text = normal(4, 4, 8, 8, seed=3), jt.array(normal(4, 7, 48, seed=4))
    schedule = schedule_of("v_prediction")

    def loss(_: object, index: int) -> jt.Var:
        question = ask(latents, schedule, settings, 0, index if fixed is None else fixed)
        return diffusion_loss(unet(question.x, question.times, text).sample, question)

    return loss


@pytest.mark.parametrize(
    "name",
    [
        "conv_in.weight",
        "time_embedding.linear_1.weight",
        "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.weight",
        "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight",
        "mid_block.resnets.0.norm1.weight",
        "up_blocks.2.attentions.1.transformer_blocks.0.ff.net.0.proj.weight",
        "conv_out.bias",
    ],
)
def test_the_gradient_is_that_of_finite_differences(name: str, path: str) -> None:
    unet = build("sd2", "unet")
    parameter: jt.Var = dict(unet.named_parameters())[name]
    loss = unet_loss(unet, LossSettings(min_snr=5.0, offset_noise=0.1))
    gradient = np.float64(jt.grad(loss(None, 0), parameter).numpy())
    value, direction = parameter.numpy().copy(), normal(*gradient.shape, seed=1)

    def at(shift: float) -> float:
        parameter.assign(jt.array(value + np.float32(shift) * direction))
        with jt.no_grad():
            return loss(None, 0).item()

    step = 0.02 * float(np.abs(value).mean())
    slope = (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step)  # of fourth order
    rounding = 2 * np.finfo(np.float32).eps * at(0.0) / step  # of the differences: the loss is an fp32 number
    assert abs(slope - (gradient * direction).sum()) < 5e-3 * np.linalg.norm(gradient) + rounding


def test_a_network_learns_four_latents_by_heart(tmp_path: Path) -> None:
    unet = build("sd2", "unet")
    settings = LoopSettings(steps=30, rate=2e-3, warmup=5, weight_decay=0.0)
    state = TrainState(dict(unet.named_parameters()), settings)
    steps = train(state, lambda index: None, unet_loss(unet, PLAIN, fixed=0), settings, tmp_path)
    losses = [step.loss for step in steps]
    assert losses[-1] < 0.5 * losses[0]
