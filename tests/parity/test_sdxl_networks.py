"""Stable Diffusion XL's networks against PyTorch diffusers and transformers on the same weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from jstyle.adapters.textual_inversion import TABLE, ExtendedEmbedding
from jstyle.errors import InputError
from jstyle.networks import CLIPTextModel, CLIPTextModelWithProjection, Condition, TextContext, UNet2DConditionModel
from jstyle.networks.condition import GivenNumbers, Sizes, join_conditions
from jstyle.networks.config import CLIPTextConfig, UNetConfig
from jstyle.networks.editing import swapped
from jstyle.runtime import jt
from jstyle.settings.identity import identity
from tests.golden import tiny
from tests.parity.networks import golden, relative_error, seeded

TOLERANCE = 1e-5
RECORDED = golden("sdxl_networks")


def build_unet(key: str = "unet0") -> Any:
    return seeded(UNet2DConditionModel, UNetConfig.from_dict(tiny.SDXL_FIVE if key == "five0" else tiny.SDXL["unet"]))


def read_case(key: str) -> dict[str, np.ndarray]:
    return {name[len(key) + 1 :]: array for name, array in RECORDED.items() if name.startswith(f"{key}_")}


def make_condition(case: dict[str, np.ndarray]) -> Condition:
    sizes = tuple(GivenNumbers(tuple(row)) for row in case["time_ids"])
    return Condition(jt.array(case["context"]), jt.array(case["text_embeds"]), sizes)


@pytest.mark.parametrize("key", ["unet0", "unet1", "unet2", "five0"])
def test_unet(key: str, path: str) -> None:
    case = read_case(key)
    unet, condition = build_unet(key), make_condition(case)
    added = {"text_embeds": case["text_embeds"], "time_ids": case["time_ids"]}
    with jt.no_grad():
        named = unet(case["sample"], case["timestep"], case["context"], added_cond_kwargs=added).sample
        given = unet(case["sample"], case["timestep"], TextContext(condition)).sample
    assert relative_error(named, case["out"]) < TOLERANCE
    assert np.array_equal(given.numpy(), named.numpy())


def test_rows_of_a_condition_are_apart() -> None:
    case = read_case("unet0")
    unet, condition = build_unet(), make_condition(case)
    both = join_conditions([condition.take([1]), condition.take([0])])
    with jt.no_grad():
        out = unet(case["sample"][::-1].copy(), case["timestep"][::-1].copy(), both).sample
    assert relative_error(out, case["out"][::-1]) < TOLERANCE


def test_one_row_of_a_condition_serves_all_rows_of_a_latent() -> None:
    case = read_case("unet0")
    unet, condition = build_unet(), make_condition(case)
    with jt.no_grad():
        one = unet(case["sample"], case["timestep"], condition.take([0])).sample
        each = unet(case["sample"], case["timestep"], condition.take([0, 0])).sample
    assert relative_error(one, each.numpy()) < TOLERANCE


def test_sizes_are_by_default_the_latents_own() -> None:
    assert Sizes(8).list_numbers((16, 24), 6) == (128, 192, 0, 0, 128, 192)
    assert Sizes(8).list_numbers((16, 24), 5) == (128, 192, 0, 0, 6.0)
    assert Sizes(4, (9, 8), (7, 6), (5, 4)).list_numbers((1, 1), 6) == (9, 8, 7, 6, 5, 4)


@pytest.mark.parametrize("part", ["text", "text_2"])
def test_text_encoder(part: str) -> None:
    case = {name: RECORDED[f"{part}_{name}"] for name in ("input_ids", "hidden", "last")}
    kind = CLIPTextModel if part == "text" else CLIPTextModelWithProjection
    encoder: Any = seeded(kind, CLIPTextConfig.from_dict(tiny.SDXL[part]))
    with jt.no_grad():
        out = encoder(case["input_ids"].astype(np.int32), output_hidden_states=True)
    assert relative_error(out.hidden_states[-2], case["hidden"]) < TOLERANCE
    assert relative_error(out.last_hidden_state, case["last"]) < TOLERANCE
    if part == "text_2":
        assert relative_error(out.text_embeds, RECORDED["text_2_embeds"]) < TOLERANCE
        assert out[0] is out.text_embeds


def test_a_learnt_word_is_not_taken_for_the_texts_end() -> None:
    config = CLIPTextConfig.from_dict(tiny.SDXL["text_2"])
    encoder: Any = seeded(CLIPTextModelWithProjection, config)
    ids = RECORDED["text_2_input_ids"][:1].astype(np.int32)
    table = encoder.text_model.embeddings.token_embedding
    known = ids.copy()
    known[0, 3] = config.vocab_size
    same = ExtendedEmbedding(table, [table.weight[int(ids[0, 3])].reshape(1, -1)], config.vocab_size)
    with jt.no_grad(), swapped(encoder, {TABLE: same}):
        out = encoder(known).text_embeds
    assert relative_error(out, RECORDED["text_2_embeds"][:1]) < TOLERANCE


def zeros(pooled: tuple[int, ...], sizes: tuple[int, ...], **more: Any) -> dict[str, Any]:
    return {"text_embeds": np.zeros(pooled), "time_ids": np.zeros(sizes), **more}


@pytest.mark.parametrize(
    ("added", "message"),
    [
        (None, "SDXL's reads a vector of the text and sizes beside it"),
        ({"text_embeds": np.zeros((1, 12))}, "are text_embeds and time_ids"),
        (zeros((1, 12), (1, 6), x=1), "not text_embeds, time_ids, x"),
        (zeros((1, 11), (1, 6)), "is not a text's vector"),
        (zeros((1, 12), (1, 5)), "wanted 6 numbers"),
        (zeros((1, 12), (6,)), "wanted time_ids"),
        (zeros((3, 12), (1, 6)), "a vector of the text"),
        (zeros((1, 12), (3, 6)), "of one picture or of"),
    ],
)
def test_what_the_unet_does_not_take(added: Any, message: str) -> None:
    case = read_case("unet0")
    with pytest.raises(InputError, match=message):
        build_unet()(case["sample"], case["timestep"], case["context"], added_cond_kwargs=added)


def test_a_unet_of_stable_diffusion_1_takes_no_sizes() -> None:
    unet: Any = seeded(UNet2DConditionModel, UNetConfig.from_dict(tiny.FOLDER["unet"]))
    added = {"text_embeds": np.zeros((1, 12)), "time_ids": np.zeros((1, 6))}
    with pytest.raises(InputError, match="are for one of SDXL"):
        unet(np.zeros((1, 4, 8, 8)), 1, np.zeros((1, 7, 16)), added_cond_kwargs=added)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"addition_embed_type": "image"}, "'image' is not supported, only text_time"),
        ({"addition_time_embed_dim": None}, "addition_time_embed_dim must be an even number"),
        ({"addition_time_embed_dim": 7}, "must be an even number, not 7"),
        ({"projection_class_embeddings_input_dim": None}, "projection_class_embeddings_input_dim must be"),
        ({"addition_embed_type": None}, "for addition_embed_type text_time alone"),
        ({"transformer_layers_per_block": [1, 2]}, "transformer_layers_per_block and block_out_channels differ"),
        ({"transformer_layers_per_block": [0, 1, 1]}, "transformer_layers_per_block must be from 1"),
        ({"reverse_transformer_layers_per_block": [1, 1, 1]}, "is not supported"),
    ],
)
def test_configurations_that_are_wrong(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        UNetConfig.from_dict({**tiny.SDXL["unet"], **change})


def test_the_identity_of_older_models_is_as_it_was() -> None:
    assert not {"transformer_layers_per_block", "addition_embed_type"} & set(identity(UNetConfig()))
    assert replace(UNetConfig(), transformer_layers_per_block=2) != UNetConfig()
