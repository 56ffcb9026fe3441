"""One parser of all commands, from which shtab makes a shell's completion."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from jstyle.cli.command import Command


def join_parsers(commands: Iterable[Command]) -> argparse.ArgumentParser:
    """A parser with every command as its sub-command; words are not parsed by it."""
    root = argparse.ArgumentParser(prog="jstyle")
    root.add_argument("--version", "-V", action="store_true", help="show the version")
    groups = {"": root.add_subparsers()}
    for command in commands:
        group, _, name = command.words.rpartition(" ")
        if group not in groups:
            groups[group] = groups[""].add_parser(group, help=f"{group} ...").add_subparsers()
        parser = command.make_parser(f"jstyle {command.words}")
        groups[group].add_parser(name, parents=[parser], add_help=False, help=command.summary)
    return root
