"""The editors: what the source leaves of a step, and edits that take it up (arXiv 2208.01626, algorithm 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Optional

import numpy as np

from jstyle import ops
from jstyle.methods.prompt_to_prompt.blend import WordMaps
from jstyle.methods.prompt_to_prompt.weights import CrossWeights
from jstyle.networks.editing import QKV, Site, require_plain
from jstyle.runtime import jt

Features = Mapping[str, QKV]
"""By the paths of their sites, what the source's attention used in one step: one row, that of its text."""


class SourceRecorder:
    """Keeps what the source's attention uses, which stays as it is."""

    def __init__(self) -> None:
        self._features: dict[str, QKV] = {}

    def __call__(self, site: Site, step: int, qkv: QKV) -> QKV:
        """As every editor of attention. Raises InputError where another has added to the attention."""
        require_plain(qkv, "Prompt-to-Prompt")
        self._features[site.path] = replace(qkv, q=qkv.q[-1:], k=qkv.k[-1:], v=qkv.v[-1:])
        return qkv

    def take(self) -> Features:
        """What was recorded since the last time, computed."""
        features, self._features = self._features, {}
        jt.sync([x for qkv in features.values() for x in (qkv.q, qkv.k, qkv.v)])
        return features


@dataclass(frozen=True)
class EditAttention:
    """Gives edits the source's layout and lets their words look where the source's do.

    The edits are the last ``rows`` of the batch; what stands before them is their unconditional half. ``cross`` are the
    weights of this step, None where every word is left to itself. ``features`` are those of the sites that are edited.
    ``maps``, if any, adds up where the blend words look.
    """

    features: Features
    rows: int
    cross: Optional[CrossWeights]
    maps: Optional[WordMaps]

    def __call__(self, site: Site, step: int, qkv: QKV) -> QKV:
        """As every editor of attention. Raises InputError where another has added to the attention."""
        source = self.features.get(site.path)
        if source is None:
            return qkv
        require_plain(qkv, "Prompt-to-Prompt")
        if not site.is_cross:
            return self._take_layout(qkv, source)
        edits = QKV(*(x[-self.rows :] for x in (qkv.q, qkv.k, qkv.v)), temperature=qkv.temperature, upcast=qkv.upcast)
        if self.maps is not None and site.path in self.maps.paths:
            self.maps.add(self._look(edits, source, self.maps))
        return qkv if self.cross is None else self._edit_words(qkv, edits, source, self.cross)

    def _take_layout(self, qkv: QKV, source: QKV) -> QKV:
        return replace(qkv, q=self._put_last(qkv.q, source.q), k=self._put_last(qkv.k, source.k))

    def _edit_words(self, qkv: QKV, edits: QKV, source: QKV, cross: CrossWeights) -> QKV:
        if not cross.uses_source:
            return replace(qkv, v=self._put_last(qkv.v, weigh(edits.v, cross.own)))
        values = carry(edits.v, cross.source)
        if not cross.uses_own:
            q, k = self._put_last(qkv.q, source.q), self._put_last(qkv.k, source.k)
            return replace(qkv, q=q, k=k, v=self._put_last(qkv.v, values))
        taken = attend_source(edits, source, values)
        rest = qkv.q.shape[0] - self.rows
        added = jt.concat([jt.zeros((rest, *taken.shape[1:]), taken.dtype), taken], dim=0) if rest else taken
        return replace(qkv, v=self._put_last(qkv.v, weigh(edits.v, cross.own)), added=added)

    def _look(self, edits: QKV, source: QKV, maps: WordMaps) -> tuple[jt.Var, jt.Var]:
        """How much the source (1, queries) and the edits (rows, queries) look at the blend words, after editing."""
        marks = mark_values(maps.marks[1:], edits.v)
        seen = replace(source, v=mark_values(maps.marks[:1], source.v)).attend()
        if self.cross is None:
            return read_marks(seen), read_marks(replace(edits, v=marks).attend())
        looked = replace(edits, v=weigh(marks, self.cross.own)).attend()
        if self.cross.uses_source:
            looked = looked + attend_source(edits, source, carry(marks, self.cross.source))
        return read_marks(seen), read_marks(looked)

    def _put_last(self, x: jt.Var, last: jt.Var) -> jt.Var:
        """x with its last rows replaced, by one for all of them or one each."""
        last = repeat_row(last, self.rows)
        rest = x.shape[0] - self.rows
        return jt.concat([x[:rest], last], dim=0) if rest else last


def attend_source(edits: QKV, source: QKV, values: jt.Var) -> jt.Var:
    """What is gathered of ``values`` (rows, tokens, heads, head_dim) by looking where the source looks."""
    rows = edits.q.shape[0]
    return replace(edits, q=repeat_row(source.q, rows), k=repeat_row(source.k, rows), v=values).attend()


def repeat_row(x: jt.Var, rows: int) -> jt.Var:
    """(1, ...) to (rows, ...), or x as it is where it has them."""
    return x if x.shape[0] == rows else jt.concat([x] * rows, dim=0)


def carry(values: jt.Var, weights: np.ndarray) -> jt.Var:
    """Give the source's tokens what the edit's tokens that take after them are worth.

    values (rows, tokens, heads, head_dim), weights (rows, source's tokens, tokens) -> as values.
    """
    rows, tokens, heads, width = values.shape
    flat = ops.cast(values, "float32").reshape(rows, tokens, heads * width)
    carried = jt.matmul(jt.array(weights), flat)
    return ops.cast(carried.reshape(rows, -1, heads, width), str(values.dtype))


def weigh(values: jt.Var, weights: np.ndarray) -> jt.Var:
    """values (rows, tokens, heads, head_dim) times weights (rows, tokens)."""
    if (weights == 1).all():
        return values
    return ops.cast(ops.cast(values, "float32") * jt.array(weights[:, :, None, None]), str(values.dtype))


def mark_values(marks: np.ndarray, like: jt.Var) -> jt.Var:
    """Values (rows, tokens, heads, head_dim) whose first number is the mark (rows, tokens): what is gathered of them is
    how much attention the marked tokens get.
    """
    values = np.zeros((len(marks), *like.shape[1:]), np.float32)
    values[..., 0] = marks[:, :, None]
    return ops.cast(jt.array(values), str(like.dtype))


def read_marks(gathered: jt.Var) -> jt.Var:
    """The mean over heads of what `mark_values` gave, (rows, queries)."""
    return ops.cast(gathered, "float32")[:, :, :, 0].mean(dim=2)
