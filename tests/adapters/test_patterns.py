"""Patterns of strangers against Python's own matcher, in a number of steps that is known beforehand."""

from __future__ import annotations

import random
import re
import warnings

import pytest

from jstyle.adapters.patterns import Patterns
from jstyle.errors import InputError

PIECES = [
    "ab", "ba1", "a", "b", ".", r"\.", "_", "1", r"\d", r"\w", r"\W", "[ab]", "[^a]", "[a-b1]", "(a|b)", "(?:ab|a)",
    "(a*b)", "^", "$", "(", "|", ")", "*", "+", "?", "*?", "{2}", "{1,2}", "{,2}", "{1,}", "",
]  # fmt: skip


def fits(pattern: str, name: str) -> bool:
    return Patterns({pattern: True}).find([name], False)


def test_a_pattern_fits_what_it_fits_in_peft() -> None:
    """peft 0.21's ``get_pattern_key``: ``re.match(rf"(.*\\.)?({key})$", name)``."""
    rng, compared, fitting = random.Random(0), 0, 0
    for _ in range(20_000):
        pattern = "".join(rng.choice(PIECES) for _ in range(rng.randint(1, 7)))
        name = "".join(rng.choice("ab._1") for _ in range(rng.randint(0, 8)))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                wanted = re.match(rf"(.*\.)?({pattern})$", name) is not None
            found = fits(pattern, name)
        except (re.error, InputError):
            continue
        assert found == wanted, (pattern, name)
        compared, fitting = compared + 1, fitting + wanted
    assert compared > 5_000 and fitting > 500


def test_the_first_pattern_that_fits_counts() -> None:
    patterns = Patterns({"attn1.to_q": 32, "to_q": 2, r"^down\..*": 5})
    assert patterns.find(["mid.attn1.to_q"], 1) == 32
    assert patterns.find(["mid.attn2.to_q"], 1) == 2
    assert patterns.find(["down.conv"], 1) == 5
    assert patterns.find(["mid.down.conv"], 1) == 1
    assert patterns.find(["text_model.down.x", "down.x"], 1) == 5


@pytest.mark.parametrize("pattern", [r"(a+)+\.b", "(.*)*x", "(.|.)*(.|.)*b", "(a|a)*(a|a)*b", "(a?){500}b"])
def test_a_pattern_that_would_keep_python_busy_for_years_is_matched(pattern: str) -> None:
    assert not fits(pattern, "a" * 100)
    assert Patterns({pattern: 1, "a+": 2}).find(["a" * 100], 0) == 2


@pytest.mark.parametrize("pattern", ["((((){999}){999}){999}){999}b", "((((a{0,999}){999}){999}){999}){999}"])
def test_a_pattern_that_takes_too_long_is_refused(pattern: str) -> None:
    with pytest.raises(InputError, match="take too long to match; write out"):
        fits(pattern, "a" * 100)


@pytest.mark.parametrize(
    "pattern",
    ["(?=a)", r"\1", r"(a)\1", "(?P<n>a)", "a++", "a**", "[", "[]", "[a-", "(", ")", "a{2,1}", "a{1001}", "a{x}", "\\"],
)
def test_what_is_not_read_is_named(pattern: str) -> None:
    with pytest.raises(InputError, match=r"the pattern .* (is not read from|ends too early)"):
        fits(pattern, "a")


def test_patterns_have_bounds() -> None:
    for patterns in ({"a" * 301: 1}, {str(number): 1 for number in range(10_001)}, {"(" * 21 + ")" * 21: 1}):
        with pytest.raises(InputError):
            Patterns(patterns)
