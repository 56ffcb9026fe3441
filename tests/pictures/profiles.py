"""Colour profiles written by hand (ICC.1:2001-04), and what their colours are in sRGB by the formulas in float64."""

from __future__ import annotations

import struct

import numpy as np

D50 = np.array([0.9642, 1.0, 0.8249])
D65 = np.array([0.95047, 1.0, 1.08883])
SRGB = np.array([[0.64, 0.33], [0.30, 0.60], [0.15, 0.06]])
"""(x, y) of red, green and blue."""
DISPLAY_P3 = np.array([[0.680, 0.320], [0.265, 0.690], [0.150, 0.060]])
ADOBE_RGB = np.array([[0.64, 0.33], [0.21, 0.71], [0.15, 0.06]])
ADOBE_GAMMA = 563 / 256

BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def to_xyz(primaries: np.ndarray) -> np.ndarray:
    """The matrix from linear RGB to XYZ under D65."""
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries]).T
    return columns * np.linalg.solve(columns, D65)


def convert_to_srgb(rgb: np.ndarray, primaries: np.ndarray, gamma: float = 0.0) -> np.ndarray:
    """8-bit colours (..., 3) of a space in 8-bit sRGB, not rounded; ``gamma`` 0 is sRGB's own curve."""
    values = rgb.astype(np.float64) / 255
    linear = values**gamma if gamma else np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ to_xyz(primaries).T @ np.linalg.inv(to_xyz(SRGB)).T, 0, 1)
    return 255 * np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def write_rgb_profile(primaries: np.ndarray, gamma: float = 0.0) -> bytes:
    """A matrix profile; ``gamma`` 0 writes sRGB's curve as a table."""
    adapt = np.linalg.inv(BRADFORD) @ np.diag((BRADFORD @ D50) / (BRADFORD @ D65)) @ BRADFORD
    columns = (adapt @ to_xyz(primaries)).T
    tags = {name: _xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns)}
    tags.update({name: _curve(gamma) for name in (b"rTRC", b"gTRC", b"bTRC")})
    return _write(b"mntr", b"RGB ", b"XYZ ", {**tags, b"wtpt": _xyz(D50)})


def write_grey_profile(gamma: float) -> bytes:
    """A profile of grey."""
    return _write(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": _curve(gamma), b"wtpt": _xyz(D50)})


def write_cmyk_profile(inks: dict[tuple[int, int, int, int], tuple[int, int, int]]) -> bytes:
    """A profile whose corners, such as (0, 0, 0, 1), are Lab colours of 8 bits, (L * 2.55, a + 128, b + 128)."""
    identity = bytes(range(256))
    matrix = struct.pack(">9i", *(int(65536 * value) for value in np.eye(3).ravel()))
    corners = [inks[corner] for corner in np.ndindex(2, 2, 2, 2)]
    lut = (
        b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix + identity * 4 + bytes(np.ravel(corners).tolist()) + identity * 3
    )
    return _write(b"prtr", b"CMYK", b"Lab ", {b"A2B0": lut, b"wtpt": _xyz(D50)})


def _write(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        **tags,
    }
    table, bodies, place = b"", b"", 128 + 4 + 12 * len(tags)
    for name, body in tags.items():
        table += name + struct.pack(">II", place + len(bodies), len(body))
        bodies += body + bytes(-len(body) % 4)
    head = struct.pack(">4xI4s4s4s", 0x02400000, kind, space, connection) + bytes(12) + b"acsp"
    head += bytes(28) + struct.pack(">3i", *(round(65536 * value) for value in D50))
    head = head.ljust(124, b"\0")
    size = 4 + len(head) + 4 + len(table) + len(bodies)
    return struct.pack(">I", size) + head + struct.pack(">I", len(tags)) + table + bodies


def _xyz(value: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(65536 * part) for part in value))


def _curve(gamma: float) -> bytes:
    if gamma:
        return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(256 * gamma))
    x = np.linspace(0, 1, 4096)
    table = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    return b"curv\0\0\0\0" + struct.pack(">I", len(table)) + np.rint(65535 * table).astype(">u2").tobytes()
