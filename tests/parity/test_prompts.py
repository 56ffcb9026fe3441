"""Weighted and long prompts against A1111's web UI, on the same text encoder, and against what must hold of them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from jstyle.diffusion import prompt_reading, prompts
from jstyle.diffusion.tokenizer import load_tokenizer
from jstyle.diffusion.weighted_text import read_pieces, read_weights
from jstyle.errors import InputError
from jstyle.networks import CLIPTextModel
from jstyle.runtime import jt
from jstyle.settings.prompts import PromptSettings
from tests.parity.networks import GOLDEN, build, golden, relative_error

AS_A1111 = PromptSettings("a1111", "chunk")
WEIGHTS = PromptSettings("a1111", "cut")
CHUNKS = PromptSettings("none", "chunk")


@pytest.fixture(scope="module", params=["sd1", "sd2"])
def flavour(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def reader(flavour: str) -> tuple[Any, CLIPTextModel]:
    return load_tokenizer(GOLDEN / f"tokenizer_{flavour}"), build(flavour, "text")


def test_the_unet_reads_what_a1111_gives_it(flavour: str, reader: tuple) -> None:
    recorded = golden("prompts")
    for number, text in enumerate(recorded["texts"]):
        theirs = recorded.get(f"{flavour}_{number}")
        if theirs is None:
            continue
        ours = prompt_reading.encode(*reader, [str(text)], AS_A1111).text
        assert tuple(ours.shape) == (1, *theirs.shape), text
        assert relative_error(ours[0], theirs) < 3e-5, text  # the mean, by which it divides, is near 0 here


def test_texts_and_weights_are_a1111s() -> None:
    recorded = golden("prompts")
    for text, pairs in zip(recorded["texts"], json.loads(str(recorded["parsed"]))):
        if ["BREAK", -1] not in pairs:
            assert [[piece.text, piece.weight] for piece in read_weights(str(text))] == pairs


def test_a_weight_multiplies_and_the_mean_stays(reader: tuple) -> None:
    """The formula, in float64."""
    plain = np.float64(prompts.encode(*reader, ["a cat at night"]).text.numpy())[0]
    ours = np.float64(prompt_reading.encode(*reader, ["a (cat:1.7) at (night:0.2)"], WEIGHTS).text.numpy())[0]
    weights = np.ones((77, 1))
    tokens = reader[0]("a cat at night", add_special_tokens=False).input_ids
    cat = len(reader[0]("a", add_special_tokens=False).input_ids)
    night = len(reader[0]("a cat at", add_special_tokens=False).input_ids)
    weights[1 + cat : 1 + cat + len(reader[0]("cat", add_special_tokens=False).input_ids)] = 1.7
    weights[1 + night : 1 + len(tokens)] = 0.2
    expected = plain * weights
    expected *= plain.mean() / expected.mean()
    assert relative_error(jt.array(ours), expected) < 1e-6
    assert relative_error(jt.array(plain), expected) > 0.05


def test_a_prompt_without_weights_that_is_short_is_the_same_to_the_bit(reader: tuple) -> None:
    text = "the old town at night"
    plain = prompts.encode(*reader, [text]).text.numpy()
    for reading in (PromptSettings(), WEIGHTS, CHUNKS, AS_A1111):
        assert np.array_equal(prompt_reading.encode(*reader, [text], reading).text.numpy(), plain)


def test_what_a_text_says_does_not_depend_on_those_beside_it(reader: tuple) -> None:
    """Attention over a text that is repeated is attention over the text."""
    long, longer = "a river, " * 30, "a cat, " * 60
    alone = prompt_reading.encode(*reader, [long], CHUNKS).text.numpy()
    beside = prompt_reading.encode(*reader, [long, longer, "a star"], CHUNKS).text.numpy()
    counts = alone.shape[1] // 77, beside.shape[1] // 77
    assert counts[0] > 1 and counts[1] % counts[0] == 0 and counts[1] > counts[0]
    for row in np.split(beside[0], counts[1] // counts[0]):
        assert np.abs(row - alone[0]).max() < 1e-5
    short = beside[2].reshape(counts[1], 77, -1)
    assert np.array_equal(short, np.broadcast_to(short[:1], short.shape))


def test_words_of_several_vectors_stay_whole(reader: tuple) -> None:
    tokenizer, _ = reader
    first = tokenizer("night", add_special_tokens=False).input_ids[0]
    words = {first: [first] * 9}
    longer = load_tokenizer(GOLDEN / "tokenizer_sd1")
    prompts.note_words(longer, words)
    chunks = prompt_reading.read_chunks(longer, "a " * 70 + "night", CHUNKS)
    assert [len(chunk.ids) for chunk in chunks] == [70, 9]


def test_what_is_cut_is_told_and_nothing_else_is(reader: tuple) -> None:
    with pytest.warns(UserWarning, match="a prompt has more than 77 tokens; this part is not read: 'star'"):
        cut = prompt_reading.encode(*reader, ["(the:1.2) " * 75 + "star"], WEIGHTS).text
    assert cut.shape[1] == 77


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "a [cat:dog:0.5]",
            r"'\[cat:dog:0\.5\]' in a prompt is not read with prompt_weights a1111: prompts do",
        ),
        ("a [cat|dog]", "prompts do not change from step to step"),
        ("a cat AND a dog", "prompts are not composed"),
        ("<lora:ink:0.8> a cat", "with --lora"),
        ("a (cat:1.2.3)", "a weight in a prompt must be a number, not '1.2.3'"),
        ("a (cat:99999)", "a weight in a prompt must be from -1000 to 1000"),
        ("(" * 101 + "a", "nest over 100 deep"),
    ],
)
def test_what_is_no_weight_is_one_line(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_weights(text)
    assert read_weights(r"a \[cat|dog\] and (cat:+1.5)")[1].weight == 1.5


def test_a_prompt_without_end_is_refused(reader: tuple) -> None:
    with pytest.raises(InputError, match="at most 16 are read, shorten it"):
        prompt_reading.read_chunks(reader[0], "the " * 1300, CHUNKS)


@pytest.mark.parametrize("text", ["\n" * 200_000, "(" + "a" * 200_000, ":" * 50_000, "[:" + "1" * 200_000])
def test_a_text_is_read_in_one_pass_however_odd_it_is(text: str) -> None:
    """Where a pattern went back and forth in it, this would not end."""
    assert "".join(piece.text for part in read_pieces(text, AS_A1111) for piece in part) in (text, text[1:])
