"""Results as tables: for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any, Optional

OURS = "jstyle"
REFERENCE = "torch"
EXACT = "torch fp32"  # what lower precisions are compared with
HEADER = ("case", "side", "median", "min to max", "jstyle is", "peak memory", "of a call", "off by")
NOISY = 0.05  # share of the cores that other processes took, above which a table says so

Record = dict[str, Any]


def text(record: Record) -> str:
    """The run's table and notes for a terminal."""
    cells = _filled([HEADER, *rows(record)])
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells]
    return "\n".join(["", heading(record), *lines, *notes(record), ""])


def markdown(record: Record) -> str:
    """The same for a document."""
    head, *body = _filled([HEADER, *rows(record)])
    lines = [f"| {' | '.join(row)} |" for row in [head, ("---",) * len(head), *body]]
    return "\n".join([f"### {heading(record)}", "", *lines, "", *(f"* {note}" for note in notes(record))])


def heading(record: Record) -> str:
    """What was measured, in which precision, by how many threads."""
    threads = f"{record['threads']} thread{'s' if record['threads'] != 1 else ''}"
    return f"{record['title']}, {record['precision']}, {threads}"


def rows(record: Record) -> list[Sequence[str]]:
    """One row a case and side."""
    found = []
    for case in record["cases"]:
        name = case["name"]
        for side, measured in case["sides"].items():
            if measured["samples"]:
                found.append((name, *_row(case, side, measured)))
                name = ""
    return found


def seconds(measured: Record) -> list[float]:
    """A side's samples."""
    return [sample["seconds"] for sample in measured["samples"]]


def speed_of_ours(case: Record, side: str) -> Optional[float]:
    """How many times as fast as ``side`` jstyle is, by medians; None where either was not measured."""
    if not all(case["sides"].get(one, {}).get("samples") for one in (OURS, side)):
        return None
    return median(seconds(case["sides"][side])) / median(seconds(case["sides"][OURS]))


def notes(record: Record) -> list[str]:
    """What was left out, chosen, disturbed, and the command."""
    found = [
        f"{side}: not measured: {told['not_measured']}"
        for side, told in record["sides"].items()
        if "not_measured" in told
    ]
    for side in record["sides"]:
        variants = {case["sides"].get(side, {}).get("variant") for case in record["cases"]} - {None, ""}
        if variants:
            found.append(f"{side}: the fastest of its layouts was {' or '.join(sorted(variants))}")
    busy = others(record)
    if busy is not None and busy > NOISY:
        found.append(f"noisy: other processes took {busy:.0%} of the cores (median) during the timed calls")
    return [*found, f"{record['rounds']} rounds; `{record['command']}`"]


def others(record: Record) -> Optional[float]:
    """The median share of the cores that other processes took during timed calls."""
    shares = [
        sample["others"]
        for case in record["cases"]
        for measured in case["sides"].values()
        for sample in measured["samples"]
        if sample["others"] is not None
    ]
    return median(shares) if shares else None


def _filled(cells: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """Without the columns that have nothing under their heading."""
    kept = [i for i in range(len(HEADER)) if any(row[i] for row in cells[1:])]
    return [[row[i] for i in kept] for row in cells]


def _row(case: Record, side: str, measured: Record) -> Sequence[str]:
    taken = seconds(measured)
    ratio = speed_of_ours(case, side) if side != OURS else None
    differences = case["differences"].get(side, {})
    against = differences.get(EXACT, differences.get(REFERENCE))
    return (
        side,
        duration(median(taken)),
        f"{duration(min(taken))} to {duration(max(taken))}",
        "" if ratio is None else f"{ratio:.2f}x as fast",
        _size(measured.get("peak_bytes")),
        _size(measured.get("call_peak_bytes")),
        "" if against is None else f"{against:.1e}",
    )


def duration(value: float) -> str:
    """Seconds with three digits."""
    if value < 0.9995:
        return f"{value * 1000:.1f} ms" if value < 0.09995 else f"{value * 1000:.0f} ms"
    return f"{value:.2f} s" if value < 99.5 else f"{value:.0f} s"


def _size(count: Optional[int]) -> str:
    return "" if count is None else f"{count / 1e9:.2f} GB"
