"""``jstyle train styles``: many styles, each taught by itself, on any number of workers."""

from __future__ import annotations

from jstyle.cli.command import SettingsCommand
from jstyle.cli.engines import EngineOptions, end_like_ctrl_c_at_sigterm, make_engine
from jstyle.cli.report import show_events
from jstyle.table import load_attribute
from jstyle.training.many_styles.inputs import StylesInputs

RUN = "jstyle.training.many_styles.run:teach_styles"


def teach_styles(inputs: StylesInputs, options: EngineOptions) -> int:
    """Teach what is not taught yet, and draw before and after. Returns the exit code."""
    end_like_ctrl_c_at_sigterm()
    run = load_attribute(RUN)
    return show_events(run(inputs, make_engine(options, inputs.jobs)), "styles")


COMMAND = SettingsCommand(
    "train styles",
    "teaches a model the styles of a folder, each by itself",
    (StylesInputs, EngineOptions),
    teach_styles,
)
