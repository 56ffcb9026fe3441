"""A worker's module that cannot be imported, as one that starts Jittor where that cannot start."""

from __future__ import annotations

from jstyle.runtime.start_error import StartError

raise StartError("there is no compiler")
