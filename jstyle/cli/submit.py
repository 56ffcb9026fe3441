"""``jstyle submit``: from the competition's data and a recipe to the zip."""

from __future__ import annotations

from jstyle.cli.command import SettingsCommand
from jstyle.cli.engines import EngineOptions, end_like_ctrl_c_at_sigterm, make_engine
from jstyle.cli.report import show_events
from jstyle.competition.run import SubmissionInputs, run_submission


def submit(inputs: SubmissionInputs, options: EngineOptions) -> int:
    """Generate what is missing, check, pack. Returns the exit code."""
    end_like_ctrl_c_at_sigterm()
    return show_events(run_submission(inputs, make_engine(options, inputs.workers)))


COMMAND = SettingsCommand(
    "submit",
    "makes a submission to the Jittor challenge's style track from a recipe",
    (SubmissionInputs, EngineOptions),
    submit,
)
