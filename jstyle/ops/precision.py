"""The numbers in which the UNet computes: fp32, bf16 where the processor can multiply it, or fp16 on a GPU."""

from __future__ import annotations

from typing import Any

from jstyle.errors import InputError
from jstyle.ops.kernels import build, operator
from jstyle.runtime import jt

DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
BF16_FEATURES = {"avx512_bf16", "amx_bf16"}


def find_precision(dtype: Any) -> str:
    """The precision that a dtype names, as text ("float16") or as any library's object (``torch.bfloat16``, NumPy's).

    Raises InputError for another one.
    """
    name = str(getattr(dtype, "__name__", None) or getattr(dtype, "name", None) or dtype).rpartition(".")[2]
    for precision, known in DTYPES.items():
        if name == known:
            return precision
    raise InputError(f"the dtype {name!r:.60} is not known, only {', '.join(DTYPES.values())}")


def unet_dtype(precision: str) -> str:
    """The dtype of the UNet's weights and activations; sums, norms and softmax are fp32 in every precision.

    The autoencoder and the text encoder run once per image and stay in fp32. Raises InputError for a precision
    that is unknown or in which this machine cannot compute.
    """
    if precision not in DTYPES:
        raise InputError(f"precision {precision!r} is not known, only {', '.join(DTYPES)}")
    if precision == "bf16":
        if not BF16_FEATURES & set(build.processor_features()):
            raise InputError("precision bf16 needs a processor with AVX-512 BF16 or AMX; leave it at fp32")
        reason = operator.unavailable()
        if reason is not None:
            raise InputError(f"precision bf16 needs the fused kernels ({reason}); leave it at fp32")
    if precision == "fp16" and not on_gpu():
        raise InputError("precision fp16 needs a GPU; leave it at fp32")
    return DTYPES[precision]


def on_gpu() -> bool:
    """Whether Jittor computes on a GPU."""
    return bool(jt.flags.use_cuda)
