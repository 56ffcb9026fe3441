"""What is given to --config, of every command, spoilt: python -m benchmarks.fuzz.configs --inputs 10000"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.fuzz import trials
from benchmarks.fuzz.spoiling import draw_mapping, spoil_text, write_as_yaml
from jstyle.cli.command import SettingsCommand
from jstyle.cli.commands import iterate_commands
from jstyle.settings.fields import is_required, join_flat, level_fields
from jstyle.settings.reader import build, plain
from jstyle.settings.words import parse_words
from jstyle.settings.yaml_files import dump_yaml

COMMANDS = [command for command in iterate_commands() if isinstance(command, SettingsCommand)]
REQUIRED: dict[Any, Any] = {
    str: "a house",
    Path: "out",
    tuple[Path, ...]: ["samples/style"],
    tuple[str, ...]: ["a house", "a boat"],
}
CHOSEN = {"submit": {"recipe": "submission"}}


def write_sample(command: SettingsCommand) -> bytes:
    """A config with every setting of the command, at its default where it has one."""
    joined: Any = join_flat(command.settings)
    fields = level_fields(joined)
    values = {name: REQUIRED[hint] for name, (field, hint) in fields.items() if is_required(field)}
    if "output" in fields:  # where it has a default, that may be one file
        values["output"] = REQUIRED[Path]
    return dump_yaml(plain(build(joined, {**values, **CHOSEN.get(command.words, {})}))).encode()


SAMPLES = {command.words: [write_sample(command)] for command in COMMANDS}


def draw(chance: random.Random) -> bytes:
    """A command's number, and a spoilt file, or one of the command's own settings with anything behind them."""
    number = chance.randrange(len(COMMANDS))
    names = list(level_fields(join_flat(COMMANDS[number].settings)))
    own = {name: "x" for name in names if chance.random() < 0.1}
    drawn = {**own, **draw_mapping(chance, [*names, "steps", "rate"])}
    spoilt = spoil_text(chance, SAMPLES[COMMANDS[number].words]) if chance.random() < 0.6 else write_as_yaml(drawn)
    return bytes([number]) + spoilt


def read(content: bytes) -> None:
    """Read the words of a command with that file; what passes must be what JSON can hold."""
    command = COMMANDS[content[0]]
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "config.yaml"
        file.write_bytes(content[1:])
        for settings in parse_words(command.settings, ["--config", str(file)], command.words, ""):
            plain(settings)


if __name__ == "__main__":
    sys.exit(trials.main(__doc__, draw, read))
