"""Hostile safetensors files: valid ones with something changed, in the bytes, the header's JSON or the numbers."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

DTYPES = [
    "F32",
    "F16",
    "BF16",
    "F64",
    "F8_E4M3",
    "F8_E5M2",
    "I64",
    "U8",
    "BOOL",
    "C64",
    "F4",
    "",
    "F32 ",
    "\x1b[31m",
    7,
    None,
]
STRANGE = [
    None, True, False, 0, -1, 1, 2.5, 1e308, float("nan"), float("inf"), 2**63, 10**400, "", "x", "\x1b[2J", "\u202e",
    "\ud800", [], [1, 2], {}, {"a": 1}, [[[[]]]], "9" * 5000, ["unet"], {"": None},
]  # fmt: skip
NUMBERS = [0.0, 1.0, -1e-30, 3e38, float("nan"), float("inf"), -float("inf")]


class HostileFile:
    """One file that is about to be changed: ``header`` as in the format, ``data`` the bytes behind it."""

    def __init__(self, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
        self.header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
        self.data = b""
        for name, array in arrays.items():
            begin = len(self.data)
            self.data += array.tobytes()
            self.header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [begin, len(self.data)]}

    def change(self, rng: random.Random) -> None:
        """One change of the header or of the numbers."""
        names = [name for name in self.header if name != "__metadata__"]
        if not names:
            return
        name = rng.choice(names)
        if isinstance(self.header[name], dict):
            rng.choice(CHANGES)(rng, self, name)

    def to_bytes(self, rng: random.Random) -> bytes:
        """The file, sometimes with damaged bytes."""
        text = json.dumps(self.header).encode("utf-8", "surrogatepass")
        content = len(text).to_bytes(8, "little") + text + self.data
        return _damage(rng, content, len(text)) if rng.random() < 0.15 else content


def change_json(rng: random.Random, value: Any) -> Any:
    """A JSON value with something in it replaced."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = rng.choice(list(value))
        changed = {**value, key: change_json(rng, value[key])}
        return (
            changed
            if rng.random() < 0.9
            else {**changed, rng.choice(["", "unet.", "\x1b[0m", "r"]): rng.choice(STRANGE)}
        )
    return rng.choice(STRANGE)


def write_json(rng: random.Random, value: Any) -> str:
    """JSON, one time in eight no longer."""
    text = json.dumps(value)
    if rng.random() > 0.12:
        return text
    return rng.choice(
        ["", text[: rng.randrange(len(text) + 1)], "[" * 3000, text + text, "null", "\x00", "{" * 50, "NaN", "[1]"]
    )


def _change_entry(rng: random.Random, file: HostileFile, name: str) -> None:
    entry = file.header[name]
    key = rng.choice(["dtype", "shape", "data_offsets"])
    entry[key] = rng.choice(DTYPES) if key == "dtype" else rng.choice(STRANGE)


def _change_shape(rng: random.Random, file: HostileFile, name: str) -> None:
    """Another shape, often with offsets that agree with it."""
    size, entry = len(file.data), file.header[name]
    shapes: list[Callable[[], Any]] = [
        lambda: [], lambda: [size // 4], lambda: [0, 128], lambda: [128, 0], lambda: [1] * 40,
        lambda: [0, 2**62, 2**62], lambda: [4, 128, 1, 1], lambda: [2, 2], lambda: [2**40, 2**40],
        lambda: list(reversed(entry["shape"])),
        lambda: [-1, 128], lambda: [1.0, 128], lambda: [True, 128], lambda: "128",
    ]  # fmt: skip
    if isinstance(entry.get("shape"), list):
        entry["shape"] = rng.choice(shapes)()
    if rng.random() < 0.7 and isinstance(entry["shape"], list) and all(type(side) is int for side in entry["shape"]):
        count = (
            int(np.prod([side % 1000 for side in entry["shape"]], dtype=np.int64)) if len(entry["shape"]) < 10 else 1
        )
        begin = len(file.data)
        entry["data_offsets"] = [begin, begin + 4 * min(count, 100_000)]
        file.data += bytes(4 * min(count, 100_000))


def _change_number(rng: random.Random, file: HostileFile, name: str) -> None:
    if len(file.data) >= 4:
        place = 4 * rng.randrange(len(file.data) // 4)
        number = np.float32(rng.choice(NUMBERS)).tobytes()
        file.data = file.data[:place] + number + file.data[place + 4 :]


def _rename(rng: random.Random, file: HostileFile, name: str) -> None:
    new = rng.choice([
        name.upper(), name + ".x", name.replace(".", "_"), "\x1b]0;x\x07" + name, name[::-1], "", "a" * 600, "é" + name,
        name.replace("lora_A", "lora_B"), name.replace("unet.", "base_model.model."), name + "\n", "__metadata__",
    ])  # fmt: skip
    file.header[new] = file.header.pop(name)


def _drop(rng: random.Random, file: HostileFile, name: str) -> None:
    del file.header[name]


def _replace(rng: random.Random, file: HostileFile, name: str) -> None:
    file.header[rng.choice([name, "__metadata__"])] = rng.choice(STRANGE)


CHANGES = [_change_entry, _change_shape, _change_number, _rename, _drop, _replace]


def _damage(rng: random.Random, content: bytes, header: int) -> bytes:
    """Cut, lengthened, flipped, with another length of the header, or something else altogether."""
    kind = rng.randrange(7)
    if kind == 0:
        return content[: rng.randrange(len(content) + 1)]
    if kind == 1:
        return content + bytes(rng.randrange(1, 9))
    if kind == 2:
        changed = bytearray(content)
        for _ in range(rng.randrange(1, 4)):
            changed[rng.randrange(8 + header)] = rng.randrange(256)
        return bytes(changed)
    if kind == 3:
        return rng.choice([0, 1, header - 1, header + 1, 2**31, 2**63, 2**64 - 1]).to_bytes(8, "little") + content[8:]
    if kind == 4:
        return rng.choice(
            [b"", b"PK\x03\x04", b"\x80\x02}q\x00", b"version https://git-lfs", b"<html>", b"{}"]
        ) + bytes(20)
    if kind == 5:
        deep = rng.choice(
            [b"[" * 100_000, b'{"a":' * 20_000, b"{" + b'"a":1,' * 1000 + b'"a":1}', b"9" * 6000, b"\xff\xfe"]
        )
        return len(deep).to_bytes(8, "little") + deep
    return rng.randbytes(rng.randrange(64))
