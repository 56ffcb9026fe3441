"""``jstyle score``: a submission's score as the organisers' program gives it, and as it was meant."""

from __future__ import annotations

from jstyle.cli.command import SettingsCommand
from jstyle.cli.report import show_events
from jstyle.competition.score.run import ScoreInputs, run_scoring


def score(inputs: ScoreInputs) -> int:
    """Say the score, and write it. Returns the exit code."""
    return show_events(run_scoring(inputs))


COMMAND = SettingsCommand(
    "score",
    "scores a submission to the Jittor challenge's style track",
    (ScoreInputs,),
    score,
)
