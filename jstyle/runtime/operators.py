"""How Jittor compiles an operator: the compiler called directly, with Jittor's headers compiled beforehand.

For each operator Jittor starts ``python asm_tuner.py --cc_path=COMPILER ARGUMENTS``, which starts a Python, writes
~/.cache/jittor/config.json (two processes that do so at once have failed), and compiles with debugging symbols by way
of an assembler file, for the sake of a rewriting that only Jittor's tuner asks for. Nine tenths of the rest go into
reading Jittor's headers, the same ones each time.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jstyle.files import locked, replacing
from jstyle.runtime.cache import jittor_folder
from jstyle.runtime.own_jittor import paths_kept

# Read before a source's first line. JIT says that an operator is compiled, not Jittor itself.
HEADER = """#define JIT 1
#include <algorithm>
#include <cmath>
#include "var.h"
#include "op.h"
#include "fused_op.h"
#include "executor.h"
#include "misc/cpu_math.h"
#include "ops/op_register.h"
#include "ops/array_op.h"
#include "ops/binary_op.h"
#include "ops/broadcast_to_op.h"
#include "ops/reduce_op.h"
#include "ops/unary_op.h"
"""
# Stands where Jittor calls Python: with the path of its script first, then --cc_path and the compiler's arguments, the
# library's name last. That appears when it is whole: another process may be loading or compiling the same one.
CALLED = """case $1 in
*/asm_tuner.py)
    compiler=${{2#--cc_path=}}
    shift 2
    for library; do :; done
    "$compiler" -include {header} "$@" -o "$library.$$" && mv -f "$library.$$" "$library" ;;
*)
    exec "${{JSTYLE_PYTHON:-python3}}" "$@" ;;
esac
"""


def compile_directly(jittor: Any, utils: Any) -> None:
    """Let Jittor compile its operators so, where it uses g++ on Linux; elsewhere nothing changes.

    The header is compiled once for each of Jittor's caches (3 s). A g++ that finds it made for other flags reads
    its text instead, so it can make nothing wrong.
    """
    flags = jittor.flags
    if jittor.compiler.cc_type != "g++" or sys.platform != "linux":
        return
    arguments = [word for word in shlex.split(flags.cc_flags) if not word.startswith(("-l", "-L", "-shared"))]
    command = [flags.cc_path, *arguments, "-x", "c++-header"]
    key = hashlib.sha256("\0".join([*command, HEADER, CALLED]).encode()).hexdigest()[:16]
    folder = Path(flags.cache_path) / f"jstyle-{key}"
    script = folder / "compile.sh"
    if not script.exists():
        with utils.lock.lock_scope():
            if not script.exists() and not _prepare(folder, command):
                return
    os.environ["JSTYLE_PYTHON"] = flags.python_path  # not in the script, which several environments share
    flags.python_path = f"sh {shlex.quote(str(script))}"


def _prepare(folder: Path, command: list[str]) -> bool:
    """Write the header, its compiled form and, last, the script. Whether that was possible."""
    header, script = folder / "operator.h", folder / "compile.sh"
    part = folder / "compile.part"
    try:
        folder.mkdir(exist_ok=True)
        header.write_text(HEADER)
        subprocess.run([*command, str(header), "-o", f"{header}.gch"], check=True, capture_output=True)
        part.write_text(CALLED.format(header=shlex.quote(str(header))))
        os.replace(part, script)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def compile_operators(jittor: Any, folder: Path, sources: Sequence[str], included: Sequence[str] = ()) -> Any:
    """The operators of C++ sources in a folder, compiled where they never were; equal checkouts share them.

    ``included`` are the further files there that the sources read.
    Raises: OSError and InputError where nothing can be written, and what Jittor raises where the compiler fails.
    """
    files = {name: (folder / name).read_bytes() for name in [*sources, *included]}
    place = jittor_folder()
    copies = place / "operators" / hashlib.sha256(repr(files).encode()).hexdigest()[:16]
    with locked(place / "operators.lock"):
        if not copies.exists():
            copies.parent.mkdir(exist_ok=True)
            with replacing(copies) as part:
                for name, content in files.items():
                    (part / name).parent.mkdir(parents=True, exist_ok=True)
                    (part / name).write_bytes(content)
        with paths_kept(place):
            return jittor.compile_custom_ops([str(copies / name) for name in sources])
