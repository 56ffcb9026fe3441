"""``jstyle metrics``: pictures compared with contents and styles."""

from __future__ import annotations

from jstyle.cli.command import SettingsCommand
from jstyle.cli.report import show_events
from jstyle.metrics.comparing import MetricsInputs, run_metrics


def compare(inputs: MetricsInputs) -> int:
    """Say the values, and write them. Returns the exit code."""
    return show_events(run_metrics(inputs))


COMMAND = SettingsCommand(
    "metrics",
    "compares pictures with contents and styles: LPIPS, FID, ArtFID, CFSD, SSIM, CLIP, DINO and others",
    (MetricsInputs,),
    compare,
)
