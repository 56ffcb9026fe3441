"""All commands, made from the tables: a method or a way to teach that a table names is a command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jstyle.cli import installation
from jstyle.cli.command import Command, SettingsCommand
from jstyle.cli.report import show_events
from jstyle.errors import InputError
from jstyle.methods.table import METHODS, Method
from jstyle.settings.messages import suggest
from jstyle.settings.model import ModelSettings
from jstyle.table import load_attribute
from jstyle.training.teaching.table import TEACHINGS, Teaching

_TEACHING = ("jstyle.cli.train_styles:COMMAND",)
_COMPETITION = ("jstyle.cli.submit:COMMAND", "jstyle.cli.score:COMMAND")


def group_commands() -> Mapping[str, Sequence[Command]]:
    """Every command, below the title of its group."""
    return {
        "Make pictures": [make_method_command(method) for method in METHODS.values()],
        "Teach a model": [*map(make_teaching_command, TEACHINGS.values()), *map(load_attribute, _TEACHING)],
        "The competition": [load_attribute(path) for path in _COMPETITION],
        "This installation": installation.COMMANDS,
    }


def list_commands() -> list[Command]:
    """Every command."""
    return [command for commands in group_commands().values() for command in commands]


def make_method_command(method: Method) -> Command:
    """The command that runs a method on its inputs, with its settings and a model."""
    counted = "pairs" if method.stylise else "pictures"

    def run(inputs: Any, settings: Any, model: ModelSettings) -> int:
        return show_events(method.start(inputs, settings, model), counted)

    kinds = (method.inputs, method.settings, ModelSettings)
    return SettingsCommand(method.command, method.summary, kinds, run, source=method.paper)


def make_teaching_command(teaching: Teaching) -> Command:
    """The command that teaches by the settings of one way."""

    def run(settings: Any) -> int:
        result = load_attribute(teaching.train)(settings, None)
        print(f"the result is in {result}")
        return 0

    return SettingsCommand(
        f"train {teaching.command}", teaching.summary, (teaching.settings,), run, source=teaching.paper
    )


def find_command(argv: Sequence[str]) -> tuple[Command, Sequence[str]]:
    """The command that the words begin with, and the words that are left for it.

    Raises InputError, with the name that was meant, where there is none.
    """
    commands = {command.words: command for command in list_commands()}
    for count in (2, 1):
        name = " ".join(argv[:count])
        if name in commands:
            return commands[name], argv[count:]
    raise InputError(_explain_unknown(argv, list(commands)))


def _explain_unknown(argv: Sequence[str], names: Sequence[str]) -> str:
    """One line on words that no command has."""
    group = [name for name in names if name.startswith(f"{argv[0]} ")]
    if not group:
        return f"unknown command {argv[0]!r} ({suggest(argv[0], names)})"
    if len(argv) == 1 or argv[1].startswith("-"):
        return f"{argv[0]!r} needs a word more: {', '.join(group)}"
    name = f"{argv[0]} {argv[1]}"
    return f"unknown command {name!r} ({suggest(name, group)})"
