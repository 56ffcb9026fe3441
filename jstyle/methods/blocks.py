"""The order of work: contents by batches and styles in turn, so that little of pictures is kept at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

from jstyle.methods.pairs import Pair, split_batches

Role = Literal["content", "style"]

Picture = tuple[Role, int]
"""A picture by its role and number."""

Kind = Callable[[int], Hashable]

Weigh = Callable[[Collection[Picture]], int]
"""How much is kept of pictures, such as how many arrays; by default all weigh the same."""


@dataclass(frozen=True)
class Block:
    """Contents that go through the UNet together, in a style. ``last`` are the pictures that no later one needs."""

    contents: tuple[int, ...]
    style: int
    last: frozenset[Picture] = frozenset()

    @property
    def pictures(self) -> list[Picture]:
        """All that it needs inverted."""
        return [("style", self.style), *(("content", content) for content in self.contents)]


def order_blocks(
    pairs: Collection[Pair], batch_size: int, kind: Kind = lambda content: None, weigh: Weigh = len
) -> list[Block]:
    """The pairs in blocks, in the order that keeps the least at a time.

    Either goes style by style, and keeps the contents, or batch of contents by batch, and keeps the styles. A picture
    is inverted when it is first needed, so in both the first pictures are done after two inversions. ``kind`` is of a
    content what those that go together have in common, such as their shape.
    """
    wanted = set(pairs)
    orders = [_mark_last(order(wanted, batch_size, kind)) for order in (_go_by_styles, _go_by_contents)]
    return min(orders, key=lambda blocks: count_kept(blocks, weigh))


def count_kept(blocks: Sequence[Block], weigh: Weigh = len) -> int:
    """The most that is kept of pictures at a time."""
    kept: set[Picture] = set()
    most = 0
    for block in blocks:
        kept.update(block.pictures)
        most = max(most, weigh(kept))
        kept -= block.last
    return most


def _go_by_styles(pairs: set[Pair], batch_size: int, kind: Kind) -> list[Block]:
    blocks = []
    for style in sorted({style for _, style in pairs}):
        contents = sorted(content for content, other in pairs if other == style)
        blocks += [Block(tuple(batch), style) for batch in split_batches(contents, batch_size, kind)]
    return blocks


def _go_by_contents(pairs: set[Pair], batch_size: int, kind: Kind) -> list[Block]:
    blocks = []
    for batch in split_batches(sorted({content for content, _ in pairs}), batch_size, kind):
        for style in sorted({style for content, style in pairs if content in batch}):
            blocks.append(Block(tuple(content for content in batch if (content, style) in pairs), style))
    return blocks


def _mark_last(blocks: Sequence[Block]) -> list[Block]:
    needed: set[Picture] = set()
    marked = []
    for block in reversed(blocks):
        marked.append(Block(block.contents, block.style, frozenset(block.pictures) - needed))
        needed.update(block.pictures)
    return marked[::-1]
