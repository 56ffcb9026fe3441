"""Random calls of every kernel, forward and backward: each is computed whole, or refused in one line.

    python -m benchmarks.fuzz_operations [--calls 10000] [--seed 0]

Reads and writes beyond a tensor show under the sanitizers: `python -m benchmarks.sanitized
benchmarks.fuzz_operations`. Exits with 1 where something is wrong, and shows the calls.
"""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Optional

import numpy as np

from benchmarks.drawn_calls import Call, draw_call
from jstyle.ops.signatures import read_signatures


def find_fault(call: Call) -> tuple[bool, Optional[str]]:
    """Run a call: whether it was refused, and what is wrong with how it went, if anything."""
    words = call.run()
    expected = None if call.kernel.endswith("_backward") else call.expect()
    if words is None:
        if expected is not None and not expected.endswith("is missing"):  # an output tells what no number does
            return False, f"computed, but Python refuses it: {expected}"
        if call.right and any(np.isnan(np.float32(x)).any() for x in call.outputs if x is not None):
            return False, "not all of the outputs was written"
        return False, None
    if call.right:
        return True, f"refused though it is right: {words}"
    if "\n" in words or len(words) > 900:
        return True, f"not one line: {words}"
    if expected is not None and _is_about_inputs(call, expected) and words.startswith(f"{call.kernel}:"):
        return True, None if words == expected else f"refused in other words: {words}; {expected}"
    return True, None


def _is_about_inputs(call: Call, words: str) -> bool:
    """Whether a line of Python's says nothing of outputs, which it infers and a call may have otherwise."""
    outputs = read_signatures()[call.kernel].outputs
    return not words.startswith(tuple(f"{call.kernel}: wanted {slot.name} " for slot in outputs))


def main() -> None:
    """Draw, run, count."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first call")
    parser.add_argument("--show", action="store_true", help="show each call before it is made")
    options = parser.parse_args()
    computed: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    faults = 0
    for number in range(options.first, options.first + options.calls):
        call = draw_call(np.random.default_rng((options.seed, number)))
        if options.show:
            print(f"call {number}: {call}", flush=True)
        was_refused, fault = find_fault(call)
        (refused if was_refused else computed)[call.kernel] += 1
        if fault is not None:
            faults += 1
            print(f"call {number}: {fault}\n    {call}", flush=True)
    for kernel in sorted({*computed, *refused}):
        print(f"{kernel:28}{computed[kernel]:6} computed{refused[kernel]:6} refused")
    total = f"{computed.total()} computed whole, {refused.total()} refused in one line"
    print(f"{options.calls} calls: {total}, {faults} wrong", flush=True)
    raise SystemExit(faults > 0)


if __name__ == "__main__":
    main()
