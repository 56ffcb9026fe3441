"""benchmarks/results/*.json -> the tables of docs/performance.md and its plot.

    .peers/bin/python -m benchmarks.report        # any Python with matplotlib; without it, the tables alone

Only what stands between the document's two marks is replaced.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

from benchmarks import table
from benchmarks.options import RESULTS, ROOT

DOCUMENT = ROOT / "docs" / "performance.md"
PLOT = ROOT / "docs" / "images" / "performance.png"
BEGIN = "<!-- results: written by `python -m benchmarks.report` -->"
END = "<!-- end of the results -->"
ORDER = ("unet", "vae", "training_step", "style_update", "attention", "styleid", "startup")
SHOWN = {"torch": "PyTorch + diffusers", "torch-reuse": "the same, inversions reused"}
SHOWN.update(openvino="OpenVINO", jdiffusion="JDiffusion")
SHOWN["jdiffusion-accelerated"] = "JDiffusion, accelerated"
COLOURS = {"torch": "#d95f02", "torch-reuse": "#e7a26b", "openvino": "#7570b3", "jdiffusion": "#999999"}
COLOURS["jdiffusion-accelerated"] = "#555555"


def main() -> None:
    """Write the document's tables and its plot from the records."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--document", type=Path, default=DOCUMENT)
    parser.add_argument("--plot", type=Path, default=PLOT)
    options = parser.parse_args()
    records = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(options.results.glob("*.json"))]
    records.sort(key=_place)
    before, after = _around(options.document)
    drawn = _plot(records, options.plot)
    content = _results(records, Path("images") / options.plot.name if drawn else None)
    options.document.write_text(f"{before}{BEGIN}\n\n{content}\n\n{END}{after}", encoding="utf-8")
    print(f"{len(records)} results in {options.document}{f', drawn in {options.plot}' if drawn else ''}")


def _place(record: dict[str, Any]) -> tuple[int, str]:
    stem = record["benchmark"].split("-")[0]
    return (ORDER.index(stem) if stem in ORDER else len(ORDER)), record["benchmark"]


def _around(document: Path) -> tuple[str, str]:
    """The document's text before and after the results."""
    text = document.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"error: {document} lacks its marks {BEGIN!r} and {END!r}")
    return before, after


def _results(records: Sequence[dict[str, Any]], plot: Optional[Path]) -> str:
    if not records:
        return "Nothing has been measured yet."
    parts = [f"![How many times as fast as its peers jstyle is]({plot.as_posix()})"] if plot else []
    machines: list[str] = []
    for record in records:
        line = _machine(record["machine"])
        if line not in machines:
            machines.append(line)
    for line in machines:
        parts.append(line)
        parts += [table.markdown(one) for one in records if _machine(one["machine"]) == line]
    return "\n\n".join([*parts, _versions(records)])


def _machine(told: dict[str, Any]) -> str:
    memory = f", {told['memory_bytes'] / 1e9:.0f} GB of memory" if told["memory_bytes"] else ""
    virtual = "a virtual machine with " if told["virtual"] else ""
    family = f" (family/model {told['cpu_family_model']})" if told["cpu_family_model"] else ""
    set_by = ", ".join(f"`{name}={value}`" for name, value in told["environment"].items()) or "nothing"
    return (
        f"**Machine**: {virtual}{told['cores']} cores of {told['cpu']}{family}, {', '.join(told['features'])}"
        f"{memory}; {told['system']}. Set in the environment: {set_by}."
    )


def _versions(records: Sequence[dict[str, Any]]) -> str:
    """What each side was, by the newest word on it, and the days of the runs."""
    told: dict[str, dict[str, str]] = {}
    for record in sorted(records, key=lambda one: one["machine"]["date"]):
        for side, one in record["sides"].items():
            told.setdefault(side, {}).update(one.get("is", {}))
    lines = [f"* {side}: {', '.join(f'{key} {value}' for key, value in one.items())}" for side, one in told.items()]
    days = sorted({record["machine"]["date"][:10] for record in records})
    span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return "\n".join([f"Measured {span} (UTC) with", "", *(line for line in lines if not line.endswith(": "))])


def _plot(records: Sequence[dict[str, Any]], file: Path) -> bool:
    """Bars of how many times as fast jstyle is. False without matplotlib or results."""
    bars = [
        (f"{record['title']}, {case['name']}, {record['precision']}", side, ratio)
        for record in records
        if record["benchmark"] != "startup"  # seconds of another kind
        for case in record["cases"]
        for side in case["sides"]
        if side != table.OURS and (ratio := table.speed_of_ours(case, side)) is not None
    ]
    try:
        import matplotlib  # pyright: ignore[reportMissingImports]
    except ImportError:
        print("matplotlib is not installed: no plot", file=sys.stderr)
        return False
    if not bars:
        return False
    matplotlib.use("Agg")
    _draw(bars, file)
    return True


def _draw(bars: Sequence[tuple[str, str, float]], file: Path) -> None:
    from matplotlib import pyplot  # pyright: ignore[reportMissingImports]
    from matplotlib.patches import Rectangle

    names = list(dict.fromkeys(name for name, _, _ in bars))
    sides = [side for side in SHOWN if any(side == one for _, one, _ in bars)]
    figure, axes = pyplot.subplots(figsize=(9, 1.2 + 0.2 * len(bars) + 0.12 * len(names)))
    position, ticks = 0.0, []
    for name in names:
        own = [(side, ratio) for one, side, ratio in bars if one == name]
        for row, (side, ratio) in enumerate(own):
            axes.barh(position + row, ratio, 0.9, color=COLOURS[side])
            axes.text(ratio, position + row, f" {ratio:.2f}", va="center", fontsize=7)
        ticks.append(position + (len(own) - 1) / 2)
        position += len(own) + 0.6
    axes.set_yticks(ticks, names, fontsize=8)
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("jstyle is this many times as fast (medians)")
    axes.spines[["top", "right"]].set_visible(False)
    patches = [Rectangle((0, 0), 1, 1, color=COLOURS[side]) for side in sides]
    labels = [f"as {SHOWN[side]}" for side in sides]
    axes.legend(patches, labels, fontsize=8, frameon=False, ncols=4, loc="lower left", bbox_to_anchor=(0, 1))
    file.parent.mkdir(parents=True, exist_ok=True)
    # no date and no version inside: the same results give the same file
    figure.savefig(file, dpi=110, bbox_inches="tight", metadata={"Software": None})
    pyplot.close(figure)


if __name__ == "__main__":
    main()
