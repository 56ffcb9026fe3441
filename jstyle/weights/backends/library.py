"""JDiffusion itself: whether it is usable, its import where there is no CUDA, and the mode in which its code runs.

JDiffusion builds on forks of diffusers and transformers and on JTorch, a module named ``torch`` that is Jittor. JTorch
changes two of Jittor's flags for the whole process; they are put back, and set again for JDiffusion's own calls.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from importlib import import_module, metadata, util
from pathlib import Path
from typing import Any, Optional

from jstyle.errors import InputError
from jstyle.runtime.flags import keep_flags

INSTALL = "`pip install -r requirements-jdiffusion.txt` in an environment of its own (docs/jdiffusion.md)"
MODULES = ("JDiffusion", "jtorch", "torch", "diffusers", "transformers")
VERSIONS = {"diffusers": "0.26.0", "transformers": "4.26.1"}
"""The versions by which the forks are known; other versions are the originals, which need PyTorch."""


class _NoCuDNN:
    """JDiffusion limits cuDNN's workspace when it is imported; without CUDA, Jittor has no cuDNN that would do it."""

    def set_max_workspace_ratio(self, ratio: float) -> None:
        pass


def find_obstacle() -> Optional[str]:
    """What prevents the import of JDiffusion, as far as that can be seen without trying; None if nothing does."""
    missing = [name for name in MODULES if util.find_spec(name) is None]
    if missing:
        return f"{', '.join(missing)} not installed"
    wrong: list[str] = []
    for name, wanted in VERSIONS.items():
        with contextlib.suppress(metadata.PackageNotFoundError):
            if not metadata.version(name).startswith(wanted):
                wrong.append(f"{name} is {metadata.version(name)}, not JDiffusion's {wanted}")
    if _find_folder("torch") != _find_folder("jtorch"):
        wrong.append("torch is PyTorch, not JTorch")
    return "; ".join(wrong) or None


def described() -> str:
    """What of JDiffusion is installed, for a report."""
    if util.find_spec("JDiffusion") is None:
        return "not installed (optional)"
    reason = find_obstacle()
    if reason is not None:
        return f"not usable: {reason}; {INSTALL}"
    versions = [f"{name} {metadata.version(name)}" for name in ("JDiffusion", *VERSIONS)]
    return f"installed: {', '.join(versions)}"


def jdiffusion() -> Any:
    """JDiffusion's module. Raises InputError, one line that says what to install, where it is absent or broken."""
    if "JDiffusion" in sys.modules:
        return sys.modules["JDiffusion"]
    reason = find_obstacle()
    if reason is not None:
        raise InputError(f"backend jdiffusion: {reason}; {INSTALL}")
    from jstyle.runtime import jt  # set up for this machine, before JTorch imports it without that

    jittor: Any = jt
    with keep_flags(), _stand_in_for_cudnn(jittor), contextlib.redirect_stdout(io.StringIO()):
        try:
            return import_module("JDiffusion")
        except Exception as error:  # packages that do not fit each other raise errors of any kind
            detail = " ".join(str(error).split())[:200]
            raise InputError(
                f"backend jdiffusion: JDiffusion cannot be imported ({type(error).__name__}: {detail}); {INSTALL}"
            ) from error


@contextlib.contextmanager
def jtorch_mode() -> Iterator[None]:
    """For a call of JDiffusion's code: the mode in which Vars have PyTorch's methods, where JTorch is loaded."""
    from jstyle.runtime import jt

    if "jtorch" not in sys.modules:
        yield
        return
    with jt.flag_scope(th_mode=1):
        yield


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Suppress what JDiffusion's packages print while they read a model's files, and their progress bars."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        for name in ("diffusers.utils.logging", "transformers.utils.logging"):
            log = import_module(name)
            stack.callback(log.set_verbosity, log.get_verbosity())
            log.set_verbosity_error()
            if log.is_progress_bar_enabled():
                stack.callback(log.enable_progress_bar)
                log.disable_progress_bar()
        yield


@contextlib.contextmanager
def silent_jtorch_mode() -> Iterator[None]:
    """``jtorch_mode`` for calls in which JTorch prints ("to cpu") what nobody wants to read."""
    with jtorch_mode(), contextlib.redirect_stdout(io.StringIO()):
        yield


@contextlib.contextmanager
def _stand_in_for_cudnn(jt: Any) -> Iterator[None]:
    before = jt.cudnn
    if before is None:
        jt.cudnn = _NoCuDNN()
    try:
        yield
    finally:
        jt.cudnn = before


def _find_folder(name: str) -> Optional[Path]:
    """The folder in which a package lies."""
    spec = util.find_spec(name)
    return Path(spec.origin).parents[1] if spec is not None and spec.origin else None
