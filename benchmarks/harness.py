"""Runs the sides of a benchmark in turn, each in its own process, and compares what they compute.

Every side loads the same numbers, warms up, and is then asked for one timed call at a time, round after round, the
order rotating; while one computes, the others wait for their next request. Peak memory is taken afterwards, from a
fresh process for each side and case.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np

from benchmarks import compare, machine, table
from benchmarks.compare import Arrays
from benchmarks.options import RESULTS, ROOT
from benchmarks.processes import NotMeasured, Worker
from benchmarks.recording import command_line, say, write

PAUSE = 0.3  # seconds between calls: threads of the last side have gone to sleep by then
LAST_LINES = 12  # of what a side printed, shown when it fails
PROBES = 2  # timed calls by which the fastest variant is chosen


class Benchmark:
    """One run: ``name`` of the result, ``title`` of its table, and how far outputs may differ.

    ``model`` is one of ``random_models``'s, or None where the work needs no network.
    """

    def __init__(
        self, name: str, title: str, options: argparse.Namespace, *, model: Optional[str], tolerance: float
    ) -> None:
        self.options = options
        self._tolerance = tolerance
        self._scratch = Path()
        self._name = name if options.precision == "fp32" else f"{name}-{options.precision}"
        self._model = "mini" if model and options.model == "mini" else model
        self._cases: list[dict[str, Any]] = []
        self._arrays: list[Arrays] = []
        self._described: dict[str, dict[str, str]] = {}
        self._refused: dict[str, str] = {}
        self._record: dict[str, Any] = {
            "benchmark": self._name,
            "title": title,
            "precision": options.precision,
            "threads": options.threads,
            "rounds": options.rounds,
            "command": command_line(),
            "machine": machine.describe(),
        }

    def add(self, name: str, work: str, arrays: Arrays, probe: Optional[Arrays] = None, **more: Any) -> None:
        """A case: what to do with which inputs. ``probe`` are those of a UNet call by which variants are chosen."""
        self._cases.append({"name": name, "work": work, **more})
        self._arrays.append({**arrays, **(probe or {})})
        if probe is not None:
            self._cases[-1]["probe"] = True

    def run(self) -> int:
        """Measure, print and store. Returns the exit status: 1 where sides disagree or none was measured."""
        with tempfile.TemporaryDirectory(prefix="jstyle-benchmark-") as scratch:
            self._scratch = Path(scratch)
            self._store_inputs()
            job = {"model": self._folder(), "precision": self.options.precision, "threads": self.options.threads}
            if self.options.precision != "fp32":
                compare.compute_in_fp32(self.options, {**job, "precision": "fp32"}, self._cases, self._scratch)
            records = self._timed(job)
            if self.options.memory:
                self._measure_memory(job, records)
        self._record["sides"] = {
            side: {"not_measured": self._refused[side]} if side in self._refused else {"is": self._described[side]}
            for side in self.options.sides
        }
        self._record["cases"] = records
        print(table.text(self._record))
        self._write()
        return self._verdict(records)

    def _folder(self) -> Optional[str]:
        if self._model is None:
            return None
        say(f"random weights of {self._model}")
        command = [self.options.jstyle, "-m", "benchmarks.random_models", self._model]
        command += ["--weights", str(self.options.weights.absolute())]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(done.returncode)
        return done.stdout.strip().splitlines()[-1]

    def _store_inputs(self) -> None:
        for index, (case, arrays) in enumerate(zip(self._cases, self._arrays)):
            file = self._scratch / f"case-{index}.npz"
            stored: dict[str, Any] = dict(arrays)
            np.savez(file, **stored)
            case["inputs"] = str(file)

    def _timed(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        workers = self._open(self.options.sides, job)
        try:
            return [self._timed_case(case, workers) for case in self._cases]
        finally:
            for worker in workers.values():
                worker.close()

    def _open(self, sides: Sequence[str], job: dict[str, Any]) -> dict[str, Worker]:
        workers = {}
        for side in sorted(sides, key=lambda one: one != "openvino"):  # converting takes much memory: before others do
            say(f"{side} loads")
            try:
                workers[side] = Worker(side, self.options, job, self._scratch / f"{side}.log")
                self._described[side] = workers[side].describes
            except NotMeasured as reason:
                self._refuse(side, reason)
        return {side: workers[side] for side in sides if side in workers}

    def _refuse(self, side: str, reason: NotMeasured) -> None:
        self._refused.setdefault(side, str(reason))
        log = self._scratch / f"{side}.log"
        for line in log.read_text(errors="replace").splitlines()[-LAST_LINES:] if log.is_file() else []:
            say(f"| {line}")
        say(f"{side} is not measured: {reason}")

    def _timed_case(self, case: dict[str, Any], workers: dict[str, Worker]) -> dict[str, Any]:
        record: dict[str, Any] = {"name": case["name"], "sides": {}}
        for side in list(workers):
            say(f"{case['name']}: {side} warms up")
            try:
                record["sides"][side] = self._warm(workers[side], self._for_side(case, side))
            except NotMeasured as reason:
                self._refuse(side, reason)
                workers.pop(side).close()
        for index in range(self.options.rounds):
            names = list(workers)
            start = index % max(len(names), 1)
            for side in names[start:] + names[:start]:
                time.sleep(PAUSE)
                try:
                    sample = workers[side].timed_call(self.options.threads)
                except NotMeasured as reason:
                    self._refuse(side, reason)
                    workers.pop(side).close()
                    continue
                say(f"{case['name']}: {side} {sample['seconds']:.3f} s")
                record["sides"][side]["samples"].append(sample)
        record["differences"] = compare.differences(workers, compare.exact_file(case))
        return record

    def _warm(self, worker: Worker, case: dict[str, Any]) -> dict[str, Any]:
        """Choose the fastest variant, prepare it and call it once."""
        variants = worker.ask("variants", case=case)["variants"]
        probes: dict[str, float] = {}
        probe = {**case, "work": "unet"} if case.get("probe") else case
        for variant in variants if len(variants) > 1 else []:
            worker.ask("prepare", case=probe, variant=variant)
            worker.ask("call")
            probes[variant] = min(worker.ask("call")["seconds"] for _ in range(PROBES))
        best = min(probes, key=lambda name: probes[name]) if probes else variants[0]
        worker.ask("prepare", case=case, variant=best)
        first = worker.ask("call")["seconds"]
        return {"variant": best, "probes": probes, "first_call": first, "samples": []}

    def _for_side(self, case: dict[str, Any], side: str) -> dict[str, Any]:
        return {**case, "reuse": side.endswith("-reuse"), "accelerated": side.endswith("-accelerated")}

    def _measure_memory(self, job: dict[str, Any], records: list[dict[str, Any]]) -> None:
        for case, record in zip(self._cases, records):
            for side, measured in record["sides"].items():
                say(f"{case['name']}: memory of {side}")
                try:
                    measured.update(self._memory(side, self._for_side(case, side), measured["variant"], job))
                except NotMeasured as reason:
                    say(f"{case['name']}: memory of {side} is not measured: {reason}")

    def _memory(self, side: str, case: dict[str, Any], variant: str, job: dict[str, Any]) -> dict[str, Any]:
        worker = Worker(side, self.options, job, self._scratch / f"{side}.log")
        try:
            worker.ask("prepare", case=case, variant=variant)
            worker.ask("call")
            whole = worker.peak()
            fresh = worker.forget_peak()
            worker.ask("call")
            call = worker.peak() if fresh else None
            return {"peak_bytes": max(whole or 0, call or 0) or None, "call_peak_bytes": call}
        finally:
            worker.close()

    def _verdict(self, records: list[dict[str, Any]]) -> int:
        worst = [value for one in records for row in one["differences"].values() for value in row.values()]
        if not worst:
            say("fewer than two sides were measured: nothing was compared")
            return 1
        if not max(worst) <= self._tolerance:  # so that NaN is caught as well
            say(f"WRONG: outputs differ by {max(worst):.2g}, more than {self._tolerance:g}")
            return 1
        return 0

    def _write(self) -> None:
        file = self.options.output
        if file is None and self.options.model == "mini" and self._model is not None:
            return
        write(self._record, file or RESULTS / f"{self._name}.json")
