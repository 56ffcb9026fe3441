"""The process of one side of a benchmark: it holds the networks and does what the lead asks.

    PYTHON -m benchmarks.worker SIDE

Requests come on stdin, replies go to stdout, one JSON object a line; whatever libraries print goes to stderr.
    {"do": "open", "job": {...}}                        -> {"describes": {...}}
    {"do": "variants", "case": {...}}                   -> {"variants": [...]}
    {"do": "prepare", "case": {...}, "variant": "..."}  -> {}
    {"do": "call"}                                      -> {"seconds": 1.23}, of one call of what was prepared
    {"do": "output", "file": "..."}                     -> {}, and the last call's arrays in that .npz file
A failure is {"error": "one line"}.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, Optional, TextIO

import numpy as np

from benchmarks.sides import Side


class Worker:
    """Answers requests; see the module's text."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._side: Optional[Side] = None
        self._call: Optional[Callable[[], Any]] = None
        self._result: Any = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Open a side, name its variants, or run a case, as the request asks."""
        if request["do"] == "open":
            side: Side = importlib.import_module(f"benchmarks.sides.with_{self._name}").open_side(request["job"])
            self._side = side
            return {"describes": side.describe()}
        assert self._side is not None, "open comes first"
        if request["do"] == "variants":
            return {"variants": list(self._side.variants(request["case"]))}
        if request["do"] == "prepare":
            self._call = self._result = None
            self._call = self._side.prepare(request["case"], request["variant"])
            return {}
        if request["do"] == "call":
            return {"seconds": self._timed()}
        arrays: dict[str, Any] = self._side.arrays(self._result)
        np.savez(request["file"], **arrays)
        return {}

    def _timed(self) -> float:
        assert self._call is not None, "prepare comes first"
        self._result = None  # so that the last call's result is not held while the next is computed
        start = time.perf_counter()
        self._result = self._call()
        return time.perf_counter() - start


def main() -> None:
    """Answer requests, a line of JSON each, until there are no more."""
    replies = _own_stdout()
    worker = Worker(sys.argv[1])
    for line in sys.stdin:
        try:
            reply = worker.answer(json.loads(line))
        except Exception as error:  # any failure of a side is a reply, not the end of the benchmark
            traceback.print_exc()
            reply = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def _own_stdout() -> TextIO:
    """The real stdout, for replies alone; everything else that is printed goes to stderr from now on."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return replies


if __name__ == "__main__":
    main()
