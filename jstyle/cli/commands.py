"""All commands, made from the tables: a method or a way to teach that a table names is a command."""

from __future__ import annotations

import difflib
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from jstyle.cli import installation
from jstyle.cli.command import Command, SettingsCommand
from jstyle.cli.report import show_events
from jstyle.errors import InputError
from jstyle.events import Event, Remark
from jstyle.methods.table import METHODS, Method
from jstyle.settings.messages import suggest
from jstyle.table import load_attribute
from jstyle.training.stopping import stop_between_updates
from jstyle.training.teaching.table import TEACHINGS, Teaching

_GRID = "jstyle.cli.grid:GridCommand"
_RECALL = "jstyle.methods.recalling:recall_settings"
_TEACHING = ("jstyle.cli.train_styles:COMMAND",)
_FILES = ("jstyle.cli.convert:COMMAND",)
_COMPARISON = ("jstyle.cli.metrics:COMMAND",)
_PAGE = ("jstyle.cli.web:COMMAND",)
_COMPETITION = ("jstyle.cli.submit:COMMAND", "jstyle.cli.score:COMMAND")


def group_commands() -> Iterator[tuple[str, Iterable[Command]]]:
    """The commands of each group under its title; what the later ones need is imported when they are looked at."""
    yield "Make pictures", map(make_method_command, METHODS.values())
    yield "Compare settings", map(load_attribute(_GRID), METHODS.values())
    yield "Teach a model", chain(map(make_teaching_command, TEACHINGS.values()), map(load_attribute, _TEACHING))
    yield "Files of models", map(load_attribute, _FILES)
    yield "Compare pictures", map(load_attribute, _COMPARISON)
    yield "The competition", map(load_attribute, _COMPETITION)
    yield "In a browser", map(load_attribute, _PAGE)
    yield "This installation", installation.COMMANDS


def iterate_commands() -> Iterator[Command]:
    """Every command."""
    return (command for _, commands in group_commands() for command in commands)


def make_method_command(method: Method) -> Command:
    """The command that runs a method on its inputs, with its settings and a model."""
    counted = "pairs" if method.stylise else "pictures"

    def run(inputs: Any, settings: Any, model: Any) -> int:
        return show_events(stop_between_updates(method.start(inputs, settings, model)), counted)

    kinds = (method.inputs, method.settings, method.model)
    return SettingsCommand(
        method.command,
        method.summary,
        kinds,
        run,
        source=method.paper,
        recall=lambda path, given: load_attribute(_RECALL)(method, kinds, path, given),
    )


def make_teaching_command(teaching: Teaching) -> Command:
    """The command that teaches by the settings of one way."""

    def run(settings: Any) -> int:
        return show_events(stop_between_updates(_tell_result(teaching.start(settings))))

    return SettingsCommand(
        f"train {teaching.command}", teaching.summary, (teaching.settings,), run, source=teaching.paper
    )


def _tell_result(run: Generator[Event, None, Path]) -> Generator[Event, None, None]:
    """The run, which says at last where its result is."""
    result = yield from run
    yield Remark(f"the result is in {result}")


def find_command(argv: Sequence[str]) -> tuple[Command, Sequence[str]]:
    """The command that the words begin with, and the words that are left for it.

    Raises InputError, with the name that was meant, where there is none.
    """
    names = []
    for command in iterate_commands():
        count = len(command.words.split())
        if " ".join(argv[:count]) == command.words:
            return command, argv[count:]
        names.append(command.words)
    raise InputError(_explain_unknown(argv, names))


def _explain_unknown(argv: Sequence[str], names: Sequence[str]) -> str:
    """One line on words that no command has."""
    group = [name for name in names if name.startswith(f"{argv[0]} ")]
    if not group:
        phrase = " ".join(argv[:2])  # as a slip in a group's name would have it: `trian lora`
        of_two_words = [name for name in names if " " in name]
        name = phrase if difflib.get_close_matches(phrase, of_two_words) else argv[0]
        return f"unknown command {name!r} ({suggest(name, names)})"
    if len(argv) == 1 or argv[1].startswith("-"):
        return f"{argv[0]!r} needs another word: {', '.join(group)}"
    name = f"{argv[0]} {argv[1]}"
    return f"unknown command {name!r} ({suggest(name, group)})"
