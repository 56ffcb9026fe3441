"""JDiffusion itself: whether it is whole, its import where there is no CUDA, and the mode that its code runs in.

JDiffusion stands on forks of diffusers and transformers and on JTorch, a module named ``torch`` that is Jittor. JTorch
leaves two of Jittor's flags changed for the whole process; they are put back, and set again for JDiffusion's own calls.
"""

from __future__ import annotations

import contextlib
import io
import sys
from importlib import import_module, metadata, util
from pathlib import Path
from typing import Any, Iterator, List, Optional

from jstyle.errors import InputError
from jstyle.runtime.flags import keep_flags

INSTALL = "`pip install -r requirements-jdiffusion.txt` in an environment of its own (docs/jdiffusion.md)"
MODULES = ("JDiffusion", "jtorch", "torch", "diffusers", "transformers")
VERSIONS = {"diffusers": "0.26.0", "transformers": "4.26.1"}
"""What the forks call themselves; other versions are the originals, which want PyTorch."""


class _NoCuDNN:
    """JDiffusion limits cuDNN's workspace when it is imported; without CUDA Jittor has no cuDNN to ask that of."""

    def set_max_workspace_ratio(self, ratio: float) -> None:
        pass


def lacking() -> Optional[str]:
    """What keeps JDiffusion from being imported, as far as it can be seen without that; None if nothing does."""
    missing = [name for name in MODULES if util.find_spec(name) is None]
    if missing:
        return f"{', '.join(missing)} not installed"
    wrong: List[str] = []
    for name, wanted in VERSIONS.items():
        with contextlib.suppress(metadata.PackageNotFoundError):
            if not metadata.version(name).startswith(wanted):
                wrong.append(f"{name} is {metadata.version(name)}, not JDiffusion's {wanted}")
    if _home("torch") != _home("jtorch"):
        wrong.append("torch is PyTorch, not JTorch")
    return "; ".join(wrong) or None


def described() -> str:
    """What is installed, for a report."""
    if util.find_spec("JDiffusion") is None:
        return "not installed (optional)"
    reason = lacking()
    if reason is not None:
        return f"not usable: {reason}; {INSTALL}"
    versions = [f"{name} {metadata.version(name)}" for name in ("JDiffusion", *VERSIONS)]
    return f"installed: {', '.join(versions)}"


def jdiffusion() -> Any:
    """The module. Raises InputError, one line that says what to install, where it is absent or broken."""
    if "JDiffusion" in sys.modules:
        return sys.modules["JDiffusion"]
    reason = lacking()
    if reason is not None:
        raise InputError(f"backend jdiffusion: {reason}; {INSTALL}")
    from jstyle.runtime import jt  # as this machine allows, before JTorch would import it by itself

    jittor: Any = jt
    with keep_flags(), _cudnn_stand_in(jittor), contextlib.redirect_stdout(io.StringIO()):
        try:
            return import_module("JDiffusion")
        except Exception as error:  # whatever its packages raise where they do not fit each other
            told = " ".join(str(error).split())[:200]
            raise InputError(
                f"backend jdiffusion: JDiffusion cannot be imported ({type(error).__name__}: {told}); {INSTALL}"
            ) from error


@contextlib.contextmanager
def own_mode() -> Iterator[None]:
    """For a call of JDiffusion's code: JTorch's mode, in which Vars have PyTorch's methods, where JTorch is loaded."""
    from jstyle.runtime import jt

    if "jtorch" not in sys.modules:
        yield
        return
    with jt.flag_scope(th_mode=1):
        yield


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what JDiffusion's packages say of a model's files while they read them, and without their bars."""
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
def own_quiet_mode() -> Iterator[None]:
    """The same where JTorch prints ("to cpu") what nobody wants to read."""
    with own_mode(), contextlib.redirect_stdout(io.StringIO()):
        yield


@contextlib.contextmanager
def _cudnn_stand_in(jt: Any) -> Iterator[None]:
    before = jt.cudnn
    if before is None:
        jt.cudnn = _NoCuDNN()
    try:
        yield
    finally:
        jt.cudnn = before


def _home(name: str) -> Optional[Path]:
    """The folder that a package lies in."""
    spec = util.find_spec(name)
    return Path(spec.origin).parents[1] if spec is not None and spec.origin else None
