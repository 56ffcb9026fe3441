"""InST's network (arXiv 2211.13203, section 3.2): what CLIP sees in a picture becomes the embedding of a word.

The paper's code attends over one token, CLIP's embedding of the whole picture. A softmax over one key is 1, so there
the attention is affine, and of its two layers the first, whose result is only the second one's query, gets no gradient
and does nothing. Here the picture's patches are keys and values, and the embedding of the whole is the query. With one
token it is the paper's network, under the same names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jstyle import ops
from jstyle.adapters.textual_inversion import ExtendedEmbedding
from jstyle.networks.layers import Embedding, Linear, Nothing
from jstyle.runtime import jt

DROPOUTS = ("attn1.to_out.1", "attn2.to_out.1", "net.0")
"""The paths at which nothing happens but in training."""


@dataclass(frozen=True)
class Sizes:
    """``width`` of CLIP's image embeddings, ``hidden_size`` of the text encoder's words, and the attention's heads."""

    width: int
    hidden_size: int
    heads: int
    head_width: int


class TokenAttention(jt.Module):
    """Multi-head attention of x (batch, queries, width) over context (batch, tokens, width)."""

    def __init__(self, sizes: Sizes) -> None:
        inner = sizes.heads * sizes.head_width
        self.to_q = Linear(sizes.width, inner, bias=False)
        self.to_k = Linear(sizes.width, inner, bias=False)
        self.to_v = Linear(sizes.width, inner, bias=False)
        self.to_out = jt.nn.ModuleList([Linear(inner, sizes.width), Nothing()])
        self.split: tuple[int, int] = (sizes.heads, sizes.head_width)

    def execute(self, x: jt.Var, context: jt.Var) -> jt.Var:
        """x (batch, queries, width) over context (batch, tokens, width) to (batch, queries, width)."""
        q, k, v = (
            projection(tokens).reshape([*tokens.shape[:2], *self.split])  # (batch, tokens, heads, head_width)
            for projection, tokens in ((self.to_q, x), (self.to_k, context), (self.to_v, context))
        )
        attended = ops.attention(q, k, v).reshape([*x.shape[:2], self.split[0] * self.split[1]])
        return self.to_out[1](self.to_out[0](attended))


class StyleAttention(jt.Module):
    """(batch, tokens, width), the whole picture's embedding first -> a word's embedding (batch, hidden_size)."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.attn1 = TokenAttention(sizes)
        self.attn2 = TokenAttention(sizes)
        self.net = jt.nn.ModuleList([Nothing(), Linear(sizes.width, sizes.hidden_size)])

    def execute(self, tokens: jt.Var) -> jt.Var:
        """CLIP's tokens (pictures, 1 + patches, width) to the word's embeddings (pictures, hidden_size)."""
        query = self.attn1(tokens[:, :1], tokens)
        return self.net[1](self.net[0](self.attn2(query, tokens)))[:, 0]


class ComputedEmbedding(ExtendedEmbedding):
    """A table whose rows behind the first ``known`` are computed whenever they are looked up, (n, channels)."""

    def __init__(self, table: Embedding, compute: Callable[[], jt.Var], known: int) -> None:
        super().__init__(table, (), known)
        self._compute = compute

    def own_rows(self) -> jt.Var:
        """The embeddings of the words that the table does not know, computed now: (words, channels)."""
        return self._compute()
