"""Python with the kernels built under the address and undefined-behaviour sanitizers.

    python -m benchmarks.sanitized benchmarks.fuzz_operations --calls 10000
    python -m benchmarks.sanitized benchmarks.fuzz_networks
    python -m benchmarks.sanitized pytest tests/ops -k kernel

The first access beyond an array ends the process with a report: single operations are given NumPy's arrays. Jittor's
tensors are pieces of larger blocks, so through networks what is seen is the kernels' own memory and a block's end.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

from jstyle.runtime.toolchain import find_compiler

LIBRARIES = ("libasan.so", "libubsan.so")

# Jittor loads each operator with RTLD_DEEPBIND, and asks aligned_alloc for sizes that are no multiple of the alignment;
# the sanitizers refuse both.
SHALLOW = """
#include <cstdlib>
#include <dlfcn.h>
extern "C" void* aligned_alloc(size_t alignment, size_t size) {
    void* memory = nullptr;
    return posix_memalign(&memory, alignment, size) ? nullptr : memory;
}
extern "C" void* dlopen(const char* file, int flags) {
    using Load = void* (*)(const char*, int);
    static Load next = reinterpret_cast<Load>(dlsym(RTLD_NEXT, "dlopen"));
    return next(file, flags & ~RTLD_DEEPBIND);
}
"""


def main() -> None:
    """Start again with the sanitizers' libraries loaded first, then become the module that is named."""
    if not sys.argv[1:]:
        raise SystemExit((__doc__ or "").strip())
    if os.environ.get("JSTYLE_SANITIZE") is None:
        os.environ.update(
            JSTYLE_SANITIZE="1",
            LD_PRELOAD=" ".join([build_shallow(), *map(find_library, LIBRARIES)]),
            # Python itself frees nothing at its end; what loads libraries stands before the sanitizers
            ASAN_OPTIONS="detect_leaks=0:verify_asan_link_order=0",
            UBSAN_OPTIONS="print_stacktrace=1",
        )
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks.sanitized", *sys.argv[1:]])
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


def build_shallow() -> str:
    """A library in a temporary folder that keeps others from being loaded with RTLD_DEEPBIND."""
    folder = Path(tempfile.mkdtemp(prefix="jstyle-sanitized-"))
    source, library = folder / "shallow.cpp", folder / "shallow.so"
    source.write_text(SHALLOW)
    command = [find_compiler(os.environ), "-shared", "-fPIC", str(source), "-o", str(library), "-ldl"]
    subprocess.run(command, check=True)
    return str(library)


def find_library(name: str) -> str:
    """The path of one of the compiler's own libraries."""
    command = [find_compiler(os.environ), f"-print-file-name={name}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
