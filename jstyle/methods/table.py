"""The table of methods: a line a method. Commands, recipes, pictures' files and the docs are made from it."""

from __future__ import annotations

from jstyle.methods.method import Method
from jstyle.table import Table

METHODS: Table[Method] = Table(
    "METHOD",
    [
        "jstyle.methods.text_to_image",
        "styleid",
        "style_align",
        "jstyle.methods.inst",
    ],
)
"""By name, such as METHODS["styleid"]."""


def write_table() -> str:
    """The methods as rows of Markdown, for docs/methods.md."""
    rows = [f"| {one.title} | `jstyle {one.command}` | {one.summary} | {one.paper} |" for one in METHODS.values()]
    return "\n".join(["| method | command | what it does | source |", "|---|---|---|---|", *rows])
