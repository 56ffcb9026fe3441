"""Processes that draw beside each other, and end when the one that they draw for is killed."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from jstyle.jobs.server import end_with_parent


def open_pool(workers: int) -> ProcessPoolExecutor:
    """So many processes, each begun anew; close it after use."""
    return ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=end_with_parent, initargs=(os.getpid(),)
    )
