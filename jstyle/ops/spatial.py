"""Changes of a feature map's height and width."""

from __future__ import annotations

from jstyle.runtime import jt


def upsample_nearest(x: jt.Var, height: int, width: int) -> jt.Var:
    """Double (batch, h, w, c) by repetition and crop to (batch, height, width, c).

    The size is that of the skip connection that joins next: 2h or 2h - 1. Cropping the doubled map
    is exactly what nearest interpolation to that size gives.
    """
    b, h, w, c = x.shape
    doubled = x.reshape(b, h, 1, w, 1, c).broadcast([b, h, 2, w, 2, c]).reshape(b, 2 * h, 2 * w, c)
    if (height, width) == (2 * h, 2 * w):
        return doubled
    return doubled[:, :height, :width, :]


def pad_bottom_right(x: jt.Var) -> jt.Var:
    """Append one row and one column of zeros to (batch, h, w, c): the VAE encoder's asymmetric padding."""
    b, h, w, c = x.shape
    return x.reindex([b, h + 1, w + 1, c], ["i0", "i1", "i2", "i3"], overflow_value=0.0)
