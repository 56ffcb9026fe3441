"""Style Aligned against an independent float64 rendering of the paper in PyTorch, and attention in NumPy."""

from __future__ import annotations

import math
from typing import Any, Optional

import numpy as np
import pytest

from jstyle import ops
from jstyle.diffusion.guidance import GuidedDenoiser
from jstyle.diffusion.samplers import ddim
from jstyle.diffusion.schedule import Schedule
from jstyle.diffusion.schedule_config import ScheduleConfig
from jstyle.events import exhaust
from jstyle.networks.editing import QKV, Site
from jstyle.ops import KeyValue
from jstyle.runtime import jt
from jstyle.settings.reader import build as build_settings
from style_align.features import Features, Recorder, describe_site, mix
from style_align.panorama import Panorama, windows
from style_align.reference import Reference, References, Trajectory, invert
from style_align.settings import Sharing, StyleAlignSettings
from style_align.share import Aligned, Joint, ShareAttention, ShareEverything
from tests.parity.networks import build, golden, relative_error

RECORDED = golden("style_align")
TOLERANCE = 1e-4
STEPS = 10
PREDICTIONS = {"sd1": "epsilon", "sd2": "v_prediction"}


class Case:
    """One tiny UNet with its recorded inputs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.unet = build(name, "unet")
        self.schedule = Schedule(
            ScheduleConfig("ddim", 1000, 0.00085, 0.012, "scaled_linear", None, PREDICTIONS[name], "leading", 1, False)
        )

    def recorded(self, what: str) -> np.ndarray:
        return RECORDED[f"{self.name}_{what}"]

    def denoiser(self, rows: list[int], guidance: float) -> GuidedDenoiser:
        """Under the recorded texts: 0 is the reference's, 1 and 2 are the targets'."""
        texts = self.recorded("texts")
        text, negative = texts[[1 + row for row in rows]], texts[[0] * len(rows)]
        return GuidedDenoiser(self.unet, self.schedule.prediction_type, jt.array(text), jt.array(negative), guidance)

    def sample(self, denoiser: Any, x: np.ndarray) -> np.ndarray:
        with jt.no_grad():
            *_, last = ddim(denoiser, jt.array(x), self.schedule, STEPS)
        return np.array(last.x.numpy())

    def generated(self, sharing: Sharing, guidance: float, keep: Optional[str] = None) -> Reference:
        noise = self.recorded("noise")[:1]
        recorder = Recorder(self.denoiser([0], guidance), sharing)
        return Reference(recorder, steps=lambda d: ddim(d, jt.array(noise), self.schedule, STEPS), keep=keep)

    def path(self) -> Trajectory:
        levels = self.schedule.levels(STEPS)
        inversion = invert(self.denoiser([0], 2.0), jt.array(self.recorded("clean")), levels, self.schedule)
        return Trajectory("", "", *exhaust(inversion), {"inverted": True})


@pytest.fixture(scope="module", params=["sd1", "sd2"])
def case(request: pytest.FixtureRequest) -> Case:
    return Case(request.param)


def preset(name: str, **changes: Any) -> tuple[Sharing, float]:
    settings = build_settings(StyleAlignSettings, {"preset": name, "steps": STEPS, **changes})
    return settings.choose_sharing(False), settings.choose_guidance(False)


@pytest.mark.parametrize(
    ("recorded", "chosen"),
    [("sd", preset("sd")), ("sdxl", preset("sdxl")), ("values", preset("sd", adain_values=True))],
)
@pytest.mark.parametrize("keep", [None, "float32"])
def test_a_set_from_texts(case: Case, recorded: str, chosen: tuple[Sharing, float], keep: Optional[str]) -> None:
    sharing, guidance = chosen
    reference = case.generated(sharing, guidance, keep)
    aligned = Aligned(case.denoiser([1, 2], guidance), References([reference], [1.0], sharing), sharing)
    targets = case.sample(aligned, case.recorded("noise")[1:])
    expected = case.recorded(recorded)
    assert relative_error(targets, expected[1:]) < TOLERANCE
    assert relative_error(reference.path()[1][-1:], expected[:1]) < TOLERANCE


@pytest.mark.parametrize("norms", [False, True])
def test_a_set_that_shares_everything(case: Case, norms: bool) -> None:
    sharing, guidance = preset("full_attention", share_group_norm=norms)
    joint = Joint(case.denoiser([0, 1, 2], guidance), sharing)
    out = case.sample(joint, case.recorded("noise"))
    assert relative_error(out, case.recorded("full_attention" + "_norms" * norms)) < TOLERANCE


def test_an_inverted_path(case: Case) -> None:
    assert relative_error(case.path().latents, case.recorded("path")) < TOLERANCE


@pytest.mark.parametrize("name", ["image", "famous_image"])
def test_targets_beside_an_inverted_reference(case: Case, name: str) -> None:
    sharing, guidance = preset(name)
    recorder = Recorder(case.denoiser([0], guidance), sharing)
    reference = Reference(recorder, trajectory=case.path(), offset=STEPS // 10)
    aligned = Aligned(case.denoiser([1, 2], guidance), References([reference], [1.0], sharing), sharing)
    assert relative_error(case.sample(aligned, case.recorded("noise")[1:]), case.recorded(name)) < TOLERANCE


@pytest.mark.parametrize("batch", [1, 3])
def test_a_panorama(case: Case, batch: int) -> None:
    sharing, guidance = preset("panorama")
    reference = case.generated(sharing, guidance)
    references = References([reference], [1.0], sharing)
    wide = case.recorded("wide_noise")
    places = windows(*wide.shape[2:], 16, 4)
    views = Panorama(lambda count: Aligned(case.denoiser([1] * count, guidance), references, sharing), places, batch)
    assert relative_error(case.sample(views, wide), case.recorded("panorama")) < TOLERANCE
    end = reference.path()[1][-1:]
    assert relative_error(end, case.recorded("panorama_reference")) < TOLERANCE


# One attention layer by itself, against NumPy in float64: row 0 of each half is the reference.

SITE = Site("up_blocks.1.attentions.0.transformer_blocks.0.attn1", 0, 3, False, 0)
RNG = np.random.default_rng(5)
HALVES, TARGETS, TOKENS, HEADS, DIM = 2, 2, 20, 3, 8
ROWS = RNG.standard_normal((3, HALVES, 1 + TARGETS, TOKENS, HEADS, DIM)) * 1.5 + 0.3


def firsts(x: np.ndarray) -> np.ndarray:
    return np.broadcast_to(x[:, :1], x.shape)


def adain_exactly(x: np.ndarray) -> np.ndarray:
    mean, deviation = x.mean(2, keepdims=True), np.sqrt(x.var(2, ddof=1, keepdims=True) + 1e-5)
    return (x - mean) / deviation * firsts(deviation) + firsts(mean)


def attend_exactly(q: np.ndarray, k: np.ndarray, v: np.ndarray, bias: Any = 0.0) -> np.ndarray:
    """(halves, rows, tokens, heads, dim) each; ``bias`` broadcasts to (halves, rows, heads, queries, keys)."""
    logits = np.einsum("arqhd,arkhd->arhqk", q, k) * DIM**-0.5 + bias
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return np.einsum("arhqk,arkhd->arqhd", weights, v)


def expected_attention(sharing: Sharing) -> np.ndarray:
    q, k, v = ROWS
    if sharing.full_attention_share:
        joined = [x.reshape(HALVES, 1, -1, HEADS, DIM) for x in (q, k, v)]
        return attend_exactly(*joined).reshape(q.shape)[:, 1:]
    q = adain_exactly(q) if sharing.adain_queries else q
    k = adain_exactly(k) if sharing.adain_keys else k
    v = adain_exactly(v) if sharing.adain_values else v
    bias = np.concatenate([np.zeros(TOKENS), np.full(TOKENS, sharing.shared_score_shift)])
    k = np.concatenate([k, firsts(k) * sharing.shared_score_scale], axis=2)
    return attend_exactly(q, k, np.concatenate([v, firsts(v)], axis=2), bias)[:, 1:]


def var(x: np.ndarray) -> jt.Var:
    """(halves, rows, tokens, heads, dim) as one batch."""
    return jt.array(x.reshape(-1, TOKENS, HEADS, DIM).astype(np.float32))


def recorded_step(sharing: Sharing, rows: Any = ROWS[:, :, :1]) -> Features:
    return Features({SITE.path: describe_site(QKV(*map(var, rows)), sharing)}, {})


def attended(qkv: QKV) -> np.ndarray:
    out = ops.attention(
        qkv.q, qkv.k, qkv.v, bias=qkv.bias, shared=qkv.shared, temperature=qkv.temperature
    )  # (batch, queries, heads, dim)
    return np.array(out.numpy()).reshape(HALVES, -1, TOKENS, HEADS, DIM)


@pytest.mark.parametrize("name", ["sd", "sdxl", "image", "famous_image", "panorama", "values"])
def test_one_attention(name: str) -> None:
    sharing = preset("sd", adain_values=True)[0] if name == "values" else preset(name)[0]
    editor = ShareAttention(mix([recorded_step(sharing)], [1.0], sharing), sharing)
    out = attended(editor(SITE, 0, QKV(*map(var, ROWS[:, :, 1:]))))
    assert relative_error(out, expected_attention(sharing)) < 2e-6


def test_one_attention_that_shares_everything() -> None:
    sharing = preset("full_attention")[0]
    out = attended(ShareEverything(HALVES)(SITE, 0, QKV(*map(var, ROWS))))
    assert relative_error(out[:, 1:], expected_attention(sharing)) < 2e-6


def test_references_mix_by_their_weights() -> None:
    """Weights multiply a reference's part of the softmax; statistics are averaged."""
    sharing = Sharing(shared_score_shift=0.3, style_strength=1.5)
    others = RNG.standard_normal((3, HALVES, 1, TOKENS, HEADS, DIM)) + 1.0
    weights = (0.25, 0.75)
    made = mix([recorded_step(sharing), recorded_step(sharing, others)], weights, sharing)
    out = attended(ShareAttention(made, sharing)(SITE, 0, QKV(*map(var, ROWS[:, :, 1:]))))
    references = [ROWS[:, :, :1], others]

    def restyled(part: int) -> np.ndarray:
        x = ROWS[part][:, 1:]
        mean, deviation = x.mean(2, keepdims=True), np.sqrt(x.var(2, ddof=1, keepdims=True) + 1e-5)
        means = sum(w * one[part].mean(2, keepdims=True) for w, one in zip(weights, references))
        deviations = sum(
            w * np.sqrt(one[part].var(2, ddof=1, keepdims=True) + 1e-5) for w, one in zip(weights, references)
        )
        return (x - mean) / deviation * deviations + means

    repeated = [[np.repeat(one[part], TARGETS, axis=1) for one in references] for part in (1, 2)]
    k = np.concatenate([restyled(1), *repeated[0]], axis=2)
    v = np.concatenate([ROWS[2][:, 1:], *repeated[1]], axis=2)
    logs = [0.0, *(math.log(1.5 * w) + 0.3 for w in weights)]
    assert relative_error(out, attend_exactly(restyled(0), k, v, np.repeat(logs, TOKENS))) < 2e-6


def test_what_another_editor_has_added_stays() -> None:
    """A bias, a second set of keys and a temperature of somebody else, under ours."""
    sharing = Sharing(adain_queries=False, adain_keys=False, adain_values=False)
    theirs = RNG.standard_normal((2, 1, 1, TOKENS, HEADS, DIM))
    bias = RNG.standard_normal((1, 1, TOKENS, TOKENS)).astype(np.float32)
    targets = ROWS[:, :, 1:]
    given = QKV(*map(var, targets), jt.array(bias), KeyValue(*map(var, theirs), shift=0.5), 1.7)
    editor = ShareAttention(mix([recorded_step(sharing)], [1.0], sharing), sharing)
    both = [np.broadcast_to(one, (HALVES, TARGETS, TOKENS, HEADS, DIM)) for one in theirs]
    k, v = (
        np.concatenate([targets[part], both[part - 1], np.repeat(ROWS[part][:, :1], TARGETS, axis=1)], axis=2)
        for part in (1, 2)
    )
    zeros = np.zeros((TOKENS, TOKENS))
    whole = np.concatenate([bias[0, 0], zeros + 0.5, zeros], axis=1)
    assert relative_error(attended(editor(SITE, 0, given)), attend_exactly(1.7 * targets[0], k, v, whole)) < 2e-6
