"""safetensors headers: the library's own files, every kind of number, and whatever else a file may be."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from jstyle.errors import InputError
from jstyle.weights.header import LARGEST_HEADER, read_header
from jstyle.weights.tensors import FileTensors, read_numbers


def write(file: Path, header: Any, data: bytes = b"") -> Path:
    """A safetensors file by hand, from JSON or from a header's text."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return file


def entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int8", "int16", "uint16", "int32", "int64", "float16", "float32", "float64"]
)
def test_arrays_are_what_the_library_has_written(dtype: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shapes: tuple[tuple[int, ...], ...] = ((), (3,), (2, 0, 5), (4, 3), (1, 2, 3, 4))
    arrays = {f"a.{shape}": np.asarray(rng.integers(0, 2, shape)).astype(dtype) for shape in shapes}
    save_file(arrays, tmp_path / "a.safetensors", {"told": "é \x1b"})
    stored = FileTensors([tmp_path / "a.safetensors"])
    assert stored.metadata == {"told": "é \x1b"}
    assert stored.shapes() == {name: array.shape for name, array in arrays.items()}
    for name, array in arrays.items():
        assert stored.read(name).dtype == array.dtype and np.array_equal(stored.read(name), array)


def eighth(code: int, exponent_bits: int, bias: int, finite: bool) -> float:
    """What an 8-bit float means (arXiv 2209.05433): E4M3 has no infinity and one NaN, E5M2 is as IEEE 754."""
    mantissa_bits = 7 - exponent_bits
    sign, rest = (-1) ** (code >> 7), code & 0x7F
    exponent, mantissa = rest >> mantissa_bits, rest & (1 << mantissa_bits) - 1
    fraction = mantissa / (1 << mantissa_bits)
    if finite and rest == 0x7F:
        return math.nan
    if not finite and exponent == (1 << exponent_bits) - 1:
        return math.nan if mantissa else sign * math.inf
    return sign * (math.ldexp(1 + fraction, exponent - bias) if exponent else math.ldexp(fraction, 1 - bias))


@pytest.mark.parametrize(
    ("code", "exponent_bits", "bias", "finite"), [("F8_E4M3", 4, 7, True), ("F8_E5M2", 5, 15, False)]
)
def test_eight_bit_floats(code: str, exponent_bits: int, bias: int, finite: bool, tmp_path: Path) -> None:
    file = write(tmp_path / "a.safetensors", {"a": entry(code, [16, 16], [0, 256])}, bytes(range(256)))
    found = FileTensors([file]).read("a").astype(np.float64).ravel()
    assert np.array_equal(found, [eighth(byte, exponent_bits, bias, finite) for byte in range(256)], equal_nan=True)
    with pytest.raises(InputError, match="a holds numbers that are not finite"):
        read_numbers(FileTensors([file]), "a")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"{", "its header is not JSON: Expecting property name"),
        (b"[1]", "its header is no JSON object"),
        (b"null", "its header is no JSON object"),
        (b"\xff\xfe", "its header: this is not UTF-8 text"),
        (b"[" * 100_000, "its header: this nests over 100 deep"),
        (b'{"a": 1, "a": 1}', "its header is not JSON: the key 'a' stands there twice"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not a whole safetensors file"),
        ({"__metadata__": {"told": 1}}, "its __metadata__ is not text by key"),
        ({"__metadata__": []}, "its __metadata__ is not text by key"),
        ({"a": None}, "its entry of 'a' is no array's"),
        ({"a": {"dtype": "F32"}}, "its entry of 'a' is no array's"),
        ({"a": entry(shape=[2.0])}, "its entry of 'a' is no array's"),
        ({"a": entry(shape=[True, 2])}, "its entry of 'a' is no array's"),
        ({"a": entry(shape=[-2])}, "its entry of 'a' is no array's"),
        ({"a": entry(shape="2")}, "its entry of 'a' is no array's"),
        ({"a": entry(shape=None)}, "its entry of 'a' is no array's"),
        ({"a": entry(offsets=[0, 8, 8])}, "its entry of 'a' is no array's"),
        ({"a": entry("F4")}, "'a' is stored as 'F4', which is not read"),
        ({"a": entry("C64")}, "'a' is stored as 'C64', which is not read"),
        ({"a": entry(["F32"])}, "which is not read"),
        ({"a": entry(shape=[3])}, "'a' has 8 bytes, its shape 12"),
        ({"a": entry(shape=[0, 1 << 62, 1 << 62], offsets=[0, 0])}, "'a' is of no shape that an array can have"),
        ({"a": entry(shape=[1] * 40 + [2])}, "'a' is of no shape that an array can have"),
        ({"a": entry(offsets=[1, 9])}, "its arrays overlap, or leave gaps"),
        ({"a": entry(), "b": entry()}, "its arrays overlap, or leave gaps"),
        ({"a": entry(offsets=[0, 8]), "b": entry(offsets=[8, 16])}, "it has .* bytes where its header says"),
        ({}, "it has .* bytes where its header says"),
        ({"x" * 501: entry()}, "an array's name has 501 characters"),
    ],
)
def test_a_header_that_cannot_be_is_named(header: Any, said: str, tmp_path: Path) -> None:
    file = write(tmp_path / "a.safetensors", header, bytes(8))
    with pytest.raises(InputError, match=said) as caught:
        read_header(file)
    message = str(caught.value)
    assert message.startswith(f"{file} is not a whole safetensors file (") and message.endswith("; fetch it again")
    assert "\n" not in message and len(message) < 400


def test_a_header_too_large_to_be_one_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    with open(file, "wb") as stream:  # a hole: no disk is used
        stream.write((LARGEST_HEADER + 1).to_bytes(8, "little"))
        stream.truncate(LARGEST_HEADER + 100)
    with pytest.raises(InputError, match="its header has 16777217 bytes, more than 16777216"):
        read_header(file)


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("a.pt", b"PK\x03\x04"), ("a.bin", b"\x80\x02}q\x00X"), ("a.ckpt", b""),
        ("a.safetensors", b"PK\x03\x04\x00\x00\x08\x08"), ("a.safetensors", b"\x80\x04\x95\x10\x00\x00\x00\x00"),
    ],
)  # fmt: skip
def test_a_pickle_is_called_one_with_the_way_to_convert_it(name: str, start: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(start + b"x" * 100)
    with pytest.raises(InputError, match=rf"is a pickle, .*; convert it: jstyle convert {tmp_path}/{name}$"):
        read_header(tmp_path / name)


def test_a_header_of_640_bytes_is_no_pickle(tmp_path: Path) -> None:
    """Its length begins with the bytes of a pickle of protocol 2."""
    text = json.dumps({"a": entry()}).encode().ljust(0x280)
    assert read_header(write(tmp_path / "a.safetensors", text, bytes(8))).tensors["a"].shape == (2,)


def test_a_file_that_was_cut_after_it_was_opened_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / "a.safetensors", {"a": entry()}, bytes(8))
    stored = FileTensors([file])
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(InputError, match="has become shorter"):
        stored.read("a")
    file.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        stored.read("a")
