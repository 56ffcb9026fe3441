"""Which operations compute in this process, told without starting anything: what pictures' files say of it.

Kernels and plain Jittor differ in last bits, and which of them computes may be decided by a full disk.
"""

from __future__ import annotations

import sys

KERNELS, PLAIN, PLAIN_ON_CUDA = "kernels", "plain Jittor", "plain Jittor on CUDA"

_chosen: list[str] = []


def note_operations(name: str) -> None:
    """Say which operations were found to compute; ``jstyle.ops`` does when it is first asked for one."""
    _chosen[:] = [name]


def read_operations() -> str:
    """The operations that compute on this device, empty where nothing of this project has computed yet."""
    jittor = sys.modules.get("jittor")
    if jittor is not None and jittor.flags.use_cuda:
        return PLAIN_ON_CUDA
    return _chosen[0] if _chosen else ""
