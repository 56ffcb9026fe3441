"""The order of work: every pair once, few features at a time, first pictures early."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from jstyle.methods.blocks import count_kept, order_blocks
from jstyle.methods.pairs import list_pairs
from styleid.bank import count_arrays

SIZES = list(itertools.product((1, 2, 5, 30), (1, 2, 5), (1, 4)))


@pytest.mark.parametrize(("contents", "styles", "batch"), SIZES)
def test_a_grid_keeps_the_contents_or_the_styles_whichever_is_less(contents: int, styles: int, batch: int) -> None:
    """A content leaves queries, a style keys and values: what is gone through in the inner loop stays."""
    at_once = min(batch, contents)
    by_styles = (contents if styles > 1 else at_once) + 2
    by_contents = at_once + (2 * styles if contents > batch or styles == 1 else 2)
    blocks = order_blocks(list_pairs(contents, styles), batch, weigh=count_arrays)
    assert count_kept(blocks, count_arrays) == min(by_styles, by_contents)


@pytest.mark.parametrize(("contents", "styles", "batch"), SIZES)
def test_every_pair_comes_once_and_the_last_use_of_a_picture_is_its_last(
    contents: int, styles: int, batch: int
) -> None:
    every = list_pairs(contents, styles)
    some = [pair for pair in every if np.random.default_rng(list(pair)).random() < 0.6]
    for pairs in (every, some):
        blocks = order_blocks(pairs, batch)
        assert sorted((content, block.style) for block in blocks for content in block.contents) == sorted(pairs)
        assert all(len(block.contents) <= batch for block in blocks)
        forgotten: set = set()
        for block in blocks:
            assert forgotten.isdisjoint(block.pictures)
            assert block.last <= set(block.pictures)
            forgotten |= block.last
        assert forgotten == {picture for block in blocks for picture in block.pictures}
