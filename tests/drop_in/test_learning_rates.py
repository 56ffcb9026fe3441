"""diffusers' learning rates on Jittor's optimizers, against those that diffusers' own schedules gave."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jstyle.diffusion.schedule import Schedule
from jstyle.diffusion.schedule_config import ScheduleConfig
from jstyle.drop_in.learning_rates import get_scheduler
from jstyle.drop_in.loss_weights import compute_snr
from jstyle.errors import InputError
from jstyle.runtime import jt

GOLDEN = Path(__file__).parents[1] / "golden"
FACES = json.loads((GOLDEN / "training_faces.json").read_text())


def make_optimizer(rate: float = 1e-3) -> Any:
    return jt.optim.SGD([jt.zeros(1)], lr=rate)


@pytest.mark.parametrize("case", FACES["rates"], ids=lambda case: case["arguments"]["name"])
def test_every_rate_is_diffusers_(case: dict[str, Any]) -> None:
    optimizer = make_optimizer()
    schedule = get_scheduler(optimizer=optimizer, **case["arguments"])
    for rate in case["rates"]:
        assert schedule.get_last_lr() == [pytest.approx(rate, rel=1e-9, abs=1e-12)]
        assert optimizer.param_groups[0]["lr"] == schedule.get_last_lr()[0]
        schedule.step()


def test_the_rate_is_the_one_that_an_update_uses() -> None:
    optimizer = make_optimizer(rate=1.0)
    schedule = get_scheduler("linear", optimizer, num_warmup_steps=0, num_training_steps=4)
    (x,) = optimizer.param_groups[0]["params"]
    places = []
    for _ in range(4):
        optimizer.step(-x.sum())
        schedule.step()
        places.append(x.item())
    assert places == pytest.approx([1.0, 1.75, 2.25, 2.5])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "cosin"}, "did you mean cosine"),
        ({"name": "linear", "num_training_steps": 4}, "'linear' needs num_warmup_steps"),
        ({"name": "cosine", "num_warmup_steps": 4}, "'cosine' needs num_training_steps"),
        ({"name": "piecewise_constant", "step_rules": "1:a,2"}, "must be like '1:10,0.1:20,0.01', not '1:a,2'"),
        ({"name": "piecewise_constant"}, "step_rules must be like"),
    ],
)
def test_what_makes_no_schedule_is_told(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        get_scheduler(optimizer=make_optimizer(), **arguments)


def test_a_polynomial_cannot_end_above_its_start() -> None:
    with pytest.raises(InputError, match="not above 1e-07"):
        get_scheduler("polynomial", make_optimizer(1e-8), num_warmup_steps=0, num_training_steps=4)


def test_the_signal_to_noise_ratios_are_diffusers_() -> None:
    """The recorded scheduler is that of `diffusers_folder`, whose levels a scheduler's `alphas_cumprod` holds."""
    schedule = Schedule(ScheduleConfig.read(GOLDEN / "diffusers_folder" / "scheduler" / "scheduler_config.json"))
    told = compute_snr(SimpleNamespace(alphas_cumprod=schedule.alpha_bars), jt.array(FACES["snr"]["times"]))
    assert told.numpy() == pytest.approx(FACES["snr"]["snr"], rel=2e-4)  # theirs is computed in fp32
