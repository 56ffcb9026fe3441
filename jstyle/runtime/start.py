"""The start itself: decide, set the environment, import, and undo what Jittor does to the process."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import ssl
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jstyle.runtime import cuda, onednn, toolchain
from jstyle.runtime.cache import jittor_folder
from jstyle.runtime.leaving import leave_when_threads_rest, leave_without_waiting
from jstyle.runtime.operators import compile_directly
from jstyle.runtime.own_jittor import imported_from, prepare, use_headers
from jstyle.runtime.start_error import StartError

UNSETTLED = "Jittor rebuilt itself twice in a row: `python -m jstyle doctor` says where its cache lies; remove that."
# what Jittor would otherwise download (nccl, cutt, cutlass), look for (MPI) or load beside itself (PyTorch)
PLAIN_JITTOR = {
    "use_mpi": "0",
    "use_nccl": "0",
    "use_cutt": "0",
    "use_cutlass": "0",
    "FIX_TORCH_ERROR": "0",
    # Threads that wait spin by default; where another program wants the cores too, that made the
    # small networks here 40 times slower
    "OMP_WAIT_POLICY": "passive",
}


def start() -> Any:
    """Import Jittor as this machine allows and return the module; one that the program has imported itself is taken.

    The user's own environment variables win over every decision made here. Raises: `StartError`.
    """
    toolchain.check_python(sys.version_info[:2])
    toolchain.check_packages(toolchain.installed_version("jittor"), toolchain.installed_version("numpy"))
    compiler = toolchain.find_compiler(os.environ)
    remember_float_limits()
    jittor = sys.modules.get("jittor")
    if jittor is None:
        jittor = import_own(compiler)
    else:
        leave_when_threads_rest()
    if jittor.has_cuda and "use_cuda" not in os.environ:
        jittor.flags.use_cuda = 1
    return jittor


def import_own(compiler: str) -> Any:
    """Decide, set the environment and import Jittor from this project's cache. Raises: `StartError`."""
    folder = jittor_folder()
    verbose = os.environ.get("JSTYLE_VERBOSE", "0") not in ("", "0")
    settings, remarks = decide(folder, verbose)
    users_own = {name for name in settings if name in os.environ}
    os.environ.update({name: value for name, value in settings.items() if name not in users_own})
    for remark in remarks:
        say(remark)
    with process_kept_as_it_is():
        return import_jittor(folder, compiler, verbose)


def decide(home: Path, verbose: bool) -> tuple[dict[str, str], list[str]]:
    """Jittor's environment for this machine, and a line for each thing that will be needlessly slow."""
    settings = dict(PLAIN_JITTOR)
    remarks = []
    if not verbose and "log_v" not in os.environ:
        settings["log_silent"] = "1"
    python_config = toolchain.find_python_config()
    if python_config is not None:
        settings["python_config_path"] = python_config
    plain_jittor = toolchain.plain_jittor_folder(os.environ)
    if "nvcc_path" not in os.environ:
        cuda.share_installed(home, plain_jittor)
        toolkits = cuda.find_toolkits(home, os.environ.get("PATH", ""))
        choice = cuda.choose(cuda.find_driver(), toolkits, home)
        settings.update(choice.environ)
        remarks += [choice.warning] if choice.warning else []
    if os.environ.get("use_mkl") != "0":
        folder = onednn.find_onednn(home, plain_jittor=plain_jittor)
        if folder is None and "use_mkl" not in os.environ:
            settings["use_mkl"] = "0"
            remarks.append(f"oneDNN was not found: {onednn.SLOW}.")
    return settings, remarks


def import_jittor(folder: Path, compiler: str, verbose: bool) -> Any:
    """Import it without a download, with a bar where it compiles; every failure is a `StartError`."""
    try:
        own = prepare(folder, compiler)
        forget_modules("jittor_utils")  # the program may have imported the environment's
        with imported_from(own), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's on Jittor's sources, which a user may have made errors
            utils = importlib.import_module("jittor_utils")
            use_headers(utils, own)
            leave_without_waiting(utils)
            announce(utils)
            discard_half_built(utils)
            with no_downloads(), contextlib.nullcontext() if verbose else progress_shown(utils), lock_inherited(utils):
                jittor = import_persistently()
        leave_when_threads_rest()
        compile_directly(jittor, utils)
        return jittor
    except StartError:
        raise
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        mend = "`python -m jstyle doctor` looks for the cause, JSTYLE_VERBOSE=1 shows all that Jittor says"
        if os.environ.get("nvcc_path"):
            mend = f'nvcc_path="" keeps it on the CPU, {mend}'
        raise StartError(f"Jittor could not start: {reason} ({mend}).") from None


def import_persistently() -> Any:
    """Import Jittor, which ends the process where it has rebuilt a library that it had loaded: then once more."""
    for _ in range(2):
        try:
            return importlib.import_module("jittor")
        except SystemExit:
            forget_modules("jittor")
    raise StartError(UNSETTLED)


def forget_modules(package: str) -> None:
    """Let a package be imported anew."""
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        del sys.modules[name]


@contextlib.contextmanager
def lock_inherited(utils: Any) -> Iterator[None]:
    """Let the compilers hold Jittor's lock, too: they may outlive a process that is killed, and write on."""
    handle = utils.lock.jittor_lock.handle.fileno()
    os.set_inheritable(handle, True)
    try:
        yield
    finally:
        os.set_inheritable(handle, False)


def discard_half_built(utils: Any) -> None:
    """Remove the helper library of a first start that was interrupted.

    Where its key is missing, Jittor rebuilds it and then ends the process with exit code 0.
    """
    with utils.lock.lock_scope():
        for library in Path(utils.cache_path).glob("jit_utils_core*.so"):
            if not Path(f"{library}.key").is_file():
                library.unlink()


def announce(utils: Any) -> None:
    """Say why a first start takes long; nothing where Jittor has been compiled before."""
    import fcntl

    cache = Path(utils.cache_path)
    if any([*cache.glob("jittor_core*.so.key"), *cache.glob("cu*/jittor_core*.so.key")]):
        return
    with open(utils.lock.lock_path) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("Another process is compiling Jittor for this machine: waiting for it.")
        else:
            say("Compiling Jittor for this machine: once, a minute or more.")


@contextlib.contextmanager
def progress_shown(utils: Any) -> Iterator[None]:
    """Replace the progress line that Jittor prints on stdout by a bar on stderr."""
    original = utils.DelayProgress
    utils.DelayProgress = CompileProgress
    try:
        yield
    finally:
        utils.DelayProgress = original


class CompileProgress:
    """Stands in for Jittor's DelayProgress: a bar that appears only where there is something to wait for."""

    DELAY = 1.0  # seconds

    def __init__(self, msg: str, n: int) -> None:
        self.label = msg if len(msg) < 40 else "Compiling operators"  # custom operators have very long names
        self.total = n
        self.started = time.monotonic()
        self.bar: Any = None

    def update(self, i: int) -> None:
        """The file of index `i`, counted from 0, is done."""
        from tqdm import tqdm

        if self.bar is None and time.monotonic() - self.started > self.DELAY:
            pause = 0.1 if sys.stderr.isatty() else 10.0  # seconds: a log file needs few lines
            self.bar = tqdm(total=self.total, desc=self.label, unit="file", leave=False, mininterval=pause)
        if self.bar is not None:
            self.bar.update(i + 1 - self.bar.n)
            if i + 1 == self.total:
                self.bar.close()


@contextlib.contextmanager
def no_downloads() -> Iterator[None]:
    """Whatever Jittor would fetch while it starts is refused by name."""
    misc: Any = importlib.import_module("jittor_utils.misc")
    original = misc.download_url_to_local

    def refuse(url: str, *_: object) -> None:
        raise StartError(f"Jittor wants to download {url}, and starting downloads nothing.")

    misc.download_url_to_local = refuse
    try:
        yield
    finally:
        misc.download_url_to_local = original


def remember_float_limits() -> None:
    """Let NumPy find the limits of floats, which it keeps.

    Operators that Jittor compiles set the processor to flush subnormal numbers to zero; NumPy then finds wrong limits
    and warns of it, in whichever library asks first.
    """
    import numpy as np

    np.finfo(np.float32)
    np.finfo(np.float64)


@contextlib.contextmanager
def process_kept_as_it_is() -> Iterator[None]:
    """Undo what importing Jittor does to the whole process.

    It ends the process at Ctrl-C without cleaning up, ends it when any child dies by a signal, and turns
    the verification of HTTPS certificates off.
    """
    https_context = ssl._create_default_https_context
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGCHLD)}
    try:
        yield
    finally:
        ssl._create_default_https_context = https_context
        for number, handler in handlers.items():
            with contextlib.suppress(ValueError, TypeError):  # not the main thread; not Python's own handler
                signal.signal(number, handler)


def say(line: str) -> None:
    """Say a line of ours on stderr."""
    print(f"jstyle: {line}", file=sys.stderr, flush=True)
