"""Words find their tokens, and tokens their counterparts, whatever becomes of the words before them."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

from jstyle.diffusion.prompts import token_ids
from jstyle.diffusion.tokenizer import load_tokenizer
from jstyle.errors import InputError
from jstyle.methods.prompt_to_prompt.alignment import align, match_sequences
from jstyle.methods.prompt_to_prompt.settings import PromptToPromptSettings
from jstyle.methods.prompt_to_prompt.weights import EditWeights, draw_windows
from jstyle.methods.prompt_to_prompt.words import Located, choose_targets, find_word
from tests.parity.networks import GOLDEN

LENGTH = 77
CAT = "a cat on a mat"


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return load_tokenizer(GOLDEN / "tokenizer_sd1")


@pytest.mark.parametrize("text", [CAT, "", "A  Caf\u00e9, isn't it?", "the night " * 60, "1889 stars"])
def test_located_tokens_are_those_that_are_encoded(tokenizer: Any, text: str) -> None:
    located = Located.read(tokenizer, text)
    with pytest.warns(Warning) if len(text) > 200 else nullcontext():
        ids = token_ids(tokenizer, [text])[0]
    assert list(ids[: len(located.ids)]) == list(located.ids)
    assert all(token == tokenizer.pad_token_id for token in ids[len(located.ids) :])
    assert [start == stop for start, stop in located.spans] == [True, *([False] * (len(located.ids) - 2)), True]


@pytest.mark.parametrize(
    ("text", "word", "found"),
    [
        ("a cat, black", "cat", ["cat"]),
        ("a Cat and a cat", "CAT", ["Cat", "cat"]),
        ("concatenated", "cat", []),
        ("a red  house", "red house", ["red  house"]),
        ("in <toy> style", "<toy>", ["<toy>"]),
        ("what (now)?", "(now)?", ["(now)?"]),
    ],
)
def test_words_are_found_as_they_stand(text: str, word: str, found: list[str]) -> None:
    assert [text[start:stop] for start, stop in find_word(text, word)] == found


def test_tokens_of_a_word_are_all_of_its_own(tokenizer: Any) -> None:
    located = Located.read(tokenizer, "a zebra, on a rug")
    assert len(located.tokens_of("zebra")) == 5  # z e b r a</w>: its letters were never merged
    assert located.tokens_of("zebra,") == [*located.tokens_of("zebra"), located.tokens_of("zebra")[-1] + 1]


@pytest.mark.parametrize("target", ["a zebra, on a rug", "a zebra on a mat", "the cat, on a mat", "a a on a a", CAT])
@pytest.mark.parametrize("turned", [False, True])
def test_replacing_words_hands_on_all_attention_and_shifts_none(tokenizer: Any, target: str, turned: bool) -> None:
    texts = [target, CAT] if turned else [CAT, target]
    source, other = (Located.read(tokenizer, text) for text in texts)
    matrix = align(source, other, LENGTH, "replace").matrix
    assert np.allclose(matrix.sum(axis=1), 1)
    assert matrix[len(source.ids) - 1, len(other.ids) - 1] == 1
    assert not matrix[len(source.ids) :, : len(other.ids)].any()  # padding goes to padding
    same = ("on", "mat") if "mat" in target else ("on",)
    for word in same:
        assert np.array_equal(
            matrix[source.tokens_of(word)][:, other.tokens_of(word)], np.eye(len(source.tokens_of(word)))
        )
    last = LENGTH - 1
    assert matrix[last, last] == 1


def test_what_words_have_in_common_stays_with_itself(tokenizer: Any) -> None:
    source, target = (Located.read(tokenizer, text) for text in ("a cat, here", "a zebra, here"))
    matrix = align(source, target, LENGTH, "replace").matrix
    comma, other = source.tokens_of("cat")[-1] + 1, target.tokens_of("zebra")[-1] + 1
    assert matrix[comma, other] == 1
    assert np.allclose(matrix[source.tokens_of("cat")][:, target.tokens_of("zebra")], 1 / 5)


def test_refining_leaves_new_words_to_themselves(tokenizer: Any) -> None:
    source, target = (Located.read(tokenizer, text) for text in (CAT, "a red cat on a mat"))
    aligned = align(source, target, LENGTH, "auto")
    assert not aligned.aligned[target.tokens_of("red")].any()
    assert aligned.matrix[source.tokens_of("mat"), target.tokens_of("mat")].all()
    assert aligned.matrix[LENGTH - 1, LENGTH - 1] == 1
    shorter = align(target, source, LENGTH, "refine")
    padding = np.arange(len(source.ids), len(target.ids))  # the source's words stand there
    assert not shorter.aligned[padding].any()


def test_sequences_are_matched_as_long_as_can_be() -> None:
    assert match_sequences([1, 2, 3, 4], [1, 9, 3, 4]) == [(0, 0), (2, 2), (3, 3)]
    assert match_sequences([1, 2], [3]) == []
    rng = np.random.default_rng(0)
    for _ in range(30):
        one, other = (rng.integers(0, 4, size).tolist() for size in rng.integers(1, 9, 2))
        pairs = match_sequences(one, other)
        assert all(one[i] == other[j] for i, j in pairs)
        assert pairs == sorted(set(pairs)) and len({j for _, j in pairs}) == len(pairs)
        assert len(pairs) == longest_common(one, other)


def longest_common(one: list[int], other: list[int]) -> int:
    """By trying everything."""
    if not one or not other:
        return 0
    if one[0] == other[0]:
        return 1 + longest_common(one[1:], other[1:])
    return max(longest_common(one[1:], other), longest_common(one, other[1:]))


def test_windows_end_where_the_papers_code_ends_them(tokenizer: Any) -> None:
    settings = PromptToPromptSettings(cross_replace_steps=(0.0, 0.8), word_steps={"mat": (0.5, 1.0)})
    target = Located.read(tokenizer, CAT)
    windows = draw_windows(target, LENGTH, settings, 50)
    word = target.tokens_of("mat")[0]
    assert np.flatnonzero(windows[:, 1]).tolist() == list(range(40))
    assert np.flatnonzero(windows[:, word]).tolist() == list(range(25, 50))


def test_weights_of_a_token_are_the_papers_sum(tokenizer: Any) -> None:
    settings = PromptToPromptSettings(
        reweight={"red": 3.0, "mat": 2.0}, word_steps={"on": (0.0, 0.0)}, cross_replace_steps=(0.0, 1.0)
    )
    text = "a red cat on a mat"
    target, source = Located.read(tokenizer, text), Located.read(tokenizer, CAT)
    weights = EditWeights(tokenizer, CAT, [text], settings, 10).at(3)
    taken = weights.source[0].sum(axis=0)
    for word, from_source, own in (("red", 0, 3), ("mat", 2, 0), ("cat", 1, 0), ("on", 0, 1)):
        for token in target.tokens_of(word):
            assert (taken[token], weights.own[0, token]) == (from_source, own)
    assert weights.source[0][source.tokens_of("mat"), target.tokens_of("mat")].tolist() == [2.0, 2.0]


@pytest.mark.parametrize(
    ("settings", "targets", "message"),
    [
        ({}, (), "nothing to change"),
        ({"reweight": {"dog": 2.0}}, (), "'dog' stands in none"),
        ({"word_steps": {"cat": (0.0, 0.5)}}, ("a dog",), "word_steps: 'cat'"),
        ({"blend_words": ("boat",)}, ("a dog on a mat",), "none of boat"),
        ({"edit": "replace"}, ("a dog",), "as many words"),
    ],
)
def test_what_cannot_be_edited_is_one_line(settings: dict[str, Any], targets: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        choose_targets(PromptToPromptSettings(**settings), CAT, targets)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cross_replace_steps": (0.8, 0.2)}, "in order"),
        ({"word_steps": {"cat": (0.0, 2.0)}}, "word_steps of 'cat'"),
        ({"reweight": {"cat": float("inf")}}, "finite"),
        ({"blend_words": (" ",)}, "not blanks"),
        ({"blend_threshold": 1.0}, "between 0 and 1"),
        ({"self_level": -1}, "at least 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PromptToPromptSettings(**settings)
