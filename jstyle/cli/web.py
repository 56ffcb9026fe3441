"""``jstyle web``: the page."""

from __future__ import annotations

from jstyle.cli.command import SettingsCommand
from jstyle.table import load_attribute
from jstyle.web.settings import WebSettings


def serve(settings: WebSettings) -> int:
    """Serve the page until it is ended. Returns the exit code."""
    return load_attribute("jstyle.web.serve:serve")(settings)


COMMAND = SettingsCommand("web", "serves a page on which everything can be done in a browser", (WebSettings,), serve)
