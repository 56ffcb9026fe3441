"""Kernels as Jittor operators: ``compute`` runs one by name, or where it may not, plain Jittor on the same inputs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Optional

from jstyle.errors import InputError
from jstyle.ops import signatures
from jstyle.ops.kernels import build, library
from jstyle.runtime import jt
from jstyle.runtime.operators import compile_operators
from jstyle.settings.vocabulary import Operations

CHOICES = ("fused", "reference")
FLOATS = ("float32", "bfloat16")
HERE = Path(__file__).parent


def compute(kernel: str, plain: Callable[..., jt.Var], inputs: Sequence[Optional[jt.Var]], **numbers: float) -> jt.Var:
    """The first output of a kernel, or ``plain(*inputs, **numbers)`` where kernels cannot be used.

    Raises InputError, the same in both cases and before anything is computed, for what the kernel does not take.
    """
    if usable(*inputs):
        return call(kernel, inputs, **numbers)[0]
    check(kernel, inputs, **numbers)
    return plain(*inputs, **numbers)


def usable(*tensors: Optional[jt.Var]) -> bool:
    """Whether the fused kernels take these: on the CPU, in fp32 or bf16, and not switched off by JSTYLE_OPS."""
    return (
        not jt.flags.use_cuda
        and all(str(x.dtype) in FLOATS for x in tensors if x is not None)
        and unavailable() is None
    )


@lru_cache(maxsize=None)
def unavailable() -> Optional[str]:
    """Why the kernels cannot be used in this process, in one line, or None. Says so once on stderr."""
    choice = os.environ.get("JSTYLE_OPS") or "fused"
    if choice not in CHOICES:
        raise InputError(f"JSTYLE_OPS is {choice!r}; set it to {' or '.join(CHOICES)}")
    if choice == "reference":
        return "JSTYLE_OPS=reference switches them off"
    try:
        _operator()
    except (build.BuildError, InputError, OSError) as error:  # OSError: nothing can be written
        print(f"jstyle: Plain Jittor computes, slowly: {error}.", file=sys.stderr, flush=True)
        return str(error)
    return None


def find_operations() -> Operations:
    """Which operations compute in this process, as pictures' identities say it; the kernels are made ready for that."""
    if jt.flags.use_cuda:
        return "plain Jittor on CUDA"
    return "kernels" if unavailable() is None else "plain Jittor"


@lru_cache(maxsize=None)
def _operator() -> Callable[..., Any]:
    """The Jittor operator, compiled once by Jittor. It finds the library's symbols in this process."""
    library.load()
    sources = ["jstyle_kernel_op.h", "jstyle_kernel_op.cc"]
    return compile_operators(jt, HERE, sources, included=["csrc/kernel.h"]).jstyle_kernel


def call(kernel: str, inputs: Sequence[Optional[jt.Var]], **numbers: float) -> Sequence[jt.Var]:
    """The outputs of a kernel, lazy, as all of Jittor's results. None stands for an optional input that is absent.

    Raises InputError for what the kernel does not take.
    """
    slots = "".join("0" if x is None else "1" for x in inputs)
    filled = [x for x in inputs if x is not None]
    values = {name: float(value) for name, value in numbers.items()}
    try:
        return _operator()(kernel, slots, "", filled, values)
    except RuntimeError:
        check(kernel, inputs, **numbers)
        return _operator()(kernel, slots, "", filled, values)  # looking at shapes has made those known that were not


def check(kernel: str, inputs: Sequence[Optional[jt.Var]], **numbers: float) -> None:
    """Raise InputError, in one line, for what a kernel does not take."""
    for x in inputs:
        if x is not None and not isinstance(x, jt.Var):
            raise InputError(f"{kernel}: wanted a jt.Var, got {type(x).__name__}; wrap arrays in jt.array")
    described = tuple(None if x is None else (tuple(x.shape), str(x.dtype)) for x in inputs)
    signatures.infer(kernel, described, tuple(numbers.items()))
