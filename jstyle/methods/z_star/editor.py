"""The editor by which contents and their styles attend to each other (arXiv 2311.16491, section 3.3)."""

from __future__ import annotations

from dataclasses import replace
from typing import Optional

from jstyle.networks.editing import QKV, Site, require_plain
from jstyle.ops import KeyValue
from jstyle.runtime import jt


class AttendToBoth:
    """One softmax over the other's keys, whose logits are scaled, and one's own.

    Each of the ``halves`` of the batch holds the styles, then as many contents, one for each. A content looks at its
    style by ``style_scale``, a style at its content by ``content_scale``, or at itself alone.
    """

    def __init__(self, halves: int, style_scale: float, content_scale: Optional[float]) -> None:
        self._halves = halves
        self._style_scale = style_scale
        self._content_scale = content_scale

    def __call__(self, site: Site, step: int, qkv: QKV) -> QKV:
        """As every editor of attention. Raises InputError where another has added keys, a bias or an attention."""
        require_plain(qkv, "Z*")
        k = self._exchange(qkv.k, self._style_scale, self._content_scale or 1.0)
        return replace(qkv, shared=KeyValue(k, self._exchange(qkv.v)))

    def _exchange(self, x: jt.Var, of_styles: float = 1.0, of_contents: float = 1.0) -> jt.Var:
        """To each row the other's, times a factor. A style that looks at itself alone has its own twice, which changes
        no mean.
        """
        styles, contents = x.reshape(self._halves, 2, -1).split(1, dim=1)
        seen = styles if self._content_scale is None else contents
        return jt.concat([seen * of_contents, styles * of_styles], dim=1).reshape(x.shape)
