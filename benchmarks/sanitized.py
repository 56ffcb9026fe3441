"""Python with the kernels built under the address and undefined-behaviour sanitizers.

    python -m benchmarks.sanitized benchmarks.fuzz_operations --calls 10000
    python -m benchmarks.sanitized benchmarks.fuzz_networks
    python -m benchmarks.sanitized pytest tests/ops -k kernel

The first access beyond what belongs to a tensor ends the process with a report. Jittor takes each tensor's memory by
itself then, so that what lies behind a tensor is no other one's.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys

from jstyle.runtime.toolchain import find_compiler

LIBRARIES = ("libasan.so", "libubsan.so")


def main() -> None:
    """Start again with the sanitizers' libraries loaded first, then become the module that is named."""
    if not sys.argv[1:]:
        raise SystemExit((__doc__ or "").strip())
    if os.environ.get("JSTYLE_SANITIZE") is None:
        os.environ.update(
            JSTYLE_SANITIZE="1",
            LD_PRELOAD=" ".join(map(find_library, LIBRARIES)),
            ASAN_OPTIONS="detect_leaks=0",  # Python itself frees nothing at its end
            UBSAN_OPTIONS="print_stacktrace=1",
            use_sfrl_allocator="0",  # Jittor's flag
        )
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks.sanitized", *sys.argv[1:]])
    os.RTLD_DEEPBIND = 0  # type: ignore[misc]  # Jittor asks for it, and the sanitizers refuse libraries loaded so
    os.environ.pop("LD_PRELOAD")  # compilers that are called need no checking
    del sys.argv[0]
    sys.path.insert(0, os.getcwd())
    code: object = 0
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    if isinstance(code, str):
        print(code, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    # Without RTLD_DEEPBIND Jittor's libraries share their globals, and each frees them when the process ends.
    os._exit(code if isinstance(code, int) else int(code is not None))


def find_library(name: str) -> str:
    """The path of one of the compiler's own libraries."""
    command = [find_compiler(os.environ), f"-print-file-name={name}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
